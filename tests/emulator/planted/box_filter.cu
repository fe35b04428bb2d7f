// Mean of 2 radius + 1 neighbours along a row, from a tile with halo in dynamic shared memory.
extern "C" __global__ void
box_filter(const float* __restrict__ image, float* __restrict__ out, int width, int radius)
{
    extern __shared__ float tile[];
    const int threads = blockDim.x, start = blockIdx.x * threads - radius, row = blockIdx.y * width;
    for (int i = threadIdx.x; i < threads + 2 * radius; i += threads) {
        const int x = start + i;
        tile[i] = x >= 0 && x < width ? image[row + x] : 0.0f;
    }
    __syncthreads();
    const int x = blockIdx.x * threads + threadIdx.x;
    if (x >= width)
        return;
    float sum = 0;
    for (int i = 0; i <= 2 * radius; ++i)
        sum += tile[threadIdx.x + i];
    out[row + x] = sum / float(2 * radius + 1);
}
