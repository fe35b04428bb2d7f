// The plate of de-quantization: states of its pixels, its 5 × 5 stencils, and the transfers between its
// grids.
#ifndef FASTIMG_PLATE_CUH
#define FASTIMG_PLATE_CUH

namespace fastimg {

// States of a pixel: at liberty, held by a spring, held at its value, without a part in the plate
constexpr int FREE = 0, SPRING = 1, FROZEN = 2, ABSENT = 3;

// The interior's stencil: own weight, next neighbours, diagonal ones, second next ones.
template <typename T>
struct Interior {
    T own, next, diagonal, second;
};

template <typename T>
__device__ __forceinline__ Interior<T> interior_stencil(double plate, double membrane)
{
    return {T(20 * plate + 4 * membrane), T(-8 * plate - membrane), T(2 * plate), T(plate)};
}

// What the interior's stencil takes from the 12 pixels around *here.
template <typename T>
__device__ __forceinline__ T interior_sum(const T* here, long long stride, Interior<T> weight)
{
    const T *up = here - stride, *down = here + stride;
    return weight.diagonal * ((up[-1] + up[1]) + (down[-1] + down[1])) +
           weight.next * ((up[0] + down[0]) + (here[-1] + here[1])) +
           weight.second * ((up[-stride] + down[stride]) + (here[-2] + here[2]));
}

// Which stencil a pixel has: code 0 is the interior's, which on the image's own grid is in no table; code c
// is row c - 1 of the table, and that of a pixel with UNLISTED is told by an array of its own.
constexpr int UNLISTED = 255;

template <typename T>
struct Stencils {
    const unsigned char* code;
    const int* unlisted;
    const T* table;

    __device__ __forceinline__ const T* operator[](long long pixel) const
    {
        const int own = code[pixel];
        return table + 25LL * (own == UNLISTED ? unlisted[pixel] : own - 1);
    }
};

// What a stencil takes from the 24 pixels around *here, all of which can be read.
template <typename T>
__device__ __forceinline__ T stencil_sum(const T* here, int stride, const T* stencil)
{
    T sum = T(0);
#pragma unroll 1
    for (int down = -2; down <= 2; ++down)
#pragma unroll
        for (int right = -2; right <= 2; ++right)
            if (down != 0 || right != 0)
                sum += stencil[5 * down + right + 12] * here[down * stride + right];
    return sum;
}

// The same at pixel (row, column) of an image, outside of which nothing is read.
template <typename T>
__device__ __forceinline__ T stencil_sum_inside(const T* image, long long row, long long column,
                                                long long height, long long width, const T* stencil)
{
    T sum = T(0);
#pragma unroll 1
    for (int k = 0; k < 25; ++k) {
        const long long i = row + k / 5 - 2, j = column + k % 5 - 2;
        if (k != 12 && i >= 0 && i < height && j >= 0 && j < width)
            sum += stencil[k] * image[i * width + j];
    }
    return sum;
}

// The operator of a coarse grid is symmetric: planes 0 to 12 are the weights of a pixel with itself and with
// the 12 of its neighbours that come later, in the order (0, 1), (0, 2), (1, -2) ... (2, 2); plane 13 is the
// inverse of plane 0, or 0. PADDING zeros are around each plane.
constexpr int PADDING = 2, PLANES = 14, INVERSE = 13;

struct Operator {
    const float* planes;
    long long stride, size;   // of a row and of a plane, with the padding

    __device__ __forceinline__ const float* at(long long row, long long column) const
    {
        return planes + (row + PADDING) * stride + column + PADDING;
    }
};

__device__ __forceinline__ Operator operator_of(const float* planes, long long height, long long width)
{
    return {planes, width + 2 * PADDING, (height + 2 * PADDING) * (width + 2 * PADDING)};
}

// What a pixel's row of the operator takes from the 24 pixels around *here; `weight` is the pixel's in plane
// 0.
__device__ __forceinline__ float operator_sum(const Operator& matrix, const float* weight, const float* here,
                                              int stride)
{
    float later = 0.0f, earlier = 0.0f;
#pragma unroll
    for (int plane = 1; plane < INVERSE; ++plane) {
        const int down = (plane + 2) / 5, right = (plane + 2) % 5 - 2;
        const float* weights = weight + plane * matrix.size;
        later += weights[0] * here[down * stride + right];
        earlier += weights[-(down * matrix.stride + right)] * here[-(down * stride + right)];
    }
    return later + earlier;
}

// Interpolation between grids by quadratic B-splines, along one axis: fine = near_weight near + far_weight
// far.
struct Parents {
    int near, far;
    float near_weight, far_weight;
};

__device__ __forceinline__ Parents parents_of(int fine, int coarse_length)
{
    const int near = fine / 2, far = near + (fine % 2 ? 1 : -1);
    // Beyond the last coarse cell the function goes on as a straight line.
    if (far < 0)
        return {near, 1, 1.25f, -0.25f};
    if (far >= coarse_length)
        return {near, coarse_length - 2, 1.25f, -0.25f};
    return {near, far, 0.75f, 0.25f};
}

// The weight of a coarse cell in a fine one; not 0 in fine cells 2 coarse - 2 ... 2 coarse + 3 alone.
constexpr int SHARES = 6;

__device__ __forceinline__ float share_of(int coarse, int fine, int coarse_length, int fine_length)
{
    if (fine < 0 || fine >= fine_length || coarse >= coarse_length)
        return 0.0f;
    const Parents parents = parents_of(fine, coarse_length);
    return (parents.near == coarse ? parents.near_weight : 0.0f) +
           (parents.far == coarse ? parents.far_weight : 0.0f);
}

// A pixel of a fine grid from the coarser one.
__device__ __forceinline__ float interpolate(const float* coarse, int row, int column, int coarse_height,
                                             int coarse_width)
{
    const Parents rows = parents_of(row, coarse_height), columns = parents_of(column, coarse_width);
    const float* first = coarse + (long long)rows.near * coarse_width;
    const float* second = coarse + (long long)rows.far * coarse_width;
    const float near = rows.near_weight * first[columns.near] + rows.far_weight * second[columns.near];
    const float far = rows.near_weight * first[columns.far] + rows.far_weight * second[columns.far];
    return columns.near_weight * near + columns.far_weight * far;
}

}  // namespace fastimg

#endif
