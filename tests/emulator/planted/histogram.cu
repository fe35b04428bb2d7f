// Counts of values 0 … bins-1, first in shared memory, then added up.
extern "C" __global__ void histogram(const int* __restrict__ values, int* counts, int size, int bins)
{
    extern __shared__ int block_counts[];
    for (int bin = threadIdx.x; bin < bins; bin += blockDim.x)
        block_counts[bin] = 0;
    __syncthreads();
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < size)
        atomicAdd(&block_counts[values[i]], 1);
    __syncthreads();
    for (int bin = threadIdx.x; bin < bins; bin += blockDim.x)
        atomicAdd(&counts[bin], block_counts[bin]);
}
