// Complex numbers with the memory layout of complex64 and complex128 (and of CUDA's float2 and double2).
#ifndef FASTIMG_COMPLEX_CUH
#define FASTIMG_COMPLEX_CUH

namespace fastimg {

// No constructors: shared memory holds only trivial types. Write complex<T>{real, imag}; complex<T>{} is 0.
template <typename T>
struct alignas(2 * sizeof(T)) complex {
    T real, imag;
};

template <typename T>
__device__ __forceinline__ complex<T> operator+(complex<T> a, complex<T> b)
{
    return {a.real + b.real, a.imag + b.imag};
}

template <typename T>
__device__ __forceinline__ complex<T> operator-(complex<T> a, complex<T> b)
{
    return {a.real - b.real, a.imag - b.imag};
}

template <typename T>
__device__ __forceinline__ complex<T> operator*(complex<T> a, complex<T> b)
{
    return {a.real * b.real - a.imag * b.imag, a.real * b.imag + a.imag * b.real};
}

template <typename T>
__device__ __forceinline__ complex<T> operator*(complex<T> a, T b)
{
    return {a.real * b, a.imag * b};
}

template <typename T>
__device__ __forceinline__ complex<T>& operator+=(complex<T>& a, complex<T> b)
{
    return a = a + b;
}

template <typename T>
__device__ __forceinline__ complex<T> conj(complex<T> a)
{
    return {a.real, -a.imag};
}

// i a
template <typename T>
__device__ __forceinline__ complex<T> times_i(complex<T> a)
{
    return {-a.imag, a.real};
}

// c + a b. The compiler makes four fused multiply-adds of it.
template <typename T>
__device__ __forceinline__ complex<T> multiply_add(complex<T> a, complex<T> b, complex<T> c)
{
    return {c.real + a.real * b.real - a.imag * b.imag, c.imag + a.real * b.imag + a.imag * b.real};
}

template <typename T>
__device__ __forceinline__ complex<T> multiply_add(complex<T> a, T b, complex<T> c)
{
    return {c.real + a.real * b, c.imag + a.imag * b};
}

// c + a conj(b)
template <typename T>
__device__ __forceinline__ complex<T> multiply_conj_add(complex<T> a, complex<T> b, complex<T> c)
{
    return {c.real + a.real * b.real + a.imag * b.imag, c.imag - a.real * b.imag + a.imag * b.real};
}

// |a|²
template <typename T>
__device__ __forceinline__ T abs2(complex<T> a)
{
    return a.real * a.real + a.imag * a.imag;
}

// |a|, also where |a|² would overflow or vanish
__device__ __forceinline__ float magnitude(complex<float> a) { return hypotf(a.real, a.imag); }
__device__ __forceinline__ double magnitude(complex<double> a) { return hypot(a.real, a.imag); }

template <typename T>
__device__ __forceinline__ complex<double> widen(complex<T> a)
{
    return {double(a.real), double(a.imag)};
}

// exp(πi x)
__device__ __forceinline__ complex<float> exp_pi_i(float x)
{
    complex<float> z;
    sincospif(x, &z.imag, &z.real);
    return z;
}

__device__ __forceinline__ complex<double> exp_pi_i(double x)
{
    complex<double> z;
    sincospi(x, &z.imag, &z.real);
    return z;
}

// exp(2πi frequency position / length), exact to the last bits of T however many turns that is: the product
// is formed with its rounding error and reduced to less than a turn before anything is rounded to T.
template <typename T>
__device__ __forceinline__ complex<T> fourier_phase(double frequency, double length, double position)
{
    const double product = frequency * position;
    const double error = fma(frequency, position, -product);
    const double remainder = fma(-rint(product / length), length, product) + error;
    return exp_pi_i(T(2 * remainder / length));
}

}  // namespace fastimg

#endif
