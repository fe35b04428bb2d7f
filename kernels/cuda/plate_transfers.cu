// From a plate's residual to the right-hand side of the next coarser grid. Launchers: plate.py.
//
// A coarse pixel gathers the residuals of the fine ones that are made from it, along the columns of the grid,
// then along its rows. A block has a tile of coarse pixels, and the fine pixels that they need in shared
// memory. Bytes are global memory traffic per fine pixel, flops count an FMA as two.
//
// @instantiate EXPRESSION REGISTERS: the kernels to compile, and the registers that each may use.
// @instantiate fine_restrict 64
// @instantiate coarse_restrict 112

#include "indexing.cuh"
#include "plate.cuh"

using namespace fastimg;

constexpr int THREADS = 256;
constexpr int TILE = 16;                  // coarse pixels on a side
constexpr int RESTS = 2 * TILE + 4;       // residuals: fine pixels from 2 before the tile's first on
constexpr int VALUES = RESTS + 4;         // and what they depend on

struct Buffers {
    float values[VALUES * VALUES], rests[RESTS * RESTS], lines[TILE * RESTS];
};

// coarse = Pᵀ residual, of the tile of a block. u is the plate on the fine grid; residual(place of the
// pixel's value in shared memory, row, column).
template <typename Residual>
__device__ __forceinline__ void restrict_tile(Buffers& buffers, const float* __restrict__ u, long long height,
                                              long long width, Residual residual, float* __restrict__ coarse)
{
    const long long coarse_height = (height + 1) / 2, coarse_width = (width + 1) / 2;
    const Tile tile = tile_of_block(coarse_height, coarse_width, TILE, TILE);
    const long long first_row = 2 * tile.row - 2, first_column = 2 * tile.column - 2;
    for (int k = threadIdx.x; k < VALUES * VALUES; k += THREADS) {
        const long long i = first_row + k / VALUES - 2, j = first_column + k % VALUES - 2;
        const bool inside = i >= 0 && i < height && j >= 0 && j < width;
        buffers.values[k] = inside ? u[i * width + j] : 0.0f;
    }
    __syncthreads();
    for (int k = threadIdx.x; k < RESTS * RESTS; k += THREADS) {
        const int y = k / RESTS, x = k % RESTS;
        const long long i = first_row + y, j = first_column + x;
        const bool inside = i >= 0 && i < height && j >= 0 && j < width;
        buffers.rests[k] = inside ? residual(buffers.values + (y + 2) * VALUES + x + 2, i, j) : 0.0f;
    }
    __syncthreads();
    for (int k = threadIdx.x; k < TILE * RESTS; k += THREADS) {
        const int row = int(tile.row) + k / RESTS;
        float sum = 0.0f;
#pragma unroll
        for (int a = 0; a < SHARES; ++a)
            sum += share_of(row, 2 * row - 2 + a, int(coarse_height), int(height)) *
                   buffers.rests[(2 * (k / RESTS) + a) * RESTS + k % RESTS];
        buffers.lines[k] = sum;
    }
    __syncthreads();
    for (int k = threadIdx.x; k < TILE * TILE; k += THREADS) {
        const int y = k / TILE, x = k % TILE, column = int(tile.column) + x;
        if (y >= tile.rows || x >= tile.columns)
            continue;
        float sum = 0.0f;
#pragma unroll
        for (int b = 0; b < SHARES; ++b)
            sum += share_of(column, 2 * column - 2 + b, int(coarse_width), int(width)) *
                   buffers.lines[y * RESTS + 2 * x + b];
        coarse[(tile.row + y) * coarse_width + column] = sum;
    }
}

// coarse = Pᵀ (right - (A + spring) u) from the image's grid; what is frozen has no residual. A block per
// tile. Bytes: 20. Flops: 45.
__global__ void __launch_bounds__(THREADS)
fine_restrict(const float* __restrict__ u, const double* __restrict__ right,
              const unsigned char* __restrict__ state, double spring, double plate, double membrane,
              const unsigned char* __restrict__ code, const int* __restrict__ unlisted,
              const float* __restrict__ table, long long height, long long width, float* __restrict__ coarse)
{
    __shared__ Buffers buffers;
    const Stencils<float> stencils{code, unlisted, table};
    const Interior<float> weight = interior_stencil<float>(plate, membrane);
    const auto residual = [&](const float* here, long long i, long long j) {
        const long long pixel = i * width + j;
        const int own = state[pixel];
        if (own >= FROZEN)
            return 0.0f;
        float diagonal = weight.own, sum;
        if (code[pixel] == 0) {
            sum = interior_sum(here, VALUES, weight);
        } else {
            const float* stencil = stencils[pixel];
            diagonal = stencil[12];
            sum = stencil_sum(here, VALUES, stencil);
        }
        diagonal += own == SPRING ? float(spring) : 0.0f;
        return float(right[pixel]) - (sum + diagonal * *here);
    };
    restrict_tile(buffers, u, height, width, residual, coarse);
}

// coarse = Pᵀ (right - A u) from one coarse grid to the next. A block per tile. Bytes: 145. Flops: 70.
__global__ void __launch_bounds__(THREADS)
coarse_restrict(const float* __restrict__ u, const float* __restrict__ right,
                const float* __restrict__ planes, long long height, long long width,
                float* __restrict__ coarse)
{
    __shared__ Buffers buffers;
    const Operator matrix = operator_of(planes, height, width);
    const auto residual = [&](const float* here, long long i, long long j) {
        const float* weight = matrix.at(i, j);
        return right[i * width + j] - operator_sum(matrix, weight, here, VALUES) - weight[0] * *here;
    };
    restrict_tile(buffers, u, height, width, residual, coarse);
}
