// Lines along one axis of stacked grids, and the short ones that a block holds as a whole.
#ifndef FASTIMG_LINES_CUH
#define FASTIMG_LINES_CUH

#include "gaussian.cuh"

namespace fastimg {

// `lines` lines of `length` numbers. Neighbours along a line are `inner` numbers apart, and `inner` lines lie
// side by side; then comes the next slab, `pitch` numbers a line.
struct Axis {
    long long length, pitch, inner, lines;

    __device__ __forceinline__ long long start(long long line) const
    {
        return inner == 1 ? line * pitch : line / inner * pitch * inner + line % inner;
    }

    // Numbers of one grid
    __device__ __forceinline__ long long size() const { return lines * pitch; }
};

constexpr int SIDE = 8;   // lines of a block that holds them as a whole

// SIDE lines in shared memory, of up to LONGEST numbers each. A thread has RUN numbers of a line; the block
// has SIDE threads for each RUN numbers, in whole warps.
template <typename T, int LONGEST>
class ShortLines {
    static constexpr int STRIDE = SIDE + 1;   // so that columns are free of bank conflicts, too

    T* held;
    Axis axis;
    long long first;
    int length;

public:
    static constexpr int NUMBERS = LONGEST * STRIDE;

    __device__ __forceinline__ ShortLines(T* memory, Axis axis, long long first)
        : held(memory), axis(axis), first(first), length(int(axis.length))
    {
    }

    // visit(where the number is in the grid, where it is held), such that warps find neighbours in the grid.
    template <typename Visit>
    __device__ __forceinline__ void each(Visit visit) const
    {
        const int thread = int(threadIdx.x), threads = int(blockDim.x);
        if (axis.inner == 1) {
            for (int line = 0; line < SIDE && first + line < axis.lines; ++line)
                for (int i = thread; i < length; i += threads)
                    visit(axis.start(first + line) + i, held[i * STRIDE + line]);
            return;
        }
        const long long line = first + thread % SIDE;
        if (line >= axis.lines)
            return;
        const long long start = axis.start(line);
#pragma unroll 4
        for (int i = thread / SIDE; i < length; i += threads / SIDE)
            visit(start + i * axis.inner, held[i * STRIDE + thread % SIDE]);
    }

    // Set to 0 what is read beyond the lines.
    __device__ __forceinline__ void clear() const
    {
        const int rounded = (length + RUN - 1) / RUN * RUN;
        const bool is_whole = first + SIDE <= axis.lines;
        for (int i = (is_whole ? length * STRIDE : 0) + int(threadIdx.x); i < rounded * STRIDE;
             i += int(blockDim.x))
            held[i] = T(0);
        __syncthreads();
    }

    // The lines times the Gaussian; taps farther than `radius` are 0. All threads see what was held before,
    // and the result.
    __device__ __forceinline__ void convolve(const T* taps, int radius) const
    {
        const int line = int(threadIdx.x) % SIDE, row = int(threadIdx.x) / SIDE * RUN;
        const int begin = row < radius ? 0 : (row - radius) / RUN * RUN;
        const int end = row + RUN + radius < length ? row + RUN + radius : length;
        T sum[RUN][1] = {};
        __syncthreads();
        if (radius == 0)
            return;
        if (row < length) {
            TapWindow<T> window(taps, row - begin);
#pragma unroll 1
            for (int i = begin; i < end; i += RUN)
                window.add(sum, [&](int u, int) { return held[(i + u) * STRIDE + line]; });
        }
        __syncthreads();
#pragma unroll
        for (int r = 0; r < RUN; ++r)
            if (row + r < length)
                held[(row + r) * STRIDE + line] = sum[r][0];
        __syncthreads();
    }
};

}  // namespace fastimg

#endif
