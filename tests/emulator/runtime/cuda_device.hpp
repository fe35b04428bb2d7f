// What a CUDA kernel sees when g++ compiles it: qualifiers, vector types, built-in variables, barriers
// and warp functions. Mathematics and atomics are in their own headers, included at the end; the
// functions declared here without a body are in scheduler.cpp and checks.cpp.
#pragma once
#include <math.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <source_location>
#include <type_traits>

// Memory accesses in such a function are not reported to the checks.
#define FASTIMG_EMULATOR_UNCHECKED __attribute__((no_sanitize("thread")))
// Inlined whatever the optimisation level, so that a return address leads to the line of the kernel.
#define FASTIMG_EMULATOR_INLINE inline __attribute__((always_inline))

#define __global__
#define __device__
#define __host__
#define __constant__
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#ifndef __restrict__
#define __restrict__ __restrict
#endif
// The thread-local block of a module serves as its static shared memory: unlike a linker section, it
// takes the static variables of templates too. The alignment leaves gaps, so that an overrun of a small
// array falls into one instead of into the next array.
#define __shared__ static thread_local __attribute__((aligned(64)))

#define FASTIMG_EMULATOR_VECTORS(type, name, align2, align4)                    \
    struct __align__(align2) name##2 { type x, y; };                            \
    struct name##3 { type x, y, z; };                                           \
    struct __align__(align4) name##4 { type x, y, z, w; };                      \
    inline name##2 make_##name##2(type x, type y) { return {x, y}; }            \
    inline name##3 make_##name##3(type x, type y, type z) { return {x, y, z}; } \
    inline name##4 make_##name##4(type x, type y, type z, type w) { return {x, y, z, w}; }
FASTIMG_EMULATOR_VECTORS(signed char, char, 2, 4)
FASTIMG_EMULATOR_VECTORS(unsigned char, uchar, 2, 4)
FASTIMG_EMULATOR_VECTORS(short, short, 4, 8)
FASTIMG_EMULATOR_VECTORS(unsigned short, ushort, 4, 8)
FASTIMG_EMULATOR_VECTORS(int, int, 8, 16)
FASTIMG_EMULATOR_VECTORS(unsigned, uint, 8, 16)
FASTIMG_EMULATOR_VECTORS(long long, longlong, 16, 16)
FASTIMG_EMULATOR_VECTORS(unsigned long long, ulonglong, 16, 16)
FASTIMG_EMULATOR_VECTORS(float, float, 8, 16)
FASTIMG_EMULATOR_VECTORS(double, double, 16, 16)
#undef FASTIMG_EMULATOR_VECTORS

struct dim3 {
    unsigned x = 1, y = 1, z = 1;
};

// Constant for a kernel, so that reading them is not instrumented; the scheduler sets them.
#ifdef FASTIMG_EMULATOR_RUNTIME
extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;
#else
extern const uint3 threadIdx, blockIdx;
extern const dim3 blockDim, gridDim;
#endif
inline constexpr int warpSize = 32;

namespace emulator {
using Location = std::source_location;

enum class Barrier { plain, count, all, any };
enum class WarpFunction { shfl, shfl_down, shfl_up, shfl_xor, ballot, reduce, sync };

// Waits for the block; returns the count, conjunction or disjunction of `predicate`.
int block_barrier(Barrier kind, bool predicate, Location where);
// Waits for the lanes in `mask`; returns the 32 values and sets `present` to the lanes that came.
const uint64_t* warp_exchange(unsigned mask, WarpFunction kind, uint64_t bits, unsigned* present,
                              Location where);
unsigned lane_index();
void* dynamic_shared();
void memory_fence();
void checked_copy(void* to, const void* from, size_t size);
[[noreturn]] void refuse(const char* what, Location where);

template <class T>
uint64_t to_bits(T value) {
    static_assert(sizeof(T) <= 8 && std::is_arithmetic_v<T>, "CUDA exchanges numbers of at most 8 bytes");
    uint64_t bits = 0;
    __builtin_memcpy(&bits, &value, sizeof(T));
    return bits;
}
template <class T>
T from_bits(uint64_t bits) {
    T value;
    __builtin_memcpy(&value, &bits, sizeof(T));
    return value;
}

template <class T>
FASTIMG_EMULATOR_UNCHECKED T shuffle(unsigned mask, WarpFunction kind, T value, int source, Location where) {
    unsigned present;
    const uint64_t* values = warp_exchange(mask, kind, to_bits(value), &present, where);
    if (!(present >> source & 1))
        refuse(
            "shuffle from an absent lane: its value is undefined where it has returned or is not in the mask",
            where);
    return from_bits<T>(values[source]);
}

template <class T, class Combine>
FASTIMG_EMULATOR_UNCHECKED T warp_reduce(unsigned mask, T value, Combine combine, Location where) {
    static_assert(std::is_integral_v<T> && sizeof(T) == 4, "__reduce_*_sync takes 32-bit integers");
    unsigned present;
    const uint64_t* values = warp_exchange(mask, WarpFunction::reduce, to_bits(value), &present, where);
    T result = from_bits<T>(values[__builtin_ctz(present)]);
    for (int lane = __builtin_ctz(present) + 1; lane < 32; ++lane)
        if (present >> lane & 1) result = combine(result, from_bits<T>(values[lane]));
    return result;
}
}  // namespace emulator

// Each function below takes the caller's source line as a hidden last argument.
#define FASTIMG_EMULATOR_HERE emulator::Location where = emulator::Location::current()

inline void __syncthreads(FASTIMG_EMULATOR_HERE) {
    emulator::block_barrier(emulator::Barrier::plain, false, where);
}
inline int __syncthreads_count(int predicate, FASTIMG_EMULATOR_HERE) {
    return emulator::block_barrier(emulator::Barrier::count, predicate, where);
}
inline int __syncthreads_and(int predicate, FASTIMG_EMULATOR_HERE) {
    return emulator::block_barrier(emulator::Barrier::all, predicate, where);
}
inline int __syncthreads_or(int predicate, FASTIMG_EMULATOR_HERE) {
    return emulator::block_barrier(emulator::Barrier::any, predicate, where);
}
inline void __syncwarp(unsigned mask = ~0u, FASTIMG_EMULATOR_HERE) {
    unsigned present;
    emulator::warp_exchange(mask, emulator::WarpFunction::sync, 0, &present, where);
}
inline void __threadfence() { emulator::memory_fence(); }
inline void __threadfence_block() {}

template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32, FASTIMG_EMULATOR_HERE) {
    const int first = int(emulator::lane_index()) & ~(width - 1);
    return emulator::shuffle(mask, emulator::WarpFunction::shfl, value, first + (source & (width - 1)),
                             where);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, FASTIMG_EMULATOR_HERE) {
    const int lane = int(emulator::lane_index()), inside = lane & (width - 1);
    const int source = inside + int(delta) < width ? lane + int(delta) : lane;
    return emulator::shuffle(mask, emulator::WarpFunction::shfl_down, value, source, where);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, FASTIMG_EMULATOR_HERE) {
    const int lane = int(emulator::lane_index()), inside = lane & (width - 1);
    const int source = inside >= int(delta) ? lane - int(delta) : lane;
    return emulator::shuffle(mask, emulator::WarpFunction::shfl_up, value, source, where);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32, FASTIMG_EMULATOR_HERE) {
    const int lane = int(emulator::lane_index()), source = lane ^ bits;
    const bool reachable = (source & ~(width - 1)) <= (lane & ~(width - 1));
    return emulator::shuffle(mask, emulator::WarpFunction::shfl_xor, value, reachable ? source : lane, where);
}
FASTIMG_EMULATOR_UNCHECKED inline unsigned __ballot_sync(unsigned mask, int predicate,
                                                         FASTIMG_EMULATOR_HERE) {
    unsigned present, votes = 0;
    const uint64_t* values =
        emulator::warp_exchange(mask, emulator::WarpFunction::ballot, predicate != 0, &present, where);
    for (int lane = 0; lane < 32; ++lane)
        if (present >> lane & 1 && values[lane]) votes |= 1u << lane;
    return votes;
}
inline int __any_sync(unsigned mask, int predicate, FASTIMG_EMULATOR_HERE) {
    return __ballot_sync(mask, predicate, where) != 0;
}
inline int __all_sync(unsigned mask, int predicate, FASTIMG_EMULATOR_HERE) {
    return __ballot_sync(mask, !predicate, where) == 0;
}
template <class T>
T __reduce_add_sync(unsigned mask, T value, FASTIMG_EMULATOR_HERE) {
    return emulator::warp_reduce(mask, value, [](T a, T b) { return T(unsigned(a) + unsigned(b)); }, where);
}
template <class T>
T __reduce_max_sync(unsigned mask, T value, FASTIMG_EMULATOR_HERE) {
    return emulator::warp_reduce(mask, value, [](T a, T b) { return a > b ? a : b; }, where);
}
template <class T>
T __reduce_min_sync(unsigned mask, T value, FASTIMG_EMULATOR_HERE) {
    return emulator::warp_reduce(mask, value, [](T a, T b) { return a < b ? a : b; }, where);
}
inline unsigned __activemask(FASTIMG_EMULATOR_HERE) {
    emulator::refuse("__activemask() has no defined meaning between two statements; name the lanes", where);
}

template <class T>
T __ldg(const T* address) {
    return *address;
}
template <class T>
T __ldcs(const T* address) {
    return *address;
}
template <class T>
T __ldcg(const T* address) {
    return *address;
}
template <class T>
void __stcs(T* address, T value) {
    *address = value;
}
// The compiler does not instrument calls of memcpy.
#define memcpy(to, from, size) emulator::checked_copy(to, from, size)

#include "cuda_atomics.hpp"
#include "cuda_math.hpp"
