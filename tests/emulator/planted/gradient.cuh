// The central difference at i, from a row with one more element at each end.
__device__ __forceinline__ float central_difference(const float* row, int i)
{
    return 0.5f * (row[i + 1] - row[i - 1]);
}
