// The coarsest grids of a plate, together in one launch of one block, and the direct solver of the last of
// them. Launchers: plate.py.
//
// The last grid is few pixels across, so that its operator is a band: a warp factorises it, and solves with
// it. Pixels are numbered along the longer axis last; row k of the factor holds columns k - band ... k, the
// last as its inverse. With `across` pixels along the shorter axis, band = 2 across + 2.
//
// @instantiate EXPRESSION REGISTERS: the kernels to compile, and the registers that each may use.
// @instantiate factorize 64
// @instantiate small_grids 64
// @instantiate solve_narrow 64

#include "indexing.cuh"
#include "reductions.cuh"
#include "plate.cuh"

using namespace fastimg;

constexpr int FACTOR_THREADS = 128, THREADS = 512;
constexpr int SMALL = 68 * 68;   // pixels of the largest of the small grids, with the padding
constexpr int SWEEPS = 2;

// A pivot this far below the largest belongs to a motion that costs no energy, and is left out.
constexpr double SMALLEST_PIVOT = 1e-6;

// How the pixels of the last grid are numbered.
struct Band {
    int across, along;
    bool is_turned;

    __device__ __forceinline__ int width() const { return 2 * across + 2; }
    __device__ __forceinline__ int count() const { return across * along; }
    __device__ __forceinline__ int row(int k) const { return is_turned ? k % across : k / across; }
    __device__ __forceinline__ int column(int k) const { return is_turned ? k / across : k % across; }
    __device__ __forceinline__ long long pixel(int k) const
    {
        return (long long)row(k) * (is_turned ? along : across) + column(k);
    }
};

__device__ __forceinline__ Band band_of(long long height, long long width)
{
    const bool is_turned = height <= width;
    return {int(is_turned ? height : width), int(is_turned ? width : height), is_turned};
}

// The weight between two pixels of the last grid.
__device__ __forceinline__ double weight_between(const Operator& matrix, const Band& band, int k, int other)
{
    int i = band.row(k), j = band.column(k), p = band.row(other), q = band.column(other);
    if (p > i || (p == i && q > j)) {
        const int row = i, column = j;
        i = p, j = q, p = row, q = column;
    }
    const int down = i - p, right = j - q;
    if (down > 2 || right > 2 || right < -2)
        return 0;
    return double(matrix.at(p, q)[(5 * down + right) * matrix.size]);
}

// The Cholesky factor of the last grid's operator. One block, of which the first warp eliminates, a column at
// a time.
__global__ void __launch_bounds__(FACTOR_THREADS)
factorize(const float* __restrict__ planes, long long height, long long width, double* __restrict__ factor)
{
    __shared__ double largest_of_warp[FACTOR_THREADS / WARP];
    const Operator matrix = operator_of(planes, height, width);
    const Band band = band_of(height, width);
    const int count = band.count(), reach = band.width(), lane = int(threadIdx.x) % WARP;
    double largest = 0;
    for (int k = threadIdx.x; k < count; k += FACTOR_THREADS) {
        for (int back = 0; back <= reach; ++back)
            factor[(long long)k * (reach + 1) + reach - back] =
                back <= k ? weight_between(matrix, band, k, k - back) : 0.0;
        largest = fmax(largest, weight_between(matrix, band, k, k));
    }
#pragma unroll
    for (int distance = WARP / 2; distance > 0; distance /= 2)
        largest = fmax(largest, __shfl_xor_sync(WHOLE_WARP, largest, distance));
    if (lane == 0)
        largest_of_warp[threadIdx.x / WARP] = largest;
    __syncthreads();
    if (threadIdx.x >= WARP)
        return;
    for (int warp = 0; warp < FACTOR_THREADS / WARP; ++warp)
        largest = fmax(largest, largest_of_warp[warp]);
    for (int k = 0; k < count; ++k) {
        const int below = count - 1 - k < reach ? count - 1 - k : reach;
        // of row k + s, the weight with pixel k + t
        const auto entry = [=](int s, int t) {
            return factor + (long long)(k + s) * (reach + 1) + reach - s + t;
        };
        const double pivot = *entry(0, 0);
        const double inverse = pivot > SMALLEST_PIVOT * largest ? 1 / sqrt(pivot) : 0.0;
        __syncwarp();
        if (lane == 0)
            *entry(0, 0) = inverse;
        else if (lane <= below)
            *entry(lane, 0) *= inverse;
        __syncwarp();
        for (int pair = lane; pair < below * below; pair += WARP) {
            const int s = 1 + pair / below, t = 1 + pair % below;
            if (t <= s)
                *entry(s, t) -= *entry(s, 0) * *entry(t, 0);
        }
        __syncwarp();
    }
}

// Solve with the factor: give(k, the solution at pixel k), right(k) being the right-hand side. One whole warp,
// of which a lane holds what is left of the right-hand side of the pixel as many places on as its number.
// `work` has a number a pixel.
template <typename Right, typename Give>
__device__ __forceinline__ void solve_last(const Band& band, const double* __restrict__ factor, double* work,
                                           Right right, Give give)
{
    const int count = band.count(), reach = band.width(), lane = int(threadIdx.x) % WARP;
    double rest = lane <= reach && lane < count ? right(lane) : 0.0;
    for (int k = 0; k < count; ++k) {
        const bool is_below = lane > 0 && lane <= reach && k + lane < count;
        const double weight = is_below ? factor[(long long)(k + lane) * (reach + 1) + reach - lane] : 0.0;
        const double value = __shfl_sync(WHOLE_WARP, rest, 0) * factor[(long long)k * (reach + 1) + reach];
        if (lane == 0)
            work[k] = value;
        rest -= weight * value;
        rest = __shfl_down_sync(WHOLE_WARP, rest, 1);
        if (lane == reach)
            rest = k + 1 + reach < count ? right(k + 1 + reach) : 0.0;
    }
    __syncwarp();
    rest = lane <= reach && lane < count ? work[count - 1 - lane] : 0.0;
    for (int k = count - 1; k >= 0; --k) {
        const double* row = factor + (long long)k * (reach + 1) + reach;
        const double weight = lane > 0 && lane <= reach && lane <= k ? row[-lane] : 0.0;
        const double value = __shfl_sync(WHOLE_WARP, rest, 0) * row[0];
        if (lane == 0)
            give(k, float(value));
        rest -= weight * value;
        rest = __shfl_down_sync(WHOLE_WARP, rest, 1);
        if (lane == reach)
            rest = k - 1 - reach >= 0 ? work[k - 1 - reach] : 0.0;
    }
}

// The cycle of an image too narrow for a coarser grid; what is frozen does not move. One warp.
__global__ void __launch_bounds__(WARP)
solve_narrow(const double* __restrict__ residual, const unsigned char* __restrict__ state,
             const double* __restrict__ factor, long long height, long long width, double* __restrict__ work,
             float* __restrict__ correction)
{
    const Band band = band_of(height, width);
    solve_last(
        band, factor, work, [&](int k) { return double(float(residual[band.pixel(k)])); },
        [&](int k, float value) {
            correction[band.pixel(k)] = state[band.pixel(k)] < FROZEN ? value : 0.0f;
        });
}

// One of the small grids: its plate is in shared memory, with PADDING zeros around it.
struct SmallGrid {
    int height, width, stride;
    Operator matrix;

    // visit(place in shared memory, row, column) for the pixels of one colour of `colors`² ones
    template <typename Visit>
    __device__ __forceinline__ void each(int colors, int color, Visit visit) const
    {
        const int first_row = color / colors, first_column = color % colors;
        const int columns = (width - first_column + colors - 1) / colors;
        const int rows = (height - first_row + colors - 1) / colors;
        for (int k = threadIdx.x; k < rows * columns; k += THREADS) {
            const int row = colors * (k / columns) + first_row;
            const int column = colors * (k % columns) + first_column;
            visit((row + PADDING) * stride + column + PADDING, row, column);
        }
    }

    __device__ __forceinline__ void clear(float* values) const
    {
        for (int k = threadIdx.x; k < (height + 2 * PADDING) * stride; k += THREADS)
            values[k] = 0.0f;
        __syncthreads();   // and the next coarser grid is done
    }

    // All sweeps of one direction over A values = right.
    __device__ __forceinline__ void sweep(float* values, const float* right, bool is_back) const
    {
#pragma unroll 1
        for (int phase = 0; phase < 9 * SWEEPS; ++phase) {
            each(3, is_back ? 8 - phase % 9 : phase % 9, [&](int place, int row, int column) {
                const float* weight = matrix.at(row, column);
                values[place] = (right[row * width + column] -
                                 operator_sum(matrix, weight, values + place, stride)) *
                                weight[INVERSE * matrix.size];
            });
            __syncthreads();
        }
    }
};

// The cycle from grid `first` to the last and back: one block, with the plate of one grid at a time in shared
// memory. Row g of `layout`: rows, columns, and where the numbers and the planes of grid g begin. `right`
// holds the right-hand side of grid `first`, and gets those of the coarser ones; `rests` gets residuals;
// `plates` the result. Bytes that a pixel of grid `first` asks of the caches: 850. Flops: 350.
__global__ void __launch_bounds__(THREADS)
small_grids(const float* __restrict__ planes, const long long* __restrict__ layout, long long first,
            long long grids, const double* __restrict__ factor, double* work, float* right, float* rests,
            float* plates)
{
    __shared__ float values[SMALL];
    const auto grid_at = [&](int g) {
        const long long* row = layout + 4 * g;
        return SmallGrid{int(row[0]), int(row[1]), int(row[1]) + 2 * PADDING,
                         operator_of(planes + row[3], row[0], row[1])};
    };
    const auto start_of = [&](int g) { return layout[4 * g + 2]; };
    const int last = int(grids) - 1;
    for (int g = int(first); g < last; ++g) {
        const SmallGrid grid = grid_at(g);
        const float* goal = right + start_of(g);
        float *rest = rests + start_of(g), *plate = plates + start_of(g), *next = right + start_of(g + 1);
        grid.clear(values);
        grid.sweep(values, goal, false);
        grid.each(1, 0, [&](int place, int row, int column) {
            const float* weight = grid.matrix.at(row, column);
            const int pixel = row * grid.width + column;
            rest[pixel] = goal[pixel] - operator_sum(grid.matrix, weight, values + place, grid.stride) -
                          weight[0] * values[place];
            plate[pixel] = values[place];
        });
        __syncthreads();
        const int rows = (grid.height + 1) / 2, columns = (grid.width + 1) / 2;
        for (int k = threadIdx.x; k < rows * columns; k += THREADS) {
            const int row = k / columns, column = k % columns;
            float sum = 0.0f;
#pragma unroll 1
            for (int b = 0; b < SHARES; ++b) {
                const int j = 2 * column - 2 + b;
                const float across = share_of(column, j, columns, grid.width);
                float line = 0.0f;
#pragma unroll
                for (int a = 0; a < SHARES; ++a) {
                    const int i = 2 * row - 2 + a;
                    const float share = share_of(row, i, rows, grid.height);
                    if (share != 0 && across != 0)
                        line += share * rest[i * grid.width + j];
                }
                sum += across * line;
            }
            next[k] = sum;
        }
        __syncthreads();
    }
    if (threadIdx.x < WARP) {
        const Band band = band_of(layout[4 * last], layout[4 * last + 1]);
        const float* goal = right + start_of(last);
        float* plate = plates + start_of(last);
        solve_last(
            band, factor, work, [&](int k) { return double(goal[band.pixel(k)]); },
            [&](int k, float value) { plate[band.pixel(k)] = value; });
    }
    for (int g = last - 1; g >= first; --g) {
        const SmallGrid grid = grid_at(g);
        const float* coarse = plates + start_of(g + 1);
        float* plate = plates + start_of(g);
        grid.clear(values);
        grid.each(1, 0, [&](int place, int row, int column) {
            values[place] = plate[row * grid.width + column] +
                            interpolate(coarse, row, column, (grid.height + 1) / 2, (grid.width + 1) / 2);
        });
        __syncthreads();
        grid.sweep(values, right + start_of(g), true);
        grid.each(1, 0, [&](int place, int row, int column) {
            plate[row * grid.width + column] = values[place];
        });
        __syncthreads();
    }
}
