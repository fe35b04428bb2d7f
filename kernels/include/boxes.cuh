// Boxes: size × size crops of an image of any width, at corners that lie in device memory. Boxes start at any
// column, so that rows of a box are read element by element; arrays of boxes can be read in packs.
#ifndef FASTIMG_BOXES_CUH
#define FASTIMG_BOXES_CUH

#include "complex.cuh"
#include "indexing.cuh"
#include "reductions.cuh"

namespace fastimg {

// V complex numbers that are read and written at once, in 16 bytes where V = 16 / sizeof(complex<T>). The
// arrays start at multiples of that, and boxes have an even number of columns where V = 2.
template <typename T, int V>
struct alignas(2 * V * sizeof(T)) Pack {
    complex<T> at[V];
};

template <int V, typename T>
__device__ __forceinline__ const Pack<T, V>* packs_of(const complex<T>* values)
{
    return reinterpret_cast<const Pack<T, V>*>(values);
}

template <int V, typename T>
__device__ __forceinline__ Pack<T, V>* packs_of(complex<T>* values)
{
    return reinterpret_cast<Pack<T, V>*>(values);
}

template <typename T, int V>
__device__ __forceinline__ Pack<T, V>& operator+=(Pack<T, V>& a, Pack<T, V> b)
{
#pragma unroll
    for (int v = 0; v < V; ++v)
        a.at[v] += b.at[v];
    return a;
}

// The rows of a box from some pixel on: where the image holds the i-th pixel after that one.
struct Crop {
    long long origin, width;
    unsigned column, size;

    __device__ __forceinline__ long long operator[](long long i) const
    {
        const unsigned along = column + unsigned(i), row = along / size;
        return origin + (long long)row * width + (along - row * size);
    }
};

// i less than 2³¹ pixels from first. One division of 64 bits: call it once a thread.
__device__ __forceinline__ Crop crop_from(const long long* corner, long long box, long long first,
                                          long long size, long long width)
{
    const long long row = first / size;
    return {(corner[2 * box] + row) * width + corner[2 * box + 1], width, unsigned(first - row * size),
            unsigned(size)};
}

// The boxes of a chunk, one for each thread of the block, that touch a tile of the image: which, in their
// order, and where they start, from the first element of the tile.
template <int THREADS>
struct TouchingBoxes {
    int box[THREADS], row[THREADS], column[THREADS];
    int of_warp[THREADS / WARP];
};

// Lists the boxes first ... first + THREADS - 1 in shared memory and returns how many touch the tile. All
// threads of the block take part.
template <int THREADS>
__device__ __forceinline__ int list_touching(TouchingBoxes<THREADS>& listed, const long long* corner,
                                             long long first, long long boxes, long long size, Tile tile)
{
    const int lane = int(threadIdx.x) % WARP, warp = int(threadIdx.x) / WARP;
    const long long box = first + threadIdx.x;
    long long row = -size, column = -size;
    if (box < boxes) {
        row = corner[2 * box] - tile.row;
        column = corner[2 * box + 1] - tile.column;
    }
    const bool touches = row < tile.rows && row + size > 0 && column < tile.columns && column + size > 0;
    const unsigned votes = __ballot_sync(WHOLE_WARP, touches);
    if (lane == 0)
        listed.of_warp[warp] = __popc(votes);
    __syncthreads();   // and an earlier list has been read
    int before = 0, all = 0;
#pragma unroll
    for (int i = 0; i < THREADS / WARP; ++i) {
        before += i < warp ? listed.of_warp[i] : 0;
        all += listed.of_warp[i];
    }
    if (touches) {
        const int place = before + __popc(votes & ((1u << lane) - 1));
        listed.box[place] = int(threadIdx.x);
        listed.row[place] = int(row);
        listed.column[place] = int(column);
    }
    __syncthreads();
    return all;
}

}  // namespace fastimg

#endif
