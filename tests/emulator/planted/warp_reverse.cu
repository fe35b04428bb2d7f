// Reverses each run of 32 numbers through shared memory, without a barrier of the block.
extern "C" __global__ void warp_reverse(const float* __restrict__ values, float* __restrict__ out)
{
    __shared__ float exchange[64];
    const int lane = threadIdx.x % 32, first = threadIdx.x - lane, i = blockIdx.x * 64 + threadIdx.x;
    exchange[threadIdx.x] = values[i];
    __syncwarp();
    out[i] = exchange[first + 31 - lane];
}
