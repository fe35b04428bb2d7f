// Sums of a line with the taps of a Gaussian, all of whose numbers are positive: nothing cancels, and small
// results are as accurate as large ones.
#ifndef FASTIMG_GAUSSIAN_CUH
#define FASTIMG_GAUSSIAN_CUH

namespace fastimg {

constexpr int RUN = 8;   // consecutive outputs of a thread

// The taps between RUN consecutive outputs and an input. From one input to the next one tap is new, so that
// an input and a tap are read for RUN products. The table holds the taps by distance, and zeros beyond.
template <typename T>
class TapWindow {
    const T* table;
    int distance;   // of the first output from the next input
    T held[RUN];

    __device__ __forceinline__ T tap(int apart) const { return table[apart < 0 ? -apart : apart]; }

public:
    __device__ __forceinline__ TapWindow(const T* table, int distance) : table(table), distance(distance)
    {
#pragma unroll
        for (int r = 0; r < RUN; ++r)
            held[r] = tap(distance + r);
    }

    // combine(r, line, tap, value(u, line)) for the next RUN inputs of LINES lines.
    template <int LINES, typename Value, typename Combine>
    __device__ __forceinline__ void pass(Value value, Combine combine)
    {
#pragma unroll
        for (int u = 0; u < RUN; ++u) {
#pragma unroll
            for (int line = 0; line < LINES; ++line) {
                const T input = value(u, line);
#pragma unroll
                for (int r = 0; r < RUN; ++r)
                    combine(r, line, held[(r + RUN - u) % RUN], input);
            }
            held[RUN - 1 - u] = tap(distance - u - 1);
        }
        distance -= RUN;
    }

    // sum[r][line] += tap value for the next RUN inputs.
    template <int LINES, typename Value>
    __device__ __forceinline__ void add(T (&sum)[RUN][LINES], Value value)
    {
        pass<LINES>(value, [&](int r, int line, T tap, T input) { sum[r][line] += tap * input; });
    }
};

template <typename T>
__device__ __forceinline__ T infinity()
{
    return T(__longlong_as_double(0x7ff0000000000000LL));
}

// 0 / 0 is 0: where a measure has no mass, nothing moves.
template <typename T>
__device__ __forceinline__ T quotient(T numerator, T denominator)
{
    return numerator == T(0) && denominator == T(0) ? T(0) : numerator / denominator;
}

}  // namespace fastimg

#endif
