// The object of a ptychographic reconstruction: its update from the boxes of a batch, and the dose.
// Launchers: pie.py; notation as in pie.cu.
//
// Boxes overlap. A tile of the object either gathers, in their order, the boxes that touch it: the same input
// gives the same bits. Or the boxes scatter into accumulators by atomic additions, whose order, and with it
// the last bits of the sums, varies from run to run.
//
// @instantiate EXPRESSION REGISTERS: the kernels to compile, and the registers that each may use.
// @instantiate object_update<float> 72
// @instantiate object_update<double> 80
// @instantiate scatter_boxes<float> 64
// @instantiate scatter_boxes<double> 64
// @instantiate apply_update<float> 48
// @instantiate apply_update<double> 48
// @instantiate dose<float> 64
// @instantiate dose<double> 64

#include "complex.cuh"
#include "indexing.cuh"
#include "reductions.cuh"
#include "boxes.cuh"

using namespace fastimg;

constexpr int THREADS = 256;
constexpr int TILE = 32;                          // pixels on a side
constexpr int ROW_STEP = THREADS / TILE;          // between the rows of a thread
constexpr int THREAD_PIXELS = TILE / ROW_STEP;    // in its column of the tile

// Of one pixel, over the boxes that cover it: of numerator, of power, and of gamma power_peak + (1 - gamma)
// power.
template <typename T>
struct alignas(16) Sums {
    complex<T> total;
    T covered, weight;
};

// What a pixel of the object becomes (equation 6).
template <typename T>
__device__ __forceinline__ complex<T> updated(complex<T> object, Sums<T> sums, double alpha)
{
    return multiply_add(sums.total - object * sums.covered, T(alpha) / sums.weight, object);
}

// With sums over the boxes that cover a pixel, weight = sum of gamma power_peak + (1 - gamma) power:
// object += alpha (sum of numerator - object sum of power) / weight where weight > 0. A block per tile of the
// object lists the boxes that touch it, a chunk of the batch at a time; a thread has four rows of a column.
// Bytes: 3 s a pixel of a box, 4 s a pixel of the object that is covered. Flops: 6 and 10.
template <typename T>
__global__ void __launch_bounds__(THREADS)
object_update(complex<T>* __restrict__ object, const long long* __restrict__ corner,
              const complex<T>* __restrict__ numerator, const T* __restrict__ power,
              const T* __restrict__ power_peak, double alpha, double gamma, long long batch,
              long long powers, long long size, long long height, long long width)
{
    __shared__ TouchingBoxes<THREADS> listed;
    const Tile tile = tile_of_block(height, width, TILE, TILE);
    const int column = int(threadIdx.x) % TILE, first_row = int(threadIdx.x) / TILE;
    Sums<T> sums[THREAD_PIXELS] = {};
    for (long long chunk = 0; chunk < batch; chunk += THREADS) {
        const int boxes = list_touching(listed, corner, chunk, batch, size, tile);
        for (int i = 0; i < boxes; ++i) {
            const long long b = chunk + listed.box[i], own = powers == 1 ? 0 : b;
            const int box_column = column - listed.column[i], box_row = first_row - listed.row[i];
            if (box_column < 0 || box_column >= size)
                continue;
            const T level = T(gamma) * power_peak[own];
            complex<T> value[THREAD_PIXELS];
            T lit[THREAD_PIXELS];
#pragma unroll
            for (int k = 0; k < THREAD_PIXELS; ++k) {
                const long long row = box_row + k * ROW_STEP;
                const bool inside = row >= 0 && row < size;
                value[k] = inside ? numerator[(b * size + row) * size + box_column] : complex<T>{};
                lit[k] = inside ? power[(own * size + row) * size + box_column] : T(0);
            }
#pragma unroll
            for (int k = 0; k < THREAD_PIXELS; ++k) {
                const long long row = box_row + k * ROW_STEP;
                sums[k].total += value[k];
                sums[k].covered += lit[k];
                sums[k].weight += row >= 0 && row < size ? level + T(1 - gamma) * lit[k] : T(0);
            }
        }
    }
    if (column >= tile.columns)
        return;
#pragma unroll
    for (int k = 0; k < THREAD_PIXELS; ++k) {
        const int row = first_row + k * ROW_STEP;
        if (row < tile.rows && sums[k].weight > 0) {
            complex<T>* pixel = object + (tile.row + row) * width + tile.column + column;
            *pixel = updated(*pixel, sums[k], alpha);
        }
    }
}

// Add numerator, power and gamma power_peak + (1 - gamma) power of each pixel of a box to the object's
// accumulators, four numbers a pixel. A block per part of a box. Bytes: 3 s and atomics on 4 s. Flops: 7.
template <typename T>
__global__ void __launch_bounds__(THREADS)
scatter_boxes(const long long* __restrict__ corner, const complex<T>* __restrict__ numerator,
              const T* __restrict__ power, const T* __restrict__ power_peak, double gamma, long long powers,
              long long size, long long width, long long parts, T* __restrict__ sums)
{
    const long long pixels = size * size;
    const Part part = part_of_block(pixels, parts);
    const Crop crop = crop_from(corner, part.item, part.begin, size, width);
    const long long own = powers == 1 ? 0 : part.item;
    const T level = T(gamma) * power_peak[own];
    for (long long pixel = part.begin + threadIdx.x; pixel < part.end; pixel += THREADS) {
        const complex<T> value = numerator[part.item * pixels + pixel];
        const T lit = power[own * pixels + pixel];
        T* place = sums + 4 * crop[pixel - part.begin];
        atomicAdd(place, value.real);
        atomicAdd(place + 1, value.imag);
        atomicAdd(place + 2, lit);
        atomicAdd(place + 3, level + T(1 - gamma) * lit);
    }
}

// Update the object from the sums. A thread per pixel. Bytes: 4 s, 8 s where a box covers it. Flops: 10.
template <typename T>
__global__ void __launch_bounds__(THREADS)
apply_update(complex<T>* __restrict__ object, const Sums<T>* __restrict__ sums, double alpha,
             long long pixels)
{
    const long long pixel = blockIdx.x * (long long)THREADS + threadIdx.x;
    if (pixel >= pixels)
        return;
    const Sums<T> sum = sums[pixel];
    if (sum.weight > 0)
        object[pixel] = updated(object[pixel], sum, alpha);
}

// out += the power of each box, in double. As object_update. Bytes: s a pixel of a box, 16 a pixel of out
// that is covered. Flops: 1.
template <typename T>
__global__ void __launch_bounds__(THREADS)
dose(const long long* __restrict__ corner, const T* __restrict__ power, long long boxes, long long powers,
     long long size, long long height, long long width, double* __restrict__ out)
{
    __shared__ TouchingBoxes<THREADS> listed;
    const Tile tile = tile_of_block(height, width, TILE, TILE);
    const int column = int(threadIdx.x) % TILE, first_row = int(threadIdx.x) / TILE;
    double sum[THREAD_PIXELS] = {};
    bool touched = false;
    for (long long chunk = 0; chunk < boxes; chunk += THREADS) {
        const int touching = list_touching(listed, corner, chunk, boxes, size, tile);
        touched = touched || touching > 0;
        for (int i = 0; i < touching; ++i) {
            const long long own = powers == 1 ? 0 : chunk + listed.box[i];
            const int box_column = column - listed.column[i], box_row = first_row - listed.row[i];
            if (box_column < 0 || box_column >= size)
                continue;
            T lit[THREAD_PIXELS];
#pragma unroll
            for (int k = 0; k < THREAD_PIXELS; ++k) {
                const long long row = box_row + k * ROW_STEP;
                lit[k] = row >= 0 && row < size ? power[(own * size + row) * size + box_column] : T(0);
            }
#pragma unroll
            for (int k = 0; k < THREAD_PIXELS; ++k)
                sum[k] += double(lit[k]);
        }
    }
    if (!touched || column >= tile.columns)
        return;
#pragma unroll
    for (int k = 0; k < THREAD_PIXELS; ++k) {
        const int row = first_row + k * ROW_STEP;
        if (row < tile.rows)
            out[(tile.row + row) * width + tile.column + column] += sum[k];
    }
}
