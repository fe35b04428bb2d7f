// An iteration of the fusion of two cubes, one of which moves mass along the bands and one in the plane.
// Launchers: sinkhorn.py.
//
// Cubes are (rows, columns, padded), bands next to each other; M is the type of the first, T that of the
// second. Only the first `bands` are real: the others are left as they are. Bytes are global memory traffic
// per number of a cube, where what neighbouring blocks both read stays in the L2 cache. Flops count an FMA as
// two, with r and R for the radii in the plane and along the bands.
//
// @instantiate EXPRESSION REGISTERS: the kernels to compile, and the registers that each may use.
// @instantiate scale_planes<float> 80
// @instantiate scale_planes<double> 128
// @instantiate fuse_spectra<float, float, false> 128
// @instantiate fuse_spectra<double, float, false> 128
// @instantiate fuse_spectra<double, double, false> 208
// @instantiate fuse_spectra<float, float, true> 168
// @instantiate fuse_spectra<double, float, true> 168
// @instantiate fuse_spectra<double, double, true> 208

#include "indexing.cuh"
#include "reductions.cuh"
#include "gaussian.cuh"
#include "powers.cuh"

using namespace fastimg;

constexpr int THREADS = 256, WARPS = THREADS / WARP;
// Tile of a block; bands that it convolves at a time; rows of them in shared memory
constexpr int ROWS = 16, COLUMNS = RUN, CHUNK = 16, HELD_ROWS = 24;
constexpr int PIXELS = ROWS * COLUMNS, HELD = HELD_ROWS * COLUMNS * CHUNK;
static_assert(PIXELS / RUN * CHUNK == THREADS, "a run of rows for each thread");
// Numbers of the spectra in shared memory, and bands of them
constexpr int SPECTRA = 2304, MOST_BANDS = 1024;

// A cube's plane, its tables of taps, rows first, and how far they reach.
template <typename T>
struct Plane {
    int rows, columns, padded;
    const T *row_taps, *column_taps;
    int row_radius, column_radius;

    // Where the spectrum of a pixel starts
    __device__ __forceinline__ long long start(int row, int column) const
    {
        return ((long long)row * columns + column) * padded;
    }
};

// First row and column of a tile.
struct Corner {
    int row, column;
};

__device__ __forceinline__ Corner corner_of(long long which, long long columns)
{
    const long long across = ceil_div(columns, COLUMNS);
    return {int(which / across) * ROWS, int(which % across) * COLUMNS};
}

// visit(place in the cube, K cube) for the pixels of a tile and CHUNK bands from `band` on: along the columns
// into shared memory, some rows at a time, and from there along the rows.
template <typename T, typename Visit>
__device__ __forceinline__ void convolve_plane(const T* __restrict__ cube, const Plane<T>& plane, Corner tile,
                                               int band, T* held, Visit visit)
{
    const int thread = int(threadIdx.x);
    const int first = max(tile.column - plane.column_radius, 0);
    const int past = min(tile.column + COLUMNS + plane.column_radius, plane.columns);
    const int bottom = min(tile.row + ROWS + plane.row_radius, plane.rows);
    // What the thread makes of the tile
    const int x = thread / CHUNK % COLUMNS, own = tile.row + thread / (CHUNK * COLUMNS) * RUN;
    const bool is_inside = own < plane.rows && tile.column + x < plane.columns;
    T sum[RUN][1] = {};
#pragma unroll 1
    for (int from = max(tile.row - plane.row_radius, 0); from < bottom; from += HELD_ROWS) {
        const int count = min(bottom - from, HELD_ROWS);
        __syncthreads();
#pragma unroll 1
        for (int item = thread; item < count * CHUNK; item += THREADS) {
            const T* next = cube + plane.start(from + item / CHUNK, first) + band + item % CHUNK;
            T part[RUN][1] = {};
            TapWindow<T> window(plane.column_taps, tile.column - first);
#pragma unroll 1
            for (int column = first; column < past; column += RUN)
                window.add(part, [&](int u, int) {
                    const T value = column + u < past ? *next : T(0);
                    next += plane.padded;
                    return value;
                });
#pragma unroll
            for (int r = 0; r < RUN; ++r)
                held[(item / CHUNK * COLUMNS + r) * CHUNK + item % CHUNK] = part[r][0];
        }
        __syncthreads();
        const int begin = max(from, own - plane.row_radius);
        const int end = min(from + count, own + RUN + plane.row_radius);
        if (!is_inside || begin >= end)
            continue;
        const T* next = held + (begin - from) * COLUMNS * CHUNK + thread % (COLUMNS * CHUNK);
        TapWindow<T> window(plane.row_taps, own - begin);
#pragma unroll 1
        for (int row = begin; row < end; row += RUN, next += RUN * COLUMNS * CHUNK)
            window.add(sum, [&](int u, int) { return row + u < end ? next[u * COLUMNS * CHUNK] : T(0); });
    }
#pragma unroll
    for (int r = 0; r < RUN; ++r)
        if (is_inside && own + r < plane.rows)
            visit(plane.start(own + r, tile.column + x) + band + thread % CHUNK, sum[r][0]);
}

// v = measure / (K u). A block per tile and CHUNK bands. Bytes: 3 s. Flops: 18 + 11 r.
template <typename T>
__global__ void __launch_bounds__(THREADS, sizeof(T) == 4 ? 3 : 2)
scale_planes(const T* __restrict__ u, const T* __restrict__ measure, const T* __restrict__ taps,
             long long table, long long row_radius, long long column_radius, long long rows,
             long long columns, long long padded, T* __restrict__ v)
{
    __shared__ T held[HELD];
    const Plane<T> plane{int(rows),    int(columns),    int(padded),       taps,
                         taps + table, int(row_radius), int(column_radius)};
    const long long chunks = padded / CHUNK;
    const Corner tile = corner_of(blockIdx.x / chunks, columns);
    convolve_plane(u, plane, tile, int(blockIdx.x % chunks) * CHUNK, held,
                   [&](long long place, T convolved) { v[place] = quotient(measure[place], convolved); });
}

// p_m^weight p_h^(1 - weight), from the logarithm of their ratio.
template <typename M, typename T>
__device__ __forceinline__ T geometric_mean(M p_m, T p_h, double weight)
{
    const T own = T(weight);
    if (!is_split(p_m) || !is_split(p_h))
        return (weight > 0 ? T(p_m) : T(1)) * (weight < 1 ? p_h : T(1));
    const Split<M> a = split(p_m);
    const Split<T> b = split(p_h);
    Product<T> ratio;
    ratio.multiply({T(a.mantissa) / b.mantissa, T(a.exponent) - b.exponent}, own, T(weight - double(own)));
    return ratio.times(p_h);
}

// What the second cube gets and gives in a pixel's spectrum.
template <typename T>
struct Spectrum {
    T *u, *k_h;   // k_h becomes the mean if `is_kept`
    const T* gauge;
    double weight;
    bool is_kept;
};

// Of a warp: f = (u_m k_m)^weight (u_h k_h)^(1 - weight), u_m = f / k_m over a power of two, u_h = f / k_h
// times the gauge. k_m, whose bands are `stride` apart, becomes the new u_m on the way. Each new u_h goes to
// `bound(band, value)`. Returns log(max / min) of the new u_m.
template <typename M, typename T, typename Bound>
__device__ __forceinline__ double fuse_spectrum(M* u_m, M* k_m, int stride, const Spectrum<T>& h, int bands,
                                                int padded, Bound bound)
{
    const int lane = int(threadIdx.x) % WARP;
    M largest = M(0), least = infinity<M>();
#pragma unroll 1
    for (int z = lane; z < padded; z += WARP) {
        if (z >= bands) {
            bound(z, h.u[z]);
            continue;
        }
        const M convolved = k_m[z * stride];
        const T k_h = h.k_h[z];
        const T mean = geometric_mean(u_m[z] * convolved, h.u[z] * k_h, h.weight);
        const M scaling = quotient(M(mean), convolved);
        const T own = quotient(mean, k_h) * h.gauge[z];
        k_m[z * stride] = scaling;
        h.u[z] = own;
        if (h.is_kept)
            h.k_h[z] = mean;
        bound(z, own);
        largest = larger_or_nan(largest, scaling);
        least = scaling < least ? scaling : least;
    }
#pragma unroll
    for (int distance = WARP / 2; distance > 0; distance /= 2) {
        const M other = __shfl_xor_sync(WHOLE_WARP, least, distance);
        largest = larger_or_nan(largest, __shfl_xor_sync(WHOLE_WARP, largest, distance));
        least = other < least ? other : least;
    }
    const M gauge = inverse_power(largest);
    for (int z = lane; z < bands; z += WARP)
        u_m[z] = k_m[z * stride] * gauge;
    return log(double(largest)) - log(double(least));
}

// Spectra of `together` pixels in shared memory; a thread has RUN bands of one.
template <typename M>
struct Spectra {
    M* held;
    const M* taps;
    int radius, together, stride, bands;

    // All threads see what was held before, and the result.
    __device__ __forceinline__ void convolve() const
    {
        const int own = int(threadIdx.x) % together, band = int(threadIdx.x) / together * RUN;
        const int begin = band < radius ? 0 : (band - radius) / RUN * RUN;
        const int end = min(band + RUN + radius, bands);
        M sum[RUN][1] = {};
        __syncthreads();
        if (radius == 0)
            return;
        if (band < bands) {
            TapWindow<M> window(taps, band - begin);
#pragma unroll 1
            for (int z = begin; z < end; z += RUN)
                window.add(sum, [&](int u, int) { return held[(z + u) * stride + own]; });
        }
        __syncthreads();
        if (band < bands)
#pragma unroll
            for (int r = 0; r < RUN; ++r)
                held[(band + r) * stride + own] = sum[r][0];
        __syncthreads();
    }

    // visit(pixel, band, number held): a warp for each pixel. Spectra are padded to whole runs.
    template <typename Visit>
    __device__ __forceinline__ void each(int padded, Visit visit) const
    {
        for (int own = int(threadIdx.x) / WARP; own < together; own += WARPS)
            for (int z = int(threadIdx.x) % WARP; z < padded; z += WARP)
                visit(own, z, held[z * stride + own]);
    }
};

__device__ __forceinline__ float number_of(unsigned bits) { return __uint_as_float(bits); }
__device__ __forceinline__ double number_of(unsigned long long bits)
{
    return __longlong_as_double((long long)(bits));
}

// The last block to come here gives the bounds in `state` to whom they belong, and leaves it as it was before
// the first one.
template <typename T>
__device__ __forceinline__ void hand_over(unsigned long long* state, long long padded, T* extremes,
                                          double* span)
{
    using Bits = decltype(ordered_bits(T(0)));
    __shared__ bool is_last;
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0)
        is_last = atomicAdd(state + 2 * padded + 1, 1ull) == gridDim.x - 1;
    __syncthreads();
    if (!is_last)
        return;
    __threadfence();
    for (long long i = threadIdx.x; i < 2 * padded; i += THREADS) {
        const Bits bits = Bits(atomicExch(state + i, i < padded ? ~0ull : 0ull));
        extremes[i] = number_of(bits);
    }
    if (threadIdx.x == 0) {
        *span = __longlong_as_double((long long)(atomicExch(state + 2 * padded, 0ull)));
        atomicExch(state + 2 * padded + 1, 0ull);
    }
}

// k_h = K v_h; k_m = K (measure_m / (K u_m)); then fuse_spectrum, whose bounds over all pixels are in `state`
// between the blocks: least and largest u_h of each band, largest span, blocks that are done. They are
// ordered bits, so that the order of the blocks does not matter. `k_h` is scratch or, if `is_kept`, becomes
// the mean. A block per tile, `together` of whose pixels have their spectra in shared memory at a time. If
// IS_LONG they would not fit, and k_m is given. Bytes: 3 sizeof(M) + 6 sizeof(T). Flops: 18 + 11 r + 4 R.
template <typename M, typename T, bool IS_LONG>
__global__ void __launch_bounds__(THREADS, sizeof(T) == 4 && !IS_LONG ? 2 : 1)
fuse_spectra(M* u_m, const M* __restrict__ measure_m, const M* __restrict__ taps_m, long long radius,
             M* k_m, T* u_h, const T* __restrict__ v_h, const T* __restrict__ taps_h, long long table,
             long long row_radius, long long column_radius, double weight, const T* __restrict__ gauge,
             long long rows, long long columns, long long padded, long long bands, long long together,
             T* k_h, bool is_kept, unsigned long long* state, T* extremes, double* span)
{
    using Bits = decltype(ordered_bits(T(0)));
    constexpr int PLANES = int(HELD * sizeof(T) / sizeof(M));
    __shared__ M memory[IS_LONG || PLANES > SPECTRA ? PLANES : SPECTRA];
    __shared__ Bits bounds[IS_LONG ? 1 : 2 * MOST_BANDS];
    const Plane<T> plane{int(rows),      int(columns),    int(padded),       taps_h,
                         taps_h + table, int(row_radius), int(column_radius)};
    const Corner tile = corner_of(blockIdx.x, columns);
    if constexpr (!IS_LONG)
        for (int i = int(threadIdx.x); i < 2 * padded; i += THREADS)
            bounds[i] = i < padded ? ~Bits(0) : Bits(0);
    #pragma unroll 1
    for (int band = 0; band < plane.padded; band += CHUNK)
        convolve_plane(v_h, plane, tile, band, reinterpret_cast<T*>(memory),
                       [&](long long place, T convolved) { k_h[place] = convolved; });
    const auto bound = [&](int z, T value) {
        const Bits bits = ordered_bits(value);
        if constexpr (IS_LONG) {
            atomicMin(state + z, (unsigned long long)(bits));
            atomicMax(state + padded + z, (unsigned long long)(bits));
        } else {
            atomicMin(bounds + z, bits);
            atomicMax(bounds + padded + z, bits);
        }
    };
    const auto is_inside = [&](int pixel) {
        return tile.row + pixel / COLUMNS < plane.rows && tile.column + pixel % COLUMNS < plane.columns;
    };
    const auto start = [&](int pixel) {
        return plane.start(tile.row + pixel / COLUMNS, tile.column + pixel % COLUMNS);
    };
    const Spectra<M> spectra{memory, taps_m, int(radius), int(together),
                             int(together < 8 ? together : together + 1), int(bands)};
    double widest = 0;
#pragma unroll 1
    for (int first = 0; first < PIXELS && tile.row + first / COLUMNS < plane.rows; first += int(together)) {
        __syncthreads();   // k_h is there, and the spectra before these are done
        if constexpr (!IS_LONG) {
            spectra.each(int(padded), [&](int own, int z, M& held) {
                held = z < bands && is_inside(first + own) ? u_m[start(first + own) + z] : M(0);
            });
            spectra.convolve();
            spectra.each(int(padded), [&](int own, int z, M& held) {
                const bool is_real = z < bands && is_inside(first + own);
                held = is_real ? quotient(measure_m[start(first + own) + z], held) : M(0);
            });
            spectra.convolve();
        }
        for (int own = int(threadIdx.x) / WARP; own < together; own += WARPS) {
            if (!is_inside(first + own))
                continue;
            const long long place = start(first + own);
            const Spectrum<T> h{u_h + place, k_h + place, gauge, weight, is_kept};
            M* const convolved = IS_LONG ? k_m + place : memory + own;
            const double own_span = fuse_spectrum(u_m + place, convolved, IS_LONG ? 1 : spectra.stride, h,
                                                  int(bands), int(padded), bound);
            widest = larger_or_nan(widest, own_span);
        }
    }
    if (threadIdx.x % WARP == 0)
        atomicMax(state + 2 * padded, ordered_bits(widest));
    if constexpr (!IS_LONG) {
        __syncthreads();
        for (int i = int(threadIdx.x); i < padded; i += THREADS) {
            atomicMin(state + i, (unsigned long long)(bounds[i]));
            atomicMax(state + padded + i, (unsigned long long)(bounds[padded + i]));
        }
    }
    hand_over(state, padded, extremes, span);
}
