// A plate between two bounds, in double precision: its gradient, its contacts, and the sums of its solver.
// Launchers: plate.py.
//
// Two kinds of kernels: a block has a tile of the image, and reads neighbours through the L1 cache; or a part
// of the pixels, in their order in memory. Each block leaves its part of a sum, and `sum_parts` adds them in
// order, so that the same input gives the same bits. Bytes are global memory traffic per pixel; flops count
// an FMA as two, per pixel with the interior's stencil.
//
// @instantiate EXPRESSION REGISTERS: the kernels to compile, and the registers that each may use.
// @instantiate gradient 64
// @instantiate product 64
// @instantiate soft_contacts 64
// @instantiate active_contacts 64
// @instantiate contact_forces 40
// @instantiate thin_contacts 48
// @instantiate dot<double, double> 40
// @instantiate dot<double, float> 40
// @instantiate dot<float, double> 40
// @instantiate dot<float, float> 40
// @instantiate slope 64
// @instantiate sum_parts 64

#include "indexing.cuh"
#include "reductions.cuh"
#include "plate.cuh"

using namespace fastimg;

constexpr int THREADS = 256;
constexpr int TILE_ROWS = 16, TILE_COLUMNS = 64;
constexpr int RIVALS = 3;   // a contact competes with those within so many pixels

// The block's part of one sum.
__device__ __forceinline__ void leave_part(double* partial, int which, int sums, double value)
{
    value = block_sum<THREADS>(value);
    if (threadIdx.x == 0)
        partial[(long long)blockIdx.x * sums + which] = value;
}

// (A image) at a pixel.
__device__ __forceinline__ double applied(const double* image, long long row, long long column,
                                          long long height, long long width,
                                          const Stencils<double>& stencils, Interior<double> weight)
{
    const long long pixel = row * width + column;
    if (stencils.code[pixel] == 0)
        return weight.own * image[pixel] + interior_sum(image + pixel, width, weight);
    const double* stencil = stencils[pixel];
    return stencil[12] * image[pixel] + stencil_sum_inside(image, row, column, height, width, stencil);
}

// out = A u + pull (u - middle); partial sums of u A u and (u - middle)². A block per tile.
// Bytes: 25. Flops: 27.
__global__ void __launch_bounds__(THREADS, 4)
gradient(const double* __restrict__ u, const double* __restrict__ middle, double pull, double plate,
         double membrane, const unsigned char* __restrict__ code, const int* __restrict__ unlisted,
         const double* __restrict__ table, long long height, long long width, double* __restrict__ out,
         double* __restrict__ partial)
{
    const Tile tile = tile_of_block(height, width, TILE_ROWS, TILE_COLUMNS);
    const TileThread thread = tile_thread(tile.columns);
    const Stencils<double> stencils{code, unlisted, table};
    const Interior<double> weight = interior_stencil<double>(plate, membrane);
    double energy = 0, pulled = 0;
    const int first = thread.group < thread.groups ? thread.group : tile.rows;
#pragma unroll 1
    for (int y = first; y < tile.rows; y += thread.groups) {
            const long long row = tile.row + y, column = tile.column + thread.column;
            const long long pixel = row * width + column;
            const double bent = applied(u, row, column, height, width, stencils, weight);
            const double away = u[pixel] - middle[pixel];
            energy += u[pixel] * bent;
            pulled += away * away;
            out[pixel] = bent + pull * away;
        }
    leave_part(partial, 0, 2, energy);
    leave_part(partial, 1, 2, pulled);
}

// q = (A + pull + spring where a spring is) p where a pixel may move, else 0; partial sums of p q. A block
// per tile. Bytes: 18. Flops: 24.
__global__ void __launch_bounds__(THREADS, 4)
product(const double* __restrict__ p, const unsigned char* __restrict__ state, double spring, double pull,
        double plate, double membrane, const unsigned char* __restrict__ code,
        const int* __restrict__ unlisted, const double* __restrict__ table, long long height, long long width,
        double* __restrict__ q, double* __restrict__ partial)
{
    const Tile tile = tile_of_block(height, width, TILE_ROWS, TILE_COLUMNS);
    const TileThread thread = tile_thread(tile.columns);
    const Stencils<double> stencils{code, unlisted, table};
    const Interior<double> weight = interior_stencil<double>(plate, membrane);
    double sum = 0;
    const int first = thread.group < thread.groups ? thread.group : tile.rows;
#pragma unroll 1
    for (int y = first; y < tile.rows; y += thread.groups) {
            const long long row = tile.row + y, column = tile.column + thread.column;
            const long long pixel = row * width + column;
            const int held = state[pixel];
            double value = 0;
            if (held < FROZEN)
                value = applied(p, row, column, height, width, stencils, weight) +
                        (pull + (held == SPRING ? spring : 0.0)) * p[pixel];
            sum += p[pixel] * value;
            q[pixel] = value;
        }
    leave_part(partial, 0, 1, sum);
}

__device__ __forceinline__ double clipped(double value, double lower, double upper)
{
    const double raised = value < lower ? lower : value;
    return raised > upper ? upper : raised;
}

// Springs where u is outside its bounds: state, and downhill = -slopes - rho (u - clipped u); partial sums of
// (u - clipped u)² and of the pixels outside. Those with equal bounds are frozen. A block per part.
// Bytes: 42. Flops: 6.
__global__ void __launch_bounds__(THREADS)
soft_contacts(const double* __restrict__ u, const double* __restrict__ lower,
              const double* __restrict__ upper, const double* __restrict__ slopes, double rho,
              long long pixels, long long parts, unsigned char* __restrict__ state,
              double* __restrict__ downhill, double* __restrict__ partial)
{
    const Part part = part_of_block(pixels, parts);
    double squares = 0, outside = 0;
#pragma unroll 2
    for (long long pixel = part.begin + threadIdx.x; pixel < part.end; pixel += THREADS) {
        const double low = lower[pixel], high = upper[pixel], away = u[pixel] - clipped(u[pixel], low, high);
        double force = 0;
        if (state[pixel] != ABSENT) {
            const bool is_fixed = low == high;
            state[pixel] = is_fixed ? FROZEN : away != 0 ? SPRING : FREE;
            if (!is_fixed) {
                force = -slopes[pixel] - rho * away;
                squares += away * away;
                outside += away != 0 ? 1.0 : 0.0;
            }
        }
        downhill[pixel] = force;
    }
    leave_part(partial, 0, 2, squares);
    leave_part(partial, 1, 2, outside);
}

// Freeze what is at a bound and pressed against it: state, and downhill = -slopes elsewhere; partial sums of
// downhill², of the pixels pressed, and of the states that changed. A block per part. Bytes: 42. Flops: 4.
__global__ void __launch_bounds__(THREADS)
active_contacts(const double* __restrict__ u, const double* __restrict__ lower,
                const double* __restrict__ upper, const double* __restrict__ slopes, long long pixels,
                long long parts, unsigned char* __restrict__ state, double* __restrict__ downhill,
                double* __restrict__ partial)
{
    const Part part = part_of_block(pixels, parts);
    double squares = 0, pressed = 0, changed = 0;
#pragma unroll 2
    for (long long pixel = part.begin + threadIdx.x; pixel < part.end; pixel += THREADS) {
        const int before = state[pixel];
        double force = 0;
        if (before != ABSENT) {
            const double slope = slopes[pixel];
            const bool at_lower = u[pixel] <= lower[pixel], at_upper = u[pixel] >= upper[pixel];
            const bool is_held = (at_lower && (slope >= 0 || at_upper)) || (at_upper && slope <= 0);
            const int after = is_held ? FROZEN : FREE;
            state[pixel] = (unsigned char)(after);
            force = is_held ? 0.0 : -slope;
            squares += force * force;
            pressed += is_held && !(at_lower && at_upper) ? 1.0 : 0.0;
            changed += before != after ? 1.0 : 0.0;
        }
        downhill[pixel] = force;
    }
    leave_part(partial, 0, 3, squares);
    leave_part(partial, 1, 3, pressed);
    leave_part(partial, 2, 3, changed);
}

// The force of each contact: |slopes| where a pixel is frozen and not fixed, else 0. A block per part.
// Bytes: 29. Flops: 0.
__global__ void __launch_bounds__(THREADS)
contact_forces(const double* __restrict__ slopes, const double* __restrict__ lower,
               const double* __restrict__ upper, const unsigned char* __restrict__ state, long long pixels,
               long long parts, float* __restrict__ force)
{
    const Part part = part_of_block(pixels, parts);
#pragma unroll 4
    for (long long pixel = part.begin + threadIdx.x; pixel < part.end; pixel += THREADS) {
        const bool is_contact = state[pixel] == FROZEN && lower[pixel] != upper[pixel];
        force[pixel] = is_contact ? float(fabs(slopes[pixel])) : 0.0f;
    }
}

// Free the contacts whose force is under `share` of the largest within RIVALS pixels. A block per tile, whose
// largest forces are found along the rows, then along the columns. Bytes: 4 and, a contact freed, 17.
// Flops: 12 comparisons.
__global__ void __launch_bounds__(THREADS)
thin_contacts(const float* __restrict__ force, const double* __restrict__ slopes, double share,
              long long height, long long width, unsigned char* __restrict__ state,
              double* __restrict__ downhill)
{
    constexpr int ROWS = TILE_ROWS + 2 * RIVALS, COLUMNS = TILE_COLUMNS + 2 * RIVALS;
    __shared__ float near[ROWS][COLUMNS], of_row[ROWS][TILE_COLUMNS];
    const Tile tile = tile_of_block(height, width, TILE_ROWS, TILE_COLUMNS);
    for (int k = threadIdx.x; k < ROWS * COLUMNS; k += THREADS) {
        const long long row = tile.row + k / COLUMNS - RIVALS, column = tile.column + k % COLUMNS - RIVALS;
        const bool inside = row >= 0 && row < height && column >= 0 && column < width;
        near[k / COLUMNS][k % COLUMNS] = inside ? force[row * width + column] : 0.0f;
    }
    __syncthreads();
    for (int k = threadIdx.x; k < ROWS * TILE_COLUMNS; k += THREADS) {
        float largest = 0;
#pragma unroll
        for (int right = 0; right <= 2 * RIVALS; ++right)
            largest = fmaxf(largest, near[k / TILE_COLUMNS][k % TILE_COLUMNS + right]);
        of_row[k / TILE_COLUMNS][k % TILE_COLUMNS] = largest;
    }
    __syncthreads();
    for (int k = threadIdx.x; k < TILE_ROWS * TILE_COLUMNS; k += THREADS) {
        const int y = k / TILE_COLUMNS, x = k % TILE_COLUMNS;
        if (y >= tile.rows || x >= tile.columns)
            continue;
        float largest = 0;
#pragma unroll
        for (int down = 0; down <= 2 * RIVALS; ++down)
            largest = fmaxf(largest, of_row[y + down][x]);
        const float own = near[y + RIVALS][x + RIVALS];
        if (own > 0 && own < float(share) * largest) {
            const long long pixel = (tile.row + y) * width + tile.column + x;
            state[pixel] = FREE;
            downhill[pixel] = -slopes[pixel];
        }
    }
}

// Partial sums of a b. A block per part. Bytes: sizeof(A) + sizeof(B). Flops: 2.
template <typename A, typename B>
__global__ void __launch_bounds__(THREADS)
dot(const A* __restrict__ a, const B* __restrict__ b, long long pixels, long long parts,
    double* __restrict__ partial)
{
    const Part part = part_of_block(pixels, parts);
    double sum = 0;
#pragma unroll 4
    for (long long pixel = part.begin + threadIdx.x; pixel < part.end; pixel += THREADS)
        sum += double(a[pixel]) * double(b[pixel]);
    leave_part(partial, 0, 1, sum);
}

// Partial sums of d (x - clipped x), x = u + t d. A block per part. Bytes: 32. Flops: 5.
__global__ void __launch_bounds__(THREADS)
slope(const double* __restrict__ u, const double* __restrict__ d, double t, const double* __restrict__ lower,
      const double* __restrict__ upper, long long pixels, long long parts, double* __restrict__ partial)
{
    const Part part = part_of_block(pixels, parts);
    double sum = 0;
#pragma unroll 4
    for (long long pixel = part.begin + threadIdx.x; pixel < part.end; pixel += THREADS) {
        const double value = u[pixel] + t * d[pixel];
        sum += d[pixel] * (value - clipped(value, lower[pixel], upper[pixel]));
    }
    leave_part(partial, 0, 1, sum);
}

// sums[k] = factor k times the sum of partial[part, k] over the parts. One block.
__global__ void __launch_bounds__(THREADS)
sum_parts(const double* __restrict__ partial, long long parts, long long count, double first_factor,
          double second_factor, double* __restrict__ sums)
{
    for (int k = 0; k < count; ++k) {
        double sum = 0;
        for (long long part = threadIdx.x; part < parts; part += THREADS)
            sum += partial[part * count + k];
        sum = block_sum<THREADS>(sum);
        if (threadIdx.x == 0)
            sums[k] = sum * (k == 0 ? first_factor : k == 1 ? second_factor : 1.0);
    }
}
