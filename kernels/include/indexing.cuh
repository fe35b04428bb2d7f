// Which element a thread works on: frequencies, parts of an array, tiles of an image. Offsets have 64 bits.
#ifndef FASTIMG_INDEXING_CUH
#define FASTIMG_INDEXING_CUH

namespace fastimg {

__device__ __forceinline__ long long ceil_div(long long a, long long b) { return (a + b - 1) / b; }

__device__ __forceinline__ long long clamp(long long index, long long low, long long high)
{
    return index < low ? low : index > high ? high : index;
}

// index modulo length, in 0 .. length-1 for negative indices, too
__device__ __forceinline__ long long wrap(long long index, long long length)
{
    const long long remainder = index % length;
    return remainder < 0 ? remainder + length : remainder;
}

// length * numpy.fft.fftfreq(length)[k]
__device__ __forceinline__ long long signed_frequency(long long k, long long length)
{
    return k <= (length - 1) / 2 ? k : k - length;
}

// Where a spectrum of this length holds frequency -k
__device__ __forceinline__ long long opposite_frequency(long long k, long long length)
{
    return k == 0 ? 0 : length - k;
}

// A stack of items of `size` elements, each cut into `parts` contiguous pieces: the piece of this block.
struct Part {
    long long item, begin, end;
};

__device__ __forceinline__ Part part_of_block(long long size, long long parts)
{
    const long long length = ceil_div(size, parts), part = blockIdx.x % parts;
    const long long begin = part * length, end = begin + length;
    return {blockIdx.x / parts, begin < size ? begin : size, end < size ? end : size};
}

// A stack of height × width images cut into tiles: the tile of this block, in order image, row, column.
struct Tile {
    long long image, row, column;   // of the tile's first element
    int rows, columns;              // fewer in the last tiles
};

__device__ __forceinline__ Tile tile_of_block(long long height, long long width, int tile_rows,
                                              int tile_columns)
{
    const long long across = ceil_div(width, tile_columns), down = ceil_div(height, tile_rows);
    const long long tile = blockIdx.x % (across * down);
    const long long row = tile / across * tile_rows, column = tile % across * tile_columns;
    const int rows = int(clamp(height - row, 1, tile_rows));
    const int columns = int(clamp(width - column, 1, tile_columns));
    return {blockIdx.x / (across * down), row, column, rows, columns};
}

// How the threads of a block share a tile: thread (group, column) takes rows group, group + groups, ... of
// its column, so that consecutive threads read consecutive elements whatever the width. The first `active`
// threads take part; those left over have group == groups.
struct TileThread {
    int column, group, groups, active;
};

__device__ __forceinline__ TileThread tile_thread(int columns)
{
    const int thread = int(threadIdx.x), groups = int(blockDim.x) / columns;
    return {thread % columns, thread / columns, groups, groups * columns};
}

}  // namespace fastimg

#endif
