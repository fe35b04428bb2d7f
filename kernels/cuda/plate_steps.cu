// Steps of a plate's solver along a direction, and the change to a coarser or finer image. Launchers:
// plate.py.
//
// A thread has one pixel, or several a block apart, of a block's part. Bytes are global memory traffic per
// pixel, flops count an FMA as two.
//
// @instantiate EXPRESSION REGISTERS: the kernels to compile, and the registers that each may use.
// @instantiate advance 48
// @instantiate conjugate 40
// @instantiate step 40
// @instantiate clipped_step 48
// @instantiate pool 40
// @instantiate upsample 72

#include "indexing.cuh"

using namespace fastimg;

constexpr int THREADS = 256;

// d += alpha p, r -= alpha q. A block per part. Bytes: 48. Flops: 4.
__global__ void __launch_bounds__(THREADS)
advance(double alpha, const double* __restrict__ p, const double* __restrict__ q, long long pixels,
        long long parts, double* __restrict__ d, double* __restrict__ r)
{
    const Part part = part_of_block(pixels, parts);
#pragma unroll 4
    for (long long pixel = part.begin + threadIdx.x; pixel < part.end; pixel += THREADS) {
        d[pixel] += alpha * p[pixel];
        r[pixel] -= alpha * q[pixel];
    }
}

// p = z + beta p. A block per part. Bytes: 20. Flops: 2.
__global__ void __launch_bounds__(THREADS)
conjugate(const float* __restrict__ z, double beta, long long pixels, long long parts, double* __restrict__ p)
{
    const Part part = part_of_block(pixels, parts);
#pragma unroll 4
    for (long long pixel = part.begin + threadIdx.x; pixel < part.end; pixel += THREADS)
        p[pixel] = double(z[pixel]) + beta * p[pixel];
}

// u += t d. A block per part. Bytes: 24. Flops: 2.
__global__ void __launch_bounds__(THREADS)
step(const double* __restrict__ d, double t, long long pixels, long long parts, double* __restrict__ u)
{
    const Part part = part_of_block(pixels, parts);
#pragma unroll 4
    for (long long pixel = part.begin + threadIdx.x; pixel < part.end; pixel += THREADS)
        u[pixel] += t * d[pixel];
}

// out = u + t d, clipped to the bounds; out may be u. A block per part. Bytes: 40. Flops: 4.
__global__ void __launch_bounds__(THREADS)
clipped_step(const double* u, const double* __restrict__ d, double t, const double* __restrict__ lower,
             const double* __restrict__ upper, long long pixels, long long parts, double* out)
{
    const Part part = part_of_block(pixels, parts);
#pragma unroll 4
    for (long long pixel = part.begin + threadIdx.x; pixel < part.end; pixel += THREADS) {
        const double value = u[pixel] + t * d[pixel], low = lower[pixel], high = upper[pixel];
        const double raised = value < low ? low : value;
        out[pixel] = raised > high ? high : raised;
    }
}

// The mean of the finite ones of each 2 × 2 pixels, or an infinity. A thread per pixel of out. Bytes: 40.
// Flops: 5.
__global__ void __launch_bounds__(THREADS)
pool(const double* __restrict__ fine, long long height, long long width, double* __restrict__ out)
{
    const long long columns = (width + 1) / 2, pixel = blockIdx.x * (long long)THREADS + threadIdx.x;
    const long long row = 2 * (pixel / columns), column = 2 * (pixel % columns);
    if (row >= height)
        return;
    double sum = 0;
    int count = 0;
#pragma unroll
    for (int k = 0; k < 4; ++k) {
        const long long i = row + k / 2, j = column + k % 2;
        if (i < height && j < width && isfinite(fine[i * width + j])) {
            sum += fine[i * width + j];
            ++count;
        }
    }
    out[pixel] = count ? sum / count : fine[row * width + column];
}

// Value `place` of a line that goes on by odd reflection about its ends; straight where it is too short for
// that.
__device__ __forceinline__ double reflected(const double* __restrict__ line, long long stride,
                                            long long length, long long place)
{
    const long long end = place < 0 ? 0 : length - 1, mirrored = 2 * end - place;
    if (place >= 0 && place < length)
        return line[place * stride];
    if (length == 1)
        return line[0];
    if (mirrored >= 0 && mirrored < length)
        return 2 * line[end * stride] - line[mirrored * stride];
    const long long inner = place < 0 ? 1 : length - 2;
    const double beyond = double(place < 0 ? -place : place - end);
    return line[end * stride] + beyond * (line[end * stride] - line[inner * stride]);
}

// Twice the pixels along one axis, or one less: cubic interpolation at the quarters of cells. A thread per
// pixel of out. Bytes: 12. Flops: 9.
__global__ void __launch_bounds__(THREADS)
upsample(const double* __restrict__ coarse, long long length, bool is_along_rows, long long height,
         long long width, double* __restrict__ out)
{
    const long long pixel = blockIdx.x * (long long)THREADS + threadIdx.x;
    const long long row = pixel / width, column = pixel % width;
    if (row >= height)
        return;
    const double* line = coarse + (is_along_rows ? row * length : column);
    const long long stride = is_along_rows ? 1 : width, place = is_along_rows ? column : row;
    // The nearest cell, and on which side of it the place is
    const long long base = place / 2, side = place % 2 ? 1 : -1;
    out[pixel] = (-7 * reflected(line, stride, length, base - side) + 105 * line[base * stride] +
                  35 * reflected(line, stride, length, base + side) -
                  5 * reflected(line, stride, length, base + 2 * side)) /
                 128;
}
