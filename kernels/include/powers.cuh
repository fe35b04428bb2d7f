// Products of powers of positive numbers, whatever their range. Exponents and mantissas are kept apart: the
// logarithm of a large number has no digits left for its mantissa.
#ifndef FASTIMG_POWERS_CUH
#define FASTIMG_POWERS_CUH

namespace fastimg {

// mantissa · 2^exponent, with the mantissa between √½ and √2.
template <typename T>
struct Split {
    T mantissa, exponent;
};

__device__ __forceinline__ Split<float> split(float x)
{
    const bool is_small = x < 1.17549435e-38f;
    const int bits = __float_as_int(is_small ? x * 16777216.0f : x);
    const int exponent = (bits - 0x3f3504f3) >> 23;
    return {__int_as_float(bits - exponent * (1 << 23)), float(exponent - (is_small ? 24 : 0))};
}

__device__ __forceinline__ Split<double> split(double x)
{
    const bool is_small = x < 2.2250738585072014e-308;
    const long long bits = __double_as_longlong(is_small ? x * 18014398509481984.0 : x);
    const long long exponent = (bits - 0x3fe6a09e667f3bcdLL) >> 52;
    return {__longlong_as_double(bits - exponent * (1LL << 52)), double(exponent - (is_small ? 54 : 0))};
}

// Not to be contracted with what follows
__device__ __forceinline__ float rounded_product(float a, float b) { return __fmul_rn(a, b); }
__device__ __forceinline__ double rounded_product(double a, double b) { return __dmul_rn(a, b); }

template <typename T>
__device__ __forceinline__ bool is_split(T x)
{
    return x > T(0) && isfinite(x);
}

// The largest power of two up to x is 2^e: 2^-e, for normal numbers.
__device__ __forceinline__ float inverse_power(float x)
{
    const int field = __float_as_int(x) >> 23;
    return field > 0 && field < 254 ? __int_as_float((254 - field) * (1 << 23)) : 1.0f;
}

__device__ __forceinline__ double inverse_power(double x)
{
    const long long field = __double_as_longlong(x) >> 52;
    return field > 0 && field < 2046 ? __longlong_as_double((2046 - field) * (1LL << 52)) : 1.0;
}

// A product of powers. Weights are sums of two numbers, as 0.1 in single precision is off by more than the
// result may be.
template <typename T>
class Product {
    T whole = T(0), part = T(0), special = T(1);

public:
    // Multiply by the power of a split number.
    __device__ __forceinline__ void multiply(Split<T> x, T weight, T weight_rest)
    {
        const T power = rounded_product(weight, x.exponent), nearest = rint(power);
        whole += nearest;
        part += (power - nearest) + (fma(weight, x.exponent, -power) + weight_rest * x.exponent) +
                weight * log2(x.mantissa);
    }

    // The same for any x; the power of 0 is 0, those of inf and NaN are themselves.
    __device__ __forceinline__ void multiply(T x, T weight, T weight_rest)
    {
        if (is_split(x))
            multiply(split(x), weight, weight_rest);
        else
            special *= sqrt(x);
    }

    // x times the product.
    __device__ __forceinline__ T times(T x) const
    {
        const T nearest = rint(part), power = whole + nearest;
        const T kept = power > T(5000) ? T(5000) : power < T(-5000) ? T(-5000) : power;
        return special * ldexp(x * exp2(part - nearest), int(kept));
    }
};

}  // namespace fastimg

#endif
