// Gauss-Seidel sweeps over a plate, in nine colours. Launchers: plate.py.
//
// Pixels of one colour (row mod 3, column mod 3) do not see each other through a 5 × 5 stencil. Colours
// follow each other by rows, then by columns; backwards in the opposite order. A block takes all colours, and
// all sweeps of one direction, of a tile in one launch: it keeps a window of the image in shared memory,
// wider than the tile by what the tile's new values depend on, and writes the tile to another array.
//
// Forwards, the last of P changes of a class of rows needs, of the change before it, rows that begin one
// before its own first and end two behind its own last. So do columns, which change three times as often. A
// warp has a row of the window, one pixel a lane; from change to change rows and lanes drop out. Backwards is
// the mirror image.
//
// Bytes are what a large image's pixel asks of the caches, where windows overlap; flops count an FMA as two,
// per pixel and sweep, without the windows' margins: two sweeps compute twice as many, one 1.3 times.
//
// @instantiate EXPRESSION REGISTERS: the kernels to compile, and the registers that each may use.
// @instantiate projected_sweep<false> 80
// @instantiate projected_sweep<true> 80
// @instantiate fine_sweeps<false> 64
// @instantiate fine_sweeps<true> 64
// @instantiate coarse_sweeps<false> 96
// @instantiate coarse_sweeps<true> 96

#include "indexing.cuh"
#include "reductions.cuh"
#include "plate.cuh"

using namespace fastimg;

// Tiles of the sweeps over the bounded plate, one at a time, and of those of the multigrid, two in one launch
constexpr int ONE_ROWS = 42, ONE_COLUMNS = 72, TWO_ROWS = 33, TWO_COLUMNS = 45, THREADS = 512;

// The window of a block's tile. Its margins are whole cells of 3 × 3 pixels.
template <int SWEEPS, int ROWS, int COLUMNS, bool BACK>
struct Window {
    static constexpr int HEIGHT = ROWS + 9 * SWEEPS, WIDTH = COLUMNS + 27 * SWEEPS, SIZE = HEIGHT * WIDTH;
    static constexpr int ABOVE = (BACK ? 6 : 3) * SWEEPS, LEFT = (BACK ? 18 : 9) * SWEEPS;   // of the tile
    // Cells of the first change
    static constexpr int MOST_ROWS = ROWS / 3 + 3 * SWEEPS - 1, MOST_COLUMNS = COLUMNS / 3 + 9 * SWEEPS - 1;
    static_assert(ROWS % 3 == 0 && COLUMNS % 3 == 0, "colours of a tile are those of the image");
    static_assert(WARP * MOST_ROWS == THREADS && MOST_COLUMNS == WARP, "a thread for each cell");

    Tile tile;
    long long row, column, height, width;   // of the window's first pixel, and of the image

    __device__ __forceinline__ Window(long long height, long long width) : height(height), width(width)
    {
        tile = tile_of_block(height, width, ROWS, COLUMNS);
        row = tile.row - ABOVE;
        column = tile.column - LEFT;
    }

    // visit(place in the window, whether it is in the image, row, column) for all pixels of the window.
    template <typename Visit>
    __device__ __forceinline__ void each(Visit visit) const
    {
        for (int place = threadIdx.x; place < SIZE; place += THREADS) {
            const long long i = row + place / WIDTH, j = column + place % WIDTH;
            visit(place, i >= 0 && i < height && j >= 0 && j < width, i, j);
        }
    }

    // values[place] = update(place, row, column), colour by colour.
    template <typename T, typename Update>
    __device__ __forceinline__ void sweep(T* values, Update update) const
    {
        const int warp = int(threadIdx.x) / WARP, lane = int(threadIdx.x) % WARP;
#pragma unroll 1
        for (int change = 0; change < 9 * SWEEPS; ++change) {
            const int forward_y = 3 * warp + 3 + change / 3, forward_x = 3 * lane + 3 + change;
            const int y = BACK ? HEIGHT - 1 - forward_y : forward_y;
            const int x = BACK ? WIDTH - 1 - forward_x : forward_x;
            const long long i = row + y, j = column + x;
            const bool is_needed = warp < MOST_ROWS - change / 3 && lane < MOST_COLUMNS - change;
            if (is_needed && i >= 0 && i < height && j >= 0 && j < width)
                values[y * WIDTH + x] = update(y * WIDTH + x, i, j);
            __syncthreads();
        }
    }

    template <typename T>
    __device__ __forceinline__ void write(const T* values, T* out) const
    {
        for (int k = threadIdx.x; k < ROWS * COLUMNS; k += THREADS) {
            const int y = k / COLUMNS, x = k % COLUMNS;
            if (y < tile.rows && x < tile.columns)
                out[(tile.row + y) * width + tile.column + x] = values[(y + ABOVE) * WIDTH + x + LEFT];
        }
    }
};

template <bool BACK>
using OneSweep = Window<1, ONE_ROWS, ONE_COLUMNS, BACK>;
template <bool BACK>
using TwoSweeps = Window<2, TWO_ROWS, TWO_COLUMNS, BACK>;

// out = u after a sweep that moves each pixel to where the energy is least within its bounds. A block per
// tile. Bytes: 47. Flops: 24.
template <bool BACK>
__global__ void __launch_bounds__(THREADS)
projected_sweep(const double* __restrict__ u, const double* __restrict__ lower,
                const double* __restrict__ upper, double plate, double membrane,
                const unsigned char* __restrict__ code, const int* __restrict__ unlisted,
                const double* __restrict__ table, long long height, long long width, double* __restrict__ out)
{
    using Own = OneSweep<BACK>;
    __shared__ double values[Own::SIZE];
    const Own window(height, width);
    const Stencils<double> stencils{code, unlisted, table};
    const Interior<double> weight = interior_stencil<double>(plate, membrane);
    const double inverse = 1 / weight.own;
    window.each([&](int place, bool inside, long long i, long long j) {
        values[place] = inside ? u[i * width + j] : 0.0;
    });
    __syncthreads();
    window.sweep(values, [&](int place, long long i, long long j) {
        const long long pixel = i * width + j;
        const double *here = values + place, low = lower[pixel], high = upper[pixel];
        double value;
        if (code[pixel] == 0) {
            value = -interior_sum(here, Own::WIDTH, weight) * inverse;
        } else {
            const double* stencil = stencils[pixel];
            if (!(stencil[12] > 0))
                return *here;
            value = -stencil_sum(here, Own::WIDTH, stencil) / stencil[12];
        }
        value = value < low ? low : value;
        return value > high ? high : value;
    });
    window.write(values, out);
}

// Where a pixel's stencil is not the interior's; added to its state.
constexpr int ODD = 4;

// out = two sweeps over (A + spring) u = right on the image's grid; frozen pixels are 0. Forwards from 0,
// backwards from before + P coarse. A block per tile. Bytes: 40 forwards, 97 backwards, of which 55 are of 5
// from memory. Flops: 25.
template <bool BACK>
__global__ void __launch_bounds__(THREADS)
fine_sweeps(const double* __restrict__ right, const unsigned char* __restrict__ state, double spring,
            double plate, double membrane, const unsigned char* __restrict__ code,
            const int* __restrict__ unlisted, const float* __restrict__ table, long long height,
            long long width, const float* __restrict__ before, const float* __restrict__ coarse,
            float* __restrict__ out)
{
    using Own = TwoSweeps<BACK>;
    __shared__ float values[Own::SIZE], goal[Own::SIZE];
    __shared__ unsigned char held[Own::SIZE];
    const Own window(height, width);
    const Stencils<float> stencils{code, unlisted, table};
    const Interior<float> weight = interior_stencil<float>(plate, membrane);
    const float stiffness = float(spring);
    const float free_inverse = 1.0f / weight.own, spring_inverse = 1.0f / (weight.own + stiffness);
    window.each([&](int place, bool inside, long long i, long long j) {
        const long long pixel = i * width + j;
        const int own = inside ? state[pixel] : ABSENT;
        float value = 0.0f;
        if (BACK && inside) {
            value = before[pixel];
            if (own < FROZEN)
                value += interpolate(coarse, int(i), int(j), int((height + 1) / 2), int((width + 1) / 2));
        }
        values[place] = value;
        goal[place] = inside ? float(right[pixel]) : 0.0f;
        held[place] = (unsigned char)(inside && code[pixel] != 0 ? own | ODD : own);
    });
    __syncthreads();
    window.sweep(values, [&](int place, long long i, long long j) {
        const float* here = values + place;
        const int own = held[place] % ODD;
        if (own >= FROZEN)
            return 0.0f;
        if (held[place] < ODD)
            return (goal[place] - interior_sum(here, Own::WIDTH, weight)) *
                   (own == SPRING ? spring_inverse : free_inverse);
        const float* stencil = stencils[i * width + j];
        const float diagonal = stencil[12] + (own == SPRING ? stiffness : 0.0f);
        return diagonal > 0 ? (goal[place] - stencil_sum(here, Own::WIDTH, stencil)) / diagonal : 0.0f;
    });
    window.write(values, out);
}

// out = two sweeps over A u = right on a coarse grid; forwards from 0, backwards from before + P coarse. A
// block per tile. Bytes: 365 forwards, 420 backwards, most of them the operator's, which has 56. Flops: 50.
template <bool BACK>
__global__ void __launch_bounds__(THREADS)
coarse_sweeps(const float* __restrict__ right, const float* __restrict__ planes, long long height,
              long long width, const float* __restrict__ before, const float* __restrict__ coarse,
              float* __restrict__ out)
{
    using Own = TwoSweeps<BACK>;
    __shared__ float values[Own::SIZE], goal[Own::SIZE];
    const Own window(height, width);
    const Operator matrix = operator_of(planes, height, width);
    window.each([&](int place, bool inside, long long i, long long j) {
        float value = 0.0f;
        if (BACK && inside)
            value = before[i * width + j] +
                    interpolate(coarse, int(i), int(j), int((height + 1) / 2), int((width + 1) / 2));
        values[place] = value;
        goal[place] = inside ? right[i * width + j] : 0.0f;
    });
    __syncthreads();
    window.sweep(values, [&](int place, long long i, long long j) {
        const float* weight = matrix.at(i, j);
        return (goal[place] - operator_sum(matrix, weight, values + place, Own::WIDTH)) *
               weight[INVERSE * matrix.size];
    });
    window.write(values, out);
}
