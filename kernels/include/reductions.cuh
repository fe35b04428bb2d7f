// Reductions over a warp and over a block. Every thread gets the result, and the order of the operations is
// fixed, so that the same input gives the same bits. All threads of the warp or block must take part.
#ifndef FASTIMG_REDUCTIONS_CUH
#define FASTIMG_REDUCTIONS_CUH

namespace fastimg {

constexpr int WARP = 32;
constexpr unsigned WHOLE_WARP = 0xffffffffu;

template <typename T>
__device__ __forceinline__ T warp_sum(T value)
{
#pragma unroll
    for (int distance = WARP / 2; distance > 0; distance /= 2)
        value += __shfl_xor_sync(WHOLE_WARP, value, distance);
    return value;
}

template <int THREADS, typename T>
__device__ __forceinline__ T block_sum(T value)
{
    static_assert(THREADS % WARP == 0 && THREADS <= WARP * WARP, "whole warps");
    __shared__ T partial[THREADS / WARP];
    const int lane = threadIdx.x % WARP;
    value = warp_sum(value);
    __syncthreads();   // an earlier reduction may still be reading
    if (lane == 0)
        partial[threadIdx.x / WARP] = value;
    __syncthreads();
    return warp_sum(lane < THREADS / WARP ? partial[lane] : T(0));
}

// The largest value seen so far and where it is; index -1: nothing seen.
template <typename T>
struct Maximum {
    T value;
    long long index;
};

// numpy.argmax's order: the larger value, NaN above everything, the first of equals. The order of the
// arguments does not matter.
template <typename T>
__device__ __forceinline__ Maximum<T> larger(Maximum<T> a, Maximum<T> b)
{
    if (a.index < 0 || b.index < 0)
        return a.index < 0 ? b : a;
    const bool a_nan = a.value != a.value, b_nan = b.value != b.value;
    const bool equal = (a_nan && b_nan) || a.value == b.value;
    const bool second = equal ? b.index < a.index : b_nan || (!a_nan && b.value > a.value);
    return second ? b : a;
}

// Let a thread that visits values >= 0 (or NaN) in the order of their indices keep the largest, by the same
// rules with one comparison a value. Start from {-1, -1}.
template <typename T>
__device__ __forceinline__ void keep_larger(Maximum<T>& best, T value, long long index)
{
    if (!(value <= best.value) && best.value == best.value)
        best = {value, index};
}

template <typename T>
__device__ __forceinline__ Maximum<T> warp_maximum(Maximum<T> best)
{
#pragma unroll
    for (int distance = WARP / 2; distance > 0; distance /= 2)
        best = larger(best, {__shfl_xor_sync(WHOLE_WARP, best.value, distance),
                             __shfl_xor_sync(WHOLE_WARP, best.index, distance)});
    return best;
}

template <int THREADS, typename T>
__device__ __forceinline__ Maximum<T> block_maximum(Maximum<T> best)
{
    static_assert(THREADS % WARP == 0 && THREADS <= WARP * WARP, "whole warps");
    __shared__ T value[THREADS / WARP];
    __shared__ long long index[THREADS / WARP];
    const int lane = threadIdx.x % WARP;
    best = warp_maximum(best);
    __syncthreads();   // an earlier reduction may still be reading
    if (lane == 0) {
        value[threadIdx.x / WARP] = best.value;
        index[threadIdx.x / WARP] = best.index;
    }
    __syncthreads();
    best = {T(0), -1};
    if (lane < THREADS / WARP)
        best = {value[lane], index[lane]};
    return warp_maximum(best);
}

// The bits of a number >= 0, whose order is that of the numbers; NaN, whatever its sign, is above all.
__device__ __forceinline__ unsigned ordered_bits(float value) { return __float_as_uint(value) & 0x7fffffffu; }

__device__ __forceinline__ unsigned long long ordered_bits(double value)
{
    return (unsigned long long)(__double_as_longlong(value)) & 0x7fffffffffffffffull;
}

// maximum = the largest of it and of the values >= 0 of all threads of the block. The order of the blocks
// does not matter, so that the result is the same on each run. Start from 0.
template <int THREADS, typename T>
__device__ __forceinline__ void raise_maximum(T* maximum, T value)
{
    static_assert(THREADS % WARP == 0 && THREADS <= WARP * WARP, "whole warps");
    using Bits = decltype(ordered_bits(value));
    __shared__ Bits largest[THREADS / WARP];
    const int lane = threadIdx.x % WARP;
    Bits bits = ordered_bits(value);
#pragma unroll
    for (int distance = WARP / 2; distance > 0; distance /= 2) {
        const Bits other = __shfl_xor_sync(WHOLE_WARP, bits, distance);
        bits = other > bits ? other : bits;
    }
    __syncthreads();   // an earlier reduction may still be reading
    if (lane == 0)
        largest[threadIdx.x / WARP] = bits;
    __syncthreads();
    if (threadIdx.x == 0) {
#pragma unroll
        for (int warp = 1; warp < THREADS / WARP; ++warp)
            bits = largest[warp] > bits ? largest[warp] : bits;
        atomicMax(reinterpret_cast<Bits*>(maximum), bits);
    }
}

// The larger of two values, NaN above everything.
template <typename T>
__device__ __forceinline__ T larger_or_nan(T a, T b)
{
    return b > a || b != b ? b : a;
}

}  // namespace fastimg

#endif
