// The barycenter of an iteration: a weighted geometric mean of convolutions, and the scalings that follow
// from it (Benamou et al., SIAM J. Sci. Comput. 37, A1111, 2015). Launchers: sinkhorn.py.
//
// There are `measures` grids of `pixels` numbers; `convolved` are Ku_k. Sums have a fixed order: blocks leave
// parts, which one block adds up. Bytes are global memory traffic per number of all measures, s = sizeof(T).
//
// @instantiate EXPRESSION REGISTERS: the kernels to compile, and the registers that each may use.
// @instantiate mean_lines<float, 128> 128
// @instantiate mean_lines<float, 512> 128
// @instantiate mean_lines<double, 128> 128
// @instantiate mean_lines<double, 512> 128
// @instantiate mean_pixels<float> 96
// @instantiate mean_pixels<double> 128
// @instantiate finish_mean 64

#include "indexing.cuh"
#include "reductions.cuh"
#include "gaussian.cuh"
#include "lines.cuh"
#include "powers.cuh"

using namespace fastimg;

constexpr int THREADS = 256;

// What the mean and the error are made of. `weights` holds each weight as the sum of two numbers; `debiasing`
// and `previous`, which serves the error alone, may be null.
template <typename T>
struct Mean {
    const T* weights;
    const T* debiasing;
    const T* previous;
    long long measures, pixels;
    T floor;

    // debiasing · Π (Ku_k + floor)^w_k.
    __device__ __forceinline__ T at(const T* convolved, long long pixel) const
    {
        Product<T> product;
#pragma unroll 1
        for (long long k = 0; k < measures; ++k) {
            const T weight = weights[2 * k], rest = weights[2 * k + 1];
            if (weight == T(0))
                continue;
            product.multiply(convolved[k * pixels + pixel] + floor, weight, rest);
        }
        if (debiasing)
            product.multiply(debiasing[pixel], T(1), T(0));
        return product.times(T(1));
    }

    // 0 where the scaling is, whatever overflowed there
    __device__ __forceinline__ double marginal(long long k, long long pixel, const T* convolved) const
    {
        const double scaling = double(previous[k * pixels + pixel]);
        return scaling == 0.0 ? 0.0 : scaling * double(convolved[k * pixels + pixel]);
    }

    // Standard deviation of previous_k Ku_k over k.
    __device__ __forceinline__ double spread(const T* convolved, long long pixel) const
    {
        double sum = 0, squares = 0;
#pragma unroll 1
        for (long long k = 0; k < measures; ++k)
            sum += marginal(k, pixel, convolved);
        sum /= double(measures);
#pragma unroll 1
        for (long long k = 0; k < measures; ++k) {
            const double own = marginal(k, pixel, convolved);
            squares += (own - sum) * (own - sum);
        }
        return sqrt(squares / double(measures));
    }
};

// Least positive and largest number seen; beside a NaN or an infinity the largest is infinite.
template <typename T>
struct Range {
    T least = infinity<T>(), largest = T(0);

    __device__ __forceinline__ void add(T value)
    {
        if (value > T(0) && value < least)
            least = value;
        if (!isfinite(value))
            largest = infinity<T>();
        else if (value > largest)
            largest = value;
    }

    __device__ __forceinline__ void add(Range other)
    {
        least = other.least < least ? other.least : least;
        largest = other.largest > largest ? other.largest : largest;
    }
};

template <typename T>
__device__ __forceinline__ Range<T> warp_range(Range<T> range)
{
#pragma unroll
    for (int distance = WARP / 2; distance > 0; distance /= 2) {
        Range<T> other;
        other.least = __shfl_xor_sync(WHOLE_WARP, range.least, distance);
        other.largest = __shfl_xor_sync(WHOLE_WARP, range.largest, distance);
        range.add(other);
    }
    return range;
}

// Room for the reductions of a block of whole warps.
struct Room {
    double first[WARP], second[WARP];
};

// The range over a block; the first thread writes it. All threads take part.
template <typename T>
__device__ __forceinline__ void write_range(Room& room, Range<T> range, double* out)
{
    const int lane = int(threadIdx.x) % WARP, warp = int(threadIdx.x) / WARP;
    range = warp_range(range);
    __syncthreads();   // an earlier reduction may still be reading
    if (lane == 0) {
        room.first[warp] = double(range.least);
        room.second[warp] = double(range.largest);
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        Range<double> whole;
        for (int other = 0; other < int(blockDim.x) / WARP; ++other) {
            Range<double> part;
            part.least = room.first[other];
            part.largest = room.second[other];
            whole.add(part);
        }
        out[0] = whole.least;
        out[1] = whole.largest;
    }
}

// The same for a sum.
__device__ __forceinline__ void write_sum(Room& room, double value, double* out)
{
    value = warp_sum(value);
    __syncthreads();   // an earlier reduction may still be reading
    if (threadIdx.x % WARP == 0)
        room.first[threadIdx.x / WARP] = value;
    __syncthreads();
    if (threadIdx.x == 0) {
        double sum = 0;
        for (int warp = 0; warp < int(blockDim.x) / WARP; ++warp)
            sum += room.first[warp];
        *out = sum;
    }
}

// barycenter = the mean of Ku = K values, u = barycenter / Ku, scalings = u (which may be `previous`),
// values = K u; blocks leave parts of the sum of spreads, if there is a place for them, and ranges of u. A
// block per SIDE lines, of all measures. Bytes: 8 s, of which 6 s are of memory. Flops: 4 n.
template <typename T, int LONGEST>
__global__ void __launch_bounds__(LONGEST, 1)
mean_lines(T* values, const T* __restrict__ taps, const long long* __restrict__ radii, long long table,
           const T* __restrict__ weights, double floor, const T* __restrict__ debiasing,
           const T* previous, long long measures, long long length, long long inner, long long lines,
           T* barycenter, T* scalings, double* __restrict__ errors, double* __restrict__ ranges)
{
    __shared__ T memory[ShortLines<T, LONGEST>::NUMBERS];
    __shared__ Room room;
    const Axis axis{length, length, inner, lines};
    const ShortLines<T, LONGEST> block(memory, axis, blockIdx.x * (long long)SIDE);
    const long long pixels = axis.size();
    const Mean<T> mean{weights, debiasing, previous, measures, pixels, T(floor)};
    block.clear();
#pragma unroll 1
    for (long long k = 0; k < measures; ++k) {
        T* own = values + k * pixels;
        block.each([&](long long place, T& held) { held = own[place]; });
        block.convolve(taps + k * table, int(radii[k]));
        block.each([&](long long place, T& held) { own[place] = held; });
    }
    // From here to the end a thread reads what itself has written.
    double error = 0;
    block.each([&](long long place, T&) {
        barycenter[place] = mean.at(values, place);
        if (errors)
            error += mean.spread(values, place);
    });
    if (errors)
        write_sum(room, error, errors + blockIdx.x);
#pragma unroll 1
    for (long long k = 0; k < measures; ++k) {
        T* own = values + k * pixels;
        Range<T> range;
        block.each([&](long long place, T& held) {
            held = quotient(barycenter[place], own[place]);
            range.add(held);
            if (scalings)
                scalings[k * pixels + place] = held;
        });
        if (ranges)
            write_range(room, range, ranges + 2 * (k * gridDim.x + blockIdx.x));
        block.convolve(taps + k * table, int(radii[k]));
        block.each([&](long long place, T& held) { own[place] = held; });
    }
}

// The same without the convolutions: of convolved = Ku, which becomes u. A block per part of the pixels.
// Bytes: 8 s, of which 6 s are of memory.
template <typename T>
__global__ void __launch_bounds__(THREADS, 2)
mean_pixels(T* convolved, const T* __restrict__ weights, double floor, const T* __restrict__ debiasing,
            const T* previous, long long measures, long long pixels, long long parts, T* barycenter,
            T* scalings, double* __restrict__ errors, double* __restrict__ ranges)
{
    __shared__ Room room;
    const Part part = part_of_block(pixels, parts);
    const Mean<T> mean{weights, debiasing, previous, measures, pixels, T(floor)};
    double error = 0;
    for (long long pixel = part.begin + threadIdx.x; pixel < part.end; pixel += THREADS) {
        barycenter[pixel] = mean.at(convolved, pixel);
        if (errors)
            error += mean.spread(convolved, pixel);
    }
    if (errors)
        write_sum(room, error, errors + blockIdx.x);
#pragma unroll 1
    for (long long k = 0; k < measures; ++k) {
        Range<T> range;
#pragma unroll 4
        for (long long pixel = part.begin + threadIdx.x; pixel < part.end; pixel += THREADS) {
            const T own = quotient(barycenter[pixel], convolved[k * pixels + pixel]);
            range.add(own);
            convolved[k * pixels + pixel] = own;
            if (scalings)
                scalings[k * pixels + pixel] = own;
        }
        if (ranges)
            write_range(room, range, ranges + 2 * (k * gridDim.x + blockIdx.x));
    }
}

// Put together what `parts` blocks left: error from errors[part], log_ranges[k] from ranges[k][part]. A block
// for each measure with ranges, and the last one for the sum, where there is one.
__global__ void __launch_bounds__(THREADS)
finish_mean(const double* __restrict__ errors, const double* __restrict__ ranges, long long parts,
            long long measures, double* __restrict__ error, double* __restrict__ log_ranges)
{
    __shared__ Room room;
    __shared__ double found[2];
    if (blockIdx.x == measures) {
        double sum = 0;
        for (long long part = threadIdx.x; part < parts; part += THREADS)
            sum += errors[part];
        write_sum(room, sum, error);
        return;
    }
    Range<double> range;
    for (long long part = threadIdx.x; part < parts; part += THREADS) {
        Range<double> other;
        other.least = ranges[2 * (blockIdx.x * parts + part)];
        other.largest = ranges[2 * (blockIdx.x * parts + part) + 1];
        range.add(other);
    }
    write_range(room, range, found);
    if (threadIdx.x == 0) {
        log_ranges[2 * blockIdx.x] = log(found[0]);
        log_ranges[2 * blockIdx.x + 1] = log(found[1]);
    }
}
