// Sums of 256 numbers a block, by warp shuffles and one shared value a warp.
constexpr unsigned WHOLE_WARP = 0xffffffffu;

__device__ __forceinline__ float warp_sum(float value)
{
    for (int distance = 16; distance > 0; distance /= 2)
        value += __shfl_down_sync(WHOLE_WARP, value, distance);
    return value;
}

extern "C" __global__ void __launch_bounds__(256)
block_sum(const float* __restrict__ values, float* __restrict__ sums, int count)
{
    __shared__ float partial[8];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, i = blockIdx.x * 256 + threadIdx.x;
    float value = warp_sum(i < count ? values[i] : 0.0f);
    if (lane == 0)
        partial[warp] = value;
    __syncthreads();
    if (warp == 0) {
        value = warp_sum(lane < 8 ? partial[lane] : 0.0f);
        if (lane == 0)
            sums[blockIdx.x] = value;
    }
}
