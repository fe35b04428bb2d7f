// Sub-pixel registration of stacks of image pairs by cross-correlation (Guizar-Sicairos, Thurman and Fienup,
// Optics Letters 33, 156, 2008). The launchers, with the shapes of all arrays, are in registration.py.
//
// T is float or double, a stack holds images of height × width = pixels, and an input that is the same for
// every pair is a stack of one. Every sum has a fixed order: the same input gives the same bits, whatever
// other pairs are in the stack. The grids are one-dimensional: only gridDim.x may be more than 65,535.
//
// Bytes are global memory traffic per pixel and pair, with s = sizeof(T); flops count an FMA as two.
//
// @instantiate EXPRESSION REGISTERS: the kernels to compile, and the registers that each may use.
// @instantiate weighted_energy<float> 40
// @instantiate weighted_energy<double> 56
// @instantiate pack_pairs<float> 64
// @instantiate pack_pairs<double> 64
// @instantiate apply_weight<float> 48
// @instantiate apply_weight<double> 64
// @instantiate cross_power_packed<float> 56
// @instantiate cross_power_packed<double> 56
// @instantiate cross_power<float> 56
// @instantiate cross_power<double> 56
// @instantiate sum_energy_parts 64
// @instantiate correlation_peak<float> 48
// @instantiate correlation_peak<double> 48
// @instantiate last_peak 40

#include "complex.cuh"
#include "indexing.cuh"
#include "reductions.cuh"

using namespace fastimg;

constexpr int THREADS = 256;      // of a block, where nothing else is said
// Loads that a thread starts before it uses the first.
template <typename T>
constexpr int LOADS = 16 / sizeof(T);

template <typename T>
constexpr T EPSILON = sizeof(T) == 4 ? T(1.1920928955078125e-07) : T(2.220446049250313e-16);

// The start of image `item` of a stack; a stack of one image serves every item.
template <typename T>
__device__ __forceinline__ const T* image_of(const T* stack, long long images, long long item,
                                             long long pixels)
{
    return stack + (images == 1 ? 0 : item) * pixels;
}

// partial[image, part] = sum of (weight image)², over first the references, then the moving images.
// A block per part, consecutive threads on consecutive pixels. Bytes: s per image. Flops: 3.
template <typename T>
__global__ void __launch_bounds__(THREADS)
weighted_energy(const T* __restrict__ reference, const T* __restrict__ moving, const T* __restrict__ weight,
                long long references, long long pixels, long long parts, double* __restrict__ partial)
{
    const Part part = part_of_block(pixels, parts);
    const T* image = part.item < references ? reference + part.item * pixels
                                            : moving + (part.item - references) * pixels;
    double sum = 0;
    for (long long first = part.begin + threadIdx.x; first < part.end; first += LOADS<T> * THREADS) {
        T value[LOADS<T>];
#pragma unroll
        for (int i = 0; i < LOADS<T>; ++i) {
            const long long pixel = first + i * THREADS;
            value[i] = pixel < part.end ? weight[pixel] * image[pixel] : T(0);
        }
#pragma unroll
        for (int i = 0; i < LOADS<T>; ++i)
            sum += double(value[i]) * double(value[i]);
    }
    sum = block_sum<THREADS>(sum);
    if (threadIdx.x == 0)
        partial[blockIdx.x] = sum;
}

// The factor that brings the moving image to the reference's energy.
__device__ __forceinline__ double balance(double reference_energy, double moving_energy)
{
    return reference_energy > 0 && moving_energy > 0 ? sqrt(reference_energy / moving_energy) : 1.0;
}

// packed = weight (reference + i scale moving), energy = pixels * sum of partial. A block per part; each sums
// the partial energies of its pair again, which is cheaper than a launch. Bytes: 4 s. Flops: 3.
template <typename T>
__global__ void __launch_bounds__(THREADS)
pack_pairs(const T* __restrict__ reference, const T* __restrict__ moving, const T* __restrict__ weight,
           const double* __restrict__ partial, long long references, long long movings, long long pixels,
           long long parts, complex<T>* __restrict__ packed, double* __restrict__ energy)
{
    const Part part = part_of_block(pixels, parts);
    const double* reference_partial = image_of(partial, references, part.item, parts);
    const double* moving_partial = image_of(partial + references * parts, movings, part.item, parts);
    double reference_energy = 0, moving_energy = 0;
    for (long long i = threadIdx.x; i < parts; i += THREADS) {
        reference_energy += reference_partial[i];
        moving_energy += moving_partial[i];
    }
    reference_energy = double(pixels) * block_sum<THREADS>(reference_energy);
    moving_energy = double(pixels) * block_sum<THREADS>(moving_energy);
    if (part.begin == 0 && threadIdx.x == 0) {
        energy[2 * part.item] = reference_energy;
        energy[2 * part.item + 1] = moving_energy;
    }
    const T scale = T(balance(reference_energy, moving_energy));
    const T* reference_image = image_of(reference, references, part.item, pixels);
    const T* moving_image = image_of(moving, movings, part.item, pixels);
    complex<T>* out = packed + part.item * pixels;
    for (long long first = part.begin + threadIdx.x; first < part.end; first += LOADS<T> * THREADS) {
        complex<T> value[LOADS<T>];
#pragma unroll
        for (int i = 0; i < LOADS<T>; ++i) {
            const long long pixel = first + i * THREADS;
            if (pixel < part.end)
                value[i] = complex<T>{reference_image[pixel], scale * moving_image[pixel]} * weight[pixel];
        }
#pragma unroll
        for (int i = 0; i < LOADS<T>; ++i)
            if (first + i * THREADS < part.end)
                out[first + i * THREADS] = value[i];
    }
}

// out = weight image, for complex images. A block per part. Bytes: 4 s. Flops: 2.
template <typename T>
__global__ void __launch_bounds__(THREADS)
apply_weight(const complex<T>* __restrict__ image, const T* __restrict__ weight, long long pixels,
             long long parts, complex<T>* __restrict__ out)
{
    const Part part = part_of_block(pixels, parts);
    for (long long first = part.begin + threadIdx.x; first < part.end; first += LOADS<T> * THREADS) {
        complex<T> value[LOADS<T>];
#pragma unroll
        for (int i = 0; i < LOADS<T>; ++i) {
            const long long pixel = first + i * THREADS;
            if (pixel < part.end)
                value[i] = image[part.item * pixels + pixel] * weight[pixel];
        }
#pragma unroll
        for (int i = 0; i < LOADS<T>; ++i)
            if (first + i * THREADS < part.end)
                out[part.item * pixels + first + i * THREADS] = value[i];
    }
}

// The phase correlation divides by the modulus, unless that is rounding error.
template <typename T>
__device__ __forceinline__ complex<T> normalised(complex<T> product, bool phase)
{
    if (!phase)
        return product;
    const T modulus = magnitude(product), smallest = 100 * EPSILON<T>;
    return product * (1 / (modulus > smallest ? modulus : smallest));
}

// From Z = FFT2(packed): R(k) = (Z(k) + conj Z(-k)) / 2, M(k) = (Z(k) - conj Z(-k)) / (2i scale), and
// product = R conj(M), whose value at -k is the conjugate. A block per part of the half plane 2 kx <= width;
// a thread reads k and -k once and writes both, but only its own where -k is in the half plane, too.
// Bytes: 4 s. Flops: 8 (phase: about 20).
template <typename T>
__global__ void __launch_bounds__(THREADS)
cross_power_packed(const complex<T>* __restrict__ packed_freq, const double* __restrict__ energy,
                   long long height, long long width, long long parts, bool phase,
                   complex<T>* __restrict__ product)
{
    const long long columns = width / 2 + 1;
    const Part part = part_of_block(height * columns, parts);
    const double reference_energy = energy[2 * part.item], moving_energy = energy[2 * part.item + 1];
    // The separated spectrum of an empty image is rounding error, which must not be normalised.
    const bool empty = reference_energy == 0 || moving_energy == 0;
    const T factor = empty ? T(0) : T(0.25 / balance(reference_energy, moving_energy));
    const complex<T>* spectrum = packed_freq + part.item * height * width;
    complex<T>* out = product + part.item * height * width;
    for (long long first = part.begin + threadIdx.x; first < part.end; first += LOADS<T> * THREADS) {
        complex<T> here[LOADS<T>], opposite[LOADS<T>];
#pragma unroll
        for (int i = 0; i < LOADS<T>; ++i) {
            const long long point = first + i * THREADS;
            if (point >= part.end)
                break;
            const long long row = point / columns, column = point % columns;
            here[i] = spectrum[row * width + column];
            opposite[i] =
                spectrum[opposite_frequency(row, height) * width + opposite_frequency(column, width)];
        }
#pragma unroll
        for (int i = 0; i < LOADS<T>; ++i) {
            const long long point = first + i * THREADS;
            if (point >= part.end)
                break;
            const long long row = point / columns, column = point % columns;
            const complex<T> mirrored = conj(opposite[i]);
            const complex<T> unscaled = times_i((here[i] + mirrored) * conj(here[i] - mirrored));
            const complex<T> value = normalised(unscaled * factor, phase);
            out[row * width + column] = value;
            if (column != 0 && 2 * column != width)
                out[opposite_frequency(row, height) * width + width - column] = conj(value);
        }
    }
}

// product = reference_freq conj(moving_freq); partial[pair, part] = the sums of |.|² of both.
// A block per part. Bytes: 6 s. Flops: 14 (phase: about 26).
template <typename T>
__global__ void __launch_bounds__(THREADS)
cross_power(const complex<T>* __restrict__ reference_freq, const complex<T>* __restrict__ moving_freq,
            long long references, long long movings, long long pixels, long long parts, bool phase,
            complex<T>* __restrict__ product, double* __restrict__ partial)
{
    const Part part = part_of_block(pixels, parts);
    const complex<T>* reference = image_of(reference_freq, references, part.item, pixels);
    const complex<T>* moving = image_of(moving_freq, movings, part.item, pixels);
    double reference_energy = 0, moving_energy = 0;
    for (long long first = part.begin + threadIdx.x; first < part.end; first += LOADS<T> * THREADS) {
        complex<T> r[LOADS<T>], m[LOADS<T>];
#pragma unroll
        for (int i = 0; i < LOADS<T>; ++i) {
            const long long pixel = first + i * THREADS;
            r[i] = pixel < part.end ? reference[pixel] : complex<T>{};
            m[i] = pixel < part.end ? moving[pixel] : complex<T>{};
        }
#pragma unroll
        for (int i = 0; i < LOADS<T>; ++i) {
            const long long pixel = first + i * THREADS;
            reference_energy += abs2(widen(r[i]));
            moving_energy += abs2(widen(m[i]));
            if (pixel < part.end)
                product[part.item * pixels + pixel] = normalised(r[i] * conj(m[i]), phase);
        }
    }
    reference_energy = block_sum<THREADS>(reference_energy);
    moving_energy = block_sum<THREADS>(moving_energy);
    if (threadIdx.x == 0) {
        partial[2 * blockIdx.x] = reference_energy;
        partial[2 * blockIdx.x + 1] = moving_energy;
    }
}

// energy[pair] = sum of partial[pair, part] over the parts. A warp per pair.
__global__ void __launch_bounds__(THREADS)
sum_energy_parts(const double* __restrict__ partial, long long pairs, long long parts,
                 double* __restrict__ energy)
{
    const long long pair = (blockIdx.x * (long long)THREADS + threadIdx.x) / WARP;
    const int lane = threadIdx.x % WARP;
    if (pair >= pairs)
        return;
    double reference_energy = 0, moving_energy = 0;
    for (long long part = lane; part < parts; part += WARP) {
        reference_energy += partial[2 * (pair * parts + part)];
        moving_energy += partial[2 * (pair * parts + part) + 1];
    }
    reference_energy = warp_sum(reference_energy);
    moving_energy = warp_sum(moving_energy);
    if (lane == 0) {
        energy[2 * pair] = reference_energy;
        energy[2 * pair + 1] = moving_energy;
    }
}

// The largest |correlation|² of each part and its flat index in the image. A block per part. The squares are
// double: those of small or large float images would leave float's range. Bytes: 2 s. Flops: 3.
template <typename T>
__global__ void __launch_bounds__(THREADS)
correlation_peak(const complex<T>* __restrict__ correlation, long long pixels, long long parts,
                 double* __restrict__ part_value, long long* __restrict__ part_peak)
{
    const Part part = part_of_block(pixels, parts);
    const complex<T>* image = correlation + part.item * pixels;
    Maximum<double> best{-1, -1};
    for (long long first = part.begin + threadIdx.x; first < part.end; first += LOADS<T> * THREADS) {
        complex<T> value[LOADS<T>];
#pragma unroll
        for (int i = 0; i < LOADS<T>; ++i)
            if (first + i * THREADS < part.end)
                value[i] = image[first + i * THREADS];
#pragma unroll
        for (int i = 0; i < LOADS<T>; ++i)
            if (first + i * THREADS < part.end)
                keep_larger(best, abs2(widen(value[i])), first + i * THREADS);
    }
    best = block_maximum<THREADS>(best);
    if (threadIdx.x == 0) {
        part_value[blockIdx.x] = best.value;
        part_peak[blockIdx.x] = best.index;
    }
}

// peak[pair] = the best of its parts. A warp per pair.
__global__ void __launch_bounds__(THREADS)
last_peak(const double* __restrict__ part_value, const long long* __restrict__ part_peak, long long pairs,
          long long parts, long long* __restrict__ peak)
{
    const long long pair = (blockIdx.x * (long long)THREADS + threadIdx.x) / WARP;
    const int lane = threadIdx.x % WARP;
    if (pair >= pairs)
        return;
    Maximum<double> best{0, -1};
    for (long long part = lane; part < parts; part += WARP)
        best = larger(best, {part_value[pair * parts + part], part_peak[pair * parts + part]});
    best = warp_maximum(best);
    if (lane == 0)
        peak[pair] = best.index;
}
