// The contacts of a plate on its coarse grids. Launchers: plate.py.
//
// A contact, a pixel held at a bound, is a spring w p pᵀ on a coarse grid, p being the weights of the pixel
// in the coarse cells around it. The sum C of all springs of one kind on one grid gives that on the next, r
// Pᵀ C P, where r is the ratio of the stiffnesses w. Coarse pixels gather it in a fixed order, along the
// columns of the grid, then along its rows.
//
// @instantiate EXPRESSION REGISTERS: the kernels to compile, and the registers that each may use.
// @instantiate bring_springs<true> 64
// @instantiate bring_springs<false> 64
// @instantiate held_operator 56

#include "indexing.cuh"
#include "plate.cuh"

using namespace fastimg;

constexpr int THREADS = 128;
constexpr int TILE = 32;               // coarse pixels of a row that a block has
constexpr int LINE = 2 * TILE + 4;     // fine columns that they are made of
constexpr int DOWNS = 3, STEPS = 5;    // rows of a coarse pixel's later neighbours; columns of any

// The weight in C of the pixels (row, column) and (row + down, column + right), whichever comes first.
__device__ __forceinline__ float weight_between(const Operator& springs, long long row, long long column,
                                                int down, int right)
{
    const bool is_later = down > 0 || (down == 0 && right >= 0);
    const int plane = is_later ? 5 * down + right : -5 * down - right;
    const float* first = springs.at(row, column) + (is_later ? 0 : down * springs.stride + right);
    return first[plane * springs.size];
}

// The springs of one kind on a coarse grid, from the pixels in state `which` (FIRST), or from those of the
// next finer grid; `scale` is their stiffness, or the ratio of the stiffnesses. They are added to the
// operator, which starts as the stencils without contacts (is_start), and written where a coarser grid needs
// them (is_kept). A block per TILE pixels of a row. Bytes that a coarse pixel asks of the
// caches: 200 (FIRST) or 1300. Flops: 150 (FIRST) or 1500, of which a third make the weights.
template <bool FIRST>
__global__ void __launch_bounds__(THREADS)
bring_springs(const unsigned char* __restrict__ state, long long which, const float* __restrict__ finer,
              double scale, const unsigned char* __restrict__ code, const int* __restrict__ unlisted,
              const float* __restrict__ table, long long fine_height, long long fine_width, bool is_start,
              bool is_kept, float* __restrict__ springs, float* __restrict__ planes)
{
    __shared__ float lines[DOWNS][STEPS][LINE];
    const int height = int((fine_height + 1) / 2), width = int((fine_width + 1) / 2);
    const int fine_rows = int(fine_height), fine_columns = int(fine_width);
    const Tile tile = tile_of_block(height, width, 1, TILE);
    const int row = int(tile.row), first = 2 * int(tile.column) - 2;
    const Operator source = operator_of(finer, fine_height, fine_width);
    // For each pair of rows of the coarse grid, the sums over pairs of rows of the finer one
    for (int k = threadIdx.x; k < DOWNS * STEPS * LINE; k += THREADS) {
        const int down = k / (STEPS * LINE), right = k / LINE % STEPS - 2, j = first + k % LINE;
        float sum = 0.0f;
        if (j >= 0 && j < fine_columns && (!FIRST || right == 0))
#pragma unroll 1
            for (int a = 0; a < SHARES; ++a) {
                const int i = 2 * row - 2 + a;
                const float share = share_of(row, i, height, fine_rows);
                if (share == 0)
                    continue;
                if constexpr (FIRST) {
                    if (state[(long long)i * fine_width + j] == which)
                        sum += share * share_of(row + down, i, height, fine_rows);
                } else {
#pragma unroll
                    for (int away = -2; away <= 2; ++away) {
                        const float other = share_of(row + down, i + away, height, fine_rows);
                        if (other != 0)
                            sum += share * other * weight_between(source, i, j, away, right);
                    }
                }
            }
        lines[down][right + 2][k % LINE] = sum;
    }
    __syncthreads();
    const Operator grid = operator_of(planes, height, width);
    for (int k = threadIdx.x; k < INVERSE * TILE; k += THREADS) {
        const int plane = k / TILE, x = k % TILE, column = int(tile.column) + x;
        if (x >= tile.columns)
            continue;
        const int down = (plane + 2) / 5, right = (plane + 2) % 5 - 2;
        float sum = 0.0f;
#pragma unroll 1
        for (int b = 0; b < SHARES; ++b) {
            const int j = 2 * column - 2 + b;
            const float share = share_of(column, j, width, fine_columns);
            if (share == 0)
                continue;
#pragma unroll
            for (int near = FIRST ? 0 : -2; near <= (FIRST ? 0 : 2); ++near)
                sum += share * share_of(column + right, j + near, width, fine_columns) *
                       lines[down][near + 2][2 * x + b];
        }
        sum *= float(scale);
        const long long pixel = (long long)row * width + column;
        const long long place = plane * grid.size + (row + PADDING) * grid.stride + column + PADDING;
        const float rest =
            is_start ? Stencils<float>{code, unlisted, table}[pixel][12 + plane] : planes[place];
        const float value = rest + sum;
        planes[place] = value;
        if (plane == 0)
            planes[place + INVERSE * grid.size] = value > 0 ? 1.0f / value : 0.0f;
        if (is_kept)
            springs[place] = sum;
    }
}

// The operator of an image too narrow for a coarser grid: its stencils and springs, and 1 where a pixel is
// frozen. A thread per pixel. Bytes: 60.
__global__ void __launch_bounds__(THREADS)
held_operator(const unsigned char* __restrict__ state, double spring, const unsigned char* __restrict__ code,
              const int* __restrict__ unlisted, const float* __restrict__ table, long long height,
              long long width, float* __restrict__ planes)
{
    const long long pixel = blockIdx.x * (long long)THREADS + threadIdx.x;
    const long long row = pixel / width, column = pixel % width;
    if (row >= height)
        return;
    const Operator grid = operator_of(planes, height, width);
    const float* stencil = Stencils<float>{code, unlisted, table}[pixel];
    const int own = state[pixel];
    for (int plane = 0; plane < INVERSE; ++plane) {
        const int down = (plane + 2) / 5, right = (plane + 2) % 5 - 2;
        const bool inside = row + down < height && column + right >= 0 && column + right < width;
        const bool is_held = own >= FROZEN || (inside && state[pixel + down * width + right] >= FROZEN);
        float value = stencil[12 + plane];
        if (is_held)
            value = plane == 0 ? 1.0f : 0.0f;
        else if (plane == 0 && own == SPRING)
            value += float(spring);
        planes[plane * grid.size + (row + PADDING) * grid.stride + column + PADDING] = value;
    }
}
