// The positions of a ptychographic scan: the signals that tell how far they are off, their steps, and the
// boxes they stand for. Launchers: pie.py; notation as in pie.cu.
//
// @instantiate EXPRESSION REGISTERS: the kernels to compile, and the registers that each may use.
// @instantiate place_boxes 40
// @instantiate move_positions<float> 48
// @instantiate move_positions<double> 48
// @instantiate signal_sums<float> 64
// @instantiate signal_sums<double> 64
// @instantiate signal_boxes<float> 64
// @instantiate signal_boxes<double> 80
// @instantiate detector_sums<float> 64
// @instantiate detector_sums<double> 64
// @instantiate detector_boxes<float> 72
// @instantiate detector_boxes<double> 72
// @instantiate gradient_sums<float> 80
// @instantiate gradient_sums<double> 80
// @instantiate gradient_shift<float> 56
// @instantiate gradient_shift<double> 56

#include "complex.cuh"
#include "indexing.cuh"
#include "reductions.cuh"
#include "boxes.cuh"

using namespace fastimg;

constexpr double DIM = 0.01;  // of the maximum of the power, see window_of
constexpr int THREADS = 128;
template <typename T>
constexpr T TINY = T(1e-30);

// corner = the whole pixels nearest to position, inside the object; fraction = what is left, within ± 1/2, or
// 0. A position that is not finite gets a box inside the object, too. A thread per position.
__global__ void __launch_bounds__(THREADS)
place_boxes(const double* __restrict__ position, const long long* __restrict__ selection, long long last_row,
            long long last_column, bool subpixel, long long positions, long long fractions,
            long long* __restrict__ corner, double* __restrict__ fraction)
{
    const long long b = blockIdx.x * (long long)THREADS + threadIdx.x;
    if (b >= positions)
        return;
#pragma unroll
    for (int axis = 0; axis < 2; ++axis) {
        const double place = position[2 * selection[b] + axis];
        // fmax(NaN, 0) is 0
        const double whole = fmin(fmax(rint(place), 0.0), double(axis ? last_column : last_row));
        corner[2 * b + axis] = (long long)whole;
        if (fractions > 0) {
            const double rest = place - whole;
            fraction[2 * b + axis] = !subpixel ? 0.0 : rest < -0.5 ? -0.5 : rest > 0.5 ? 0.5 : rest;
        }
    }
}

// Move positions against their shifts: by Adam's rule (Kingma and Ba, 2015), with moments of each position's
// own, or in proportion; by at most max_step. A thread per position.
template <typename T>
__global__ void __launch_bounds__(THREADS)
move_positions(double* __restrict__ position, const long long* __restrict__ selection,
               const T* __restrict__ shift, const double* __restrict__ gain, bool adam, double max_step,
               long long positions, double* __restrict__ first, double* __restrict__ second,
               long long* __restrict__ count, double* __restrict__ last)
{
    const long long b = blockIdx.x * (long long)THREADS + threadIdx.x;
    if (b >= positions)
        return;
    const long long j = selection[b];
    double mean_bias = 0, square_bias = 0;
    if (adam) {
        const long long age = ++count[j];
        mean_bias = 1 - pow(0.9, double(age));
        square_bias = 1 - pow(0.999, double(age));
    }
#pragma unroll
    for (int axis = 0; axis < 2; ++axis) {
        const double measured = double(shift[2 * b + axis]);
        const double moved = isfinite(measured) ? measured : 0.0;  // not finite where the object diverges
        last[2 * j + axis] = moved;
        double direction = moved;
        if (adam) {
            const double mean = 0.9 * first[2 * j + axis] + 0.1 * moved;
            const double square = 0.999 * second[2 * j + axis] + 0.001 * (moved * moved);
            first[2 * j + axis] = mean;
            second[2 * j + axis] = square;
            direction = mean / mean_bias / (sqrt(square / square_bias) + 1e-8);
        }
        const double step = gain[axis] * direction;
        position[2 * j + axis] -= step < -max_step ? -max_step : step > max_step ? max_step : step;
    }
}

// The sums of a block's threads, into the N numbers of this block.
template <int N>
__device__ __forceinline__ void store_sums(const double (&sums)[N], double* __restrict__ partial)
{
#pragma unroll
    for (int n = 0; n < N; ++n) {
        const double sum = block_sum<THREADS>(sums[n]);
        if (threadIdx.x == 0)
            partial[(long long)blockIdx.x * N + n] = sum;
    }
}

// The sums over all parts of an item, in every thread of the block.
template <int N>
__device__ __forceinline__ void total_sums(const double* __restrict__ partial, long long item,
                                           long long parts, double (&sums)[N])
{
#pragma unroll
    for (int n = 0; n < N; ++n) {
        double sum = 0;
        for (long long part = threadIdx.x; part < parts; part += THREADS)
            sum += partial[(item * parts + part) * N + n];
        sums[n] = block_sum<THREADS>(sum);
    }
}

// The window of a box: flat where there is light, for its slope times a change of the box's brightness would
// look like a shift; `dim` is 0.01 of the maximum of the power.
template <typename T>
__device__ __forceinline__ T window_of(T power, T dim)
{
    return power > 0 ? power / (power + dim) : T(0);
}

// partial[position, part] = sums of window object (real, imaginary) and of window. A block per part. Bytes: 3 s.
// Flops: 6 and a division.
template <typename T>
__global__ void __launch_bounds__(THREADS, 6)
signal_sums(const complex<T>* __restrict__ object, const long long* __restrict__ corner,
            const T* __restrict__ power, const T* __restrict__ power_peak, long long powers, long long size,
            long long width, long long parts, double* __restrict__ partial)
{
    const long long pixels = size * size;
    const Part part = part_of_block(pixels, parts);
    const Crop crop = crop_from(corner, part.item, part.begin, size, width);
    const long long item = powers == 1 ? 0 : part.item;
    const T* own = power + item * pixels;
    const T dim = T(DIM) * power_peak[item];
    double sums[3] = {};
#pragma unroll 4
    for (long long pixel = part.begin + threadIdx.x; pixel < part.end; pixel += THREADS) {
        const complex<T> here = object[crop[pixel - part.begin]];
        const T window = window_of(own[pixel], dim);
        sums[0] += double(here.real * window);
        sums[1] += double(here.imag * window);
        sums[2] += double(window);
    }
    store_sums(sums, partial);
}

// With mean = sum window object / sum window and change = alpha (numerator - object
// power) / (gamma power_peak + (1 - gamma) power): current = window (object - mean), updated = current +
// window change. A block per part. Bytes: 9 s. Flops: 15 and two divisions.
template <typename T>
__global__ void __launch_bounds__(THREADS)
signal_boxes(const complex<T>* __restrict__ object, const long long* __restrict__ corner,
             const complex<T>* __restrict__ numerator, const T* __restrict__ power,
             const T* __restrict__ power_peak, double alpha, double gamma, long long powers, long long size,
             long long width, long long parts, const double* __restrict__ partial,
             complex<T>* __restrict__ current, complex<T>* __restrict__ updated)
{
    const long long pixels = size * size;
    const Part part = part_of_block(pixels, parts);
    const Crop crop = crop_from(corner, part.item, part.begin, size, width);
    const long long own = powers == 1 ? 0 : part.item;
    double sums[3];
    total_sums(partial, part.item, parts, sums);
    const double windows = sums[2] < TINY<double> ? TINY<double> : sums[2];
    const complex<T> mean{T(sums[0] / windows), T(sums[1] / windows)};
    const T level = T(gamma) * power_peak[own], dim = T(DIM) * power_peak[own];
#pragma unroll 2
    for (long long pixel = part.begin + threadIdx.x; pixel < part.end; pixel += THREADS) {
        const long long place = part.item * pixels + pixel;
        const complex<T> here = object[crop[pixel - part.begin]], value = numerator[place];
        const T lit = power[own * pixels + pixel], window = window_of(lit, dim);
        const T weight = level + T(1 - gamma) * lit;
        const T factor = T(alpha) / (weight > 0 ? weight : T(1));
        const complex<T> centred = here - mean;
        current[place] = centred * window;
        updated[place] = multiply_add(value - here * lit, factor, centred) * window;
    }
}

// The amplitudes of a pixel, modelled and measured, and whether it was measured; what was not, whatever its
// values, is 0.
template <typename T>
struct Amplitudes {
    T modelled, measured;
    bool known;
};

template <typename T>
__device__ __forceinline__ Amplitudes<T> amplitudes(const T* model, const T* intensity,
                                                    const unsigned char* mask, long long masks,
                                                    long long frame, long long item, long long pixel,
                                                    long long pixels)
{
    const bool known = masks == 0 || mask[(masks == 1 ? 0 : frame) * pixels + pixel] != 0;
    const T modelled = known ? model[item * pixels + pixel] : T(0);
    const T measured = known ? intensity[frame * pixels + pixel] : T(0);
    return {sqrt(modelled), sqrt(measured), known};
}

// partial[position, part] = sums of the amplitudes, modelled and measured, and how many were measured. A
// block per part. Bytes: 2 s + 1. Flops: 2 and two roots.
template <typename T>
__global__ void __launch_bounds__(THREADS)
detector_sums(const T* __restrict__ model, const T* __restrict__ intensity,
              const long long* __restrict__ selection, const unsigned char* __restrict__ mask,
              long long masks, long long pixels, long long parts, double* __restrict__ partial)
{
    const Part part = part_of_block(pixels, parts);
    const long long frame = selection[part.item];
    double sums[3] = {};
#pragma unroll 4
    for (long long pixel = part.begin + threadIdx.x; pixel < part.end; pixel += THREADS) {
        const Amplitudes<T> value =
            amplitudes(model, intensity, mask, masks, frame, part.item, pixel, pixels);
        sums[0] += double(value.modelled);
        sums[1] += double(value.measured);
        sums[2] += value.known ? 1.0 : 0.0;
    }
    store_sums(sums, partial);
}

// The amplitudes less their means over what was measured, 0 elsewhere. A block per part. Bytes: 4 s + 1.
// Flops: 2 and two roots.
template <typename T>
__global__ void __launch_bounds__(THREADS, 6)
detector_boxes(const T* __restrict__ model, const T* __restrict__ intensity,
               const long long* __restrict__ selection, const unsigned char* __restrict__ mask,
               long long masks, long long pixels, long long parts, const double* __restrict__ partial,
               T* __restrict__ modelled, T* __restrict__ measured)
{
    const Part part = part_of_block(pixels, parts);
    const long long frame = selection[part.item];
    double sums[3];
    total_sums(partial, part.item, parts, sums);
    const double count = sums[2] < 1 ? 1.0 : sums[2];
    const T model_mean = T(sums[0] / count), mean = T(sums[1] / count);
#pragma unroll 4
    for (long long pixel = part.begin + threadIdx.x; pixel < part.end; pixel += THREADS) {
        const Amplitudes<T> value =
            amplitudes(model, intensity, mask, masks, frame, part.item, pixel, pixels);
        modelled[part.item * pixels + pixel] = value.known ? value.modelled - model_mean : T(0);
        measured[part.item * pixels + pixel] = value.known ? value.measured - mean : T(0);
    }
}

// The slope of a line of a box at element i of `size`: central differences, one-sided at the ends.
template <typename T>
__device__ __forceinline__ complex<T> slope(const complex<T>* here, long long i, long long size,
                                            long long stride)
{
    const bool has_before = i > 0, has_after = i + 1 < size;
    const complex<T> difference = here[has_after ? stride : 0] - here[has_before ? -stride : 0];
    return difference * (has_before && has_after ? T(0.5) : T(1));
}

// With g the slope of the box along rows, then along columns: partial[position, part] = sums of Re conj(g)
// (numerator - object power) and of |g|² power for each. A block per part; the neighbours of a pixel come
// from the cache. Bytes: 5 s. Flops: 30.
template <typename T>
__global__ void __launch_bounds__(THREADS, 4)
gradient_sums(const complex<T>* __restrict__ object, const long long* __restrict__ corner,
              const complex<T>* __restrict__ numerator, const T* __restrict__ power, long long powers,
              long long size, long long width, long long parts, double* __restrict__ partial)
{
    const long long pixels = size * size;
    const Part part = part_of_block(pixels, parts);
    const Crop crop = crop_from(corner, part.item, part.begin, size, width);
    const T* own = power + (powers == 1 ? 0 : part.item) * pixels;
    double sums[4] = {};
#pragma unroll 2
    for (long long pixel = part.begin + threadIdx.x; pixel < part.end; pixel += THREADS) {
        const complex<T>* here = object + crop[pixel - part.begin];
        const long long row = pixel / size, column = pixel - row * size;
        const T lit = own[pixel];
        const complex<T> change = numerator[part.item * pixels + pixel] - *here * lit;
#pragma unroll
        for (int axis = 0; axis < 2; ++axis) {
            const complex<T> g = slope(here, axis ? column : row, size, axis ? 1 : width);
            sums[2 * axis] += double(g.real * change.real + g.imag * change.imag);
            sums[2 * axis + 1] += double(abs2(g) * lit);
        }
    }
    store_sums(sums, partial);
}

// shift = - the first sum of each axis / the second, where that is above 0, else - the first. A warp per
// position.
template <typename T>
__global__ void __launch_bounds__(THREADS)
gradient_shift(const double* __restrict__ partial, long long positions, long long parts,
               T* __restrict__ shift)
{
    const long long position = (blockIdx.x * (long long)THREADS + threadIdx.x) / WARP;
    const int lane = threadIdx.x % WARP;
    if (position >= positions)
        return;
    double sums[4] = {};
    for (long long part = lane; part < parts; part += WARP)
#pragma unroll
        for (int n = 0; n < 4; ++n)
            sums[n] += partial[(position * parts + part) * 4 + n];
#pragma unroll
    for (int axis = 0; axis < 2; ++axis) {
        const double change = warp_sum(sums[2 * axis]), curvature = warp_sum(sums[2 * axis + 1]);
        if (lane == 0)
            shift[2 * position + axis] = T(-change / (curvature > 0 ? curvature : 1.0));
    }
}
