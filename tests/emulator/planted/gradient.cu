// Gradient along a row; out has two elements fewer. Half of it is computed four elements at a time.
#include "gradient.cuh"

template <typename T, int THREADS>
__global__ void __launch_bounds__(THREADS)
gradient(const T* __restrict__ row, T* __restrict__ out, int size)
{
    const int i = blockIdx.x * THREADS + threadIdx.x;
    if (i < size)
        out[i] = central_difference(row, i + 1);
}

extern "C" __global__ void scale4(const float4* __restrict__ values, float4* __restrict__ out, float factor)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    const float4 value = values[i];
    out[i] = make_float4(factor * value.x, factor * value.y, factor * value.z, factor * value.w);
}
