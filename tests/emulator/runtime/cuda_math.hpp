// CUDA's mathematical functions that <math.h> lacks. libstdc++'s <math.h> already overloads sqrt, fma,
// exp and the like for float, as CUDA does.
#pragma once

namespace emulator {
// sin and cos of pi x, exact at multiples of one half as CUDA's are. double carries the float version too.
inline void sine_cosine_of_pi_times(double x, double* sine, double* cosine) {
    const double turn = x - 2 * ::rint(x / 2);
    const double quadrant = ::rint(2 * turn), rest = 3.141592653589793 * (turn - quadrant / 2);
    const double s = ::sin(rest), c = ::cos(rest);
    switch (int(quadrant) & 3) {
        case 0: *sine = s, *cosine = c; break;
        case 1: *sine = c, *cosine = -s; break;
        case 2: *sine = -s, *cosine = -c; break;
        default: *sine = -c, *cosine = s;
    }
}
}  // namespace emulator

FASTIMG_EMULATOR_UNCHECKED inline void sincospi(double x, double* sine, double* cosine) {
    double s = x, c = x;
    if (::isfinite(x))
        emulator::sine_cosine_of_pi_times(x, &s, &c);
    else
        s = c = x - x;
    *sine = s, *cosine = c;
}
inline void sincospif(float x, float* sine, float* cosine) {
    double s, c;
    sincospi(double(x), &s, &c);
    *sine = float(s), *cosine = float(c);
}
inline void sincospi(float x, float* sine, float* cosine) { sincospif(x, sine, cosine); }
inline double sinpi(double x) {
    double s, c;
    sincospi(x, &s, &c);
    return s;
}
inline double cospi(double x) {
    double s, c;
    sincospi(x, &s, &c);
    return c;
}
inline float sinpif(float x) { return float(sinpi(double(x))); }
inline float cospif(float x) { return float(cospi(double(x))); }
inline float sinpi(float x) { return sinpif(x); }
inline float cospi(float x) { return cospif(x); }
inline void sincos(float x, float* sine, float* cosine) { *sine = ::sinf(x), *cosine = ::cosf(x); }

inline double rsqrt(double x) { return 1.0 / ::sqrt(x); }
inline float rsqrtf(float x) { return float(1.0 / ::sqrt(double(x))); }
inline float rsqrt(float x) { return rsqrtf(x); }
inline float exp10f(float x) { return ::powf(10.0f, x); }
inline double normcdf(double x) { return 0.5 * ::erfc(-x * 0.7071067811865476); }

inline float __expf(float x) { return ::expf(x); }
inline float __logf(float x) { return ::logf(x); }
inline float __log2f(float x) { return ::log2f(x); }
inline float __sinf(float x) { return ::sinf(x); }
inline float __cosf(float x) { return ::cosf(x); }
inline void __sincosf(float x, float* sine, float* cosine) { *sine = ::sinf(x), *cosine = ::cosf(x); }
inline float __powf(float x, float y) { return ::powf(x, y); }
inline float __fdividef(float x, float y) { return x / y; }
inline float __frcp_rn(float x) { return 1.0f / x; }
inline float __fsqrt_rn(float x) { return ::sqrtf(x); }
inline float __frsqrt_rn(float x) { return rsqrtf(x); }
inline float __fmaf_rn(float a, float b, float c) { return ::fmaf(a, b, c); }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline double __fma_rn(double a, double b, double c) { return ::fma(a, b, c); }
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dsub_rn(double a, double b) { return a - b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline float __saturatef(float x) { return x > 0 ? (x < 1 ? x : 1.0f) : 0.0f; }
inline int __float2int_rn(float x) { return int(::rintf(x)); }
inline int __float2int_rd(float x) { return int(::floorf(x)); }
inline int __float2int_rz(float x) { return int(x); }
inline int __double2int_rn(double x) { return int(::rint(x)); }
inline long long __double2ll_rn(double x) { return (long long)(::rint(x)); }

inline int __float_as_int(float x) { return emulator::from_bits<int>(emulator::to_bits(x)); }
inline unsigned __float_as_uint(float x) { return emulator::from_bits<unsigned>(emulator::to_bits(x)); }
inline float __int_as_float(int x) { return emulator::from_bits<float>(emulator::to_bits(x)); }
inline float __uint_as_float(unsigned x) { return emulator::from_bits<float>(emulator::to_bits(x)); }
inline long long __double_as_longlong(double x) {
    return emulator::from_bits<long long>(emulator::to_bits(x));
}
inline double __longlong_as_double(long long x) { return emulator::from_bits<double>(emulator::to_bits(x)); }

inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __clz(int x) { return x ? __builtin_clz(unsigned(x)) : 32; }
inline int __clzll(long long x) { return x ? __builtin_clzll((unsigned long long)(x)) : 64; }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __mul24(int a, int b) { return a * b; }
inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned((unsigned long long)(a)*b >> 32); }

// Like CUDA's overloads, these ignore NaN in floating point.
template <class A, class B>
constexpr auto min(A a, B b) {
    using T = std::common_type_t<A, B>;
    if constexpr (std::is_floating_point_v<T>)
        return T(::fmin(T(a), T(b)));
    else
        return T(a) < T(b) ? T(a) : T(b);
}
template <class A, class B>
constexpr auto max(A a, B b) {
    using T = std::common_type_t<A, B>;
    if constexpr (std::is_floating_point_v<T>)
        return T(::fmax(T(a), T(b)));
    else
        return T(a) > T(b) ? T(a) : T(b);
}
