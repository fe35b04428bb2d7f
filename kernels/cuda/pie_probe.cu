// The probe of a ptychographic reconstruction: sub-pixel shifts of its modes, its update summed over a batch,
// and the algebra of its modes. Launchers: pie.py; notation as in pie.cu.
//
// @instantiate EXPRESSION REGISTERS: the kernels to compile, and the registers that each may use.
// @instantiate shift_modes<float> 64
// @instantiate shift_modes<double> 104
// @instantiate unshift_modes<float> 88
// @instantiate unshift_modes<double> 112
// @instantiate sum_probe_changes<float, 1> 64
// @instantiate sum_probe_changes<float, 2> 64
// @instantiate sum_probe_changes<double, 1> 72
// @instantiate sum_probe_weights<float> 48
// @instantiate sum_probe_weights<double> 64
// @instantiate probe_update<float> 48
// @instantiate probe_update<double> 64
// @instantiate gram_parts<float> 64
// @instantiate gram_parts<double> 64
// @instantiate gram 40
// @instantiate mix_modes<float> 64
// @instantiate mix_modes<double> 64

#include "complex.cuh"
#include "indexing.cuh"
#include "reductions.cuh"
#include "boxes.cuh"

using namespace fastimg;

constexpr int THREADS = 256;

constexpr int SHIFT_ROWS = 8, SHIFT_COLUMNS = 256;   // of a tile; and the threads of a block
constexpr int SHIFT_LOADS = 4;                       // that a thread has in flight

// out[b, m] = spectrum[m] exp(-2πi (fftfreq(N)[ky] fraction[b, 0] + fftfreq(N)[kx] fraction[b, 1])). A block
// per tile of a position, for all modes: the phases of its rows are shared, that of a column is its thread's
// own. Bytes: 4 s. Flops: 6 + 6 / modes.
template <typename T>
__global__ void __launch_bounds__(SHIFT_COLUMNS)
shift_modes(const complex<T>* __restrict__ spectrum, const double* __restrict__ fraction, long long modes,
            long long size, complex<T>* __restrict__ out)
{
    __shared__ complex<T> row_phases[SHIFT_ROWS];
    const Tile tile = tile_of_block(size, size, SHIFT_ROWS, SHIFT_COLUMNS);
    const TileThread thread = tile_thread(tile.columns);
    const double* ramp = fraction + 2 * tile.image;
    if (threadIdx.x < tile.rows)
        row_phases[threadIdx.x] = fourier_phase<T>(double(signed_frequency(tile.row + threadIdx.x, size)),
                                                   double(size), -ramp[0]);
    __syncthreads();
    if (thread.group == thread.groups)
        return;
    const long long kx = tile.column + thread.column, pixels = size * size;
    const complex<T> column_phase =
        fourier_phase<T>(double(signed_frequency(kx, size)), double(size), -ramp[1]);
    const complex<T>* column = spectrum + tile.row * size + kx;
    complex<T>* out_column = out + tile.image * modes * pixels + tile.row * size + kx;
    for (int first = thread.group; first < tile.rows; first += SHIFT_LOADS * thread.groups) {
        complex<T> phase[SHIFT_LOADS];
#pragma unroll
        for (int i = 0; i < SHIFT_LOADS; ++i)
            if (first + i * thread.groups < tile.rows)
                phase[i] = row_phases[first + i * thread.groups] * column_phase;
        for (long long m = 0; m < modes; ++m) {
            complex<T> value[SHIFT_LOADS];
#pragma unroll
            for (int i = 0; i < SHIFT_LOADS; ++i)
                if (first + i * thread.groups < tile.rows)
                    value[i] = column[m * pixels + (first + i * thread.groups) * size];
#pragma unroll
            for (int i = 0; i < SHIFT_LOADS; ++i)
                if (first + i * thread.groups < tile.rows)
                    out_column[m * pixels + (first + i * thread.groups) * size] = value[i] * phase[i];
        }
    }
}

// Sums over a batch: a block has GROUPS warps, of which each takes every GROUPS-th position for the same
// elements, one a lane; the warps' sums are added in order.
constexpr int GROUPS = THREADS / WARP;

// The first warp gets the sums. Once in a kernel.
template <typename Value>
__device__ __forceinline__ Value sum_over_groups(Value value)
{
    __shared__ Value of_group[GROUPS][WARP];
    const int lane = threadIdx.x % WARP;
    of_group[threadIdx.x / WARP][lane] = value;
    __syncthreads();
    if (threadIdx.x < WARP)
#pragma unroll
        for (int group = 1; group < GROUPS; ++group)
            value += of_group[group][lane];
    return value;
}

constexpr int UNSHIFT_ROWS = 4;   // of a tile, whose columns are the lanes of a warp

// out[m] = sum over b of spectrum[b, m] exp(2πi (fftfreq(N)[ky] fraction[b, 0] + fftfreq(N)[kx] fraction[b,
// 1])). A block per tile of a mode, a warp per position: a lane has the phase of its column, and the first
// lanes those of the rows. Bytes: 2 s. Flops: 14.
template <typename T>
__global__ void __launch_bounds__(THREADS, 2)
unshift_modes(const complex<T>* __restrict__ spectrum, const double* __restrict__ fraction, long long batch,
              long long modes, long long size, complex<T>* __restrict__ out)
{
    const Tile tile = tile_of_block(size, size, UNSHIFT_ROWS, WARP);
    const int lane = int(threadIdx.x) % WARP;
    const bool inside = lane < tile.columns;
    const long long kx = tile.column + (inside ? lane : 0), pixels = size * size;
    const long long ky = tile.row + lane % tile.rows;
    const double column_frequency = double(signed_frequency(kx, size));
    const double row_frequency = double(signed_frequency(ky, size));
    const long long corner = tile.image * pixels + tile.row * size + kx;
    Pack<T, UNSHIFT_ROWS> sum{};
    for (long long b = threadIdx.x / WARP; b < batch; b += GROUPS) {
        complex<T> value[UNSHIFT_ROWS];
#pragma unroll
        for (int row = 0; row < UNSHIFT_ROWS; ++row)
            value[row] = inside && row < tile.rows ? spectrum[b * modes * pixels + corner + row * size]
                                                   : complex<T>{};
        const complex<T> row_phase = fourier_phase<T>(row_frequency, double(size), fraction[2 * b]);
        const complex<T> phase = fourier_phase<T>(column_frequency, double(size), fraction[2 * b + 1]);
#pragma unroll
        for (int row = 0; row < UNSHIFT_ROWS; ++row) {
            const complex<T> along{__shfl_sync(WHOLE_WARP, row_phase.real, row),
                                   __shfl_sync(WHOLE_WARP, row_phase.imag, row)};
            sum.at[row] = multiply_add(value[row] * phase, along, sum.at[row]);
        }
    }
    sum = sum_over_groups(sum);
    if (threadIdx.x < WARP && inside)
#pragma unroll
        for (int row = 0; row < UNSHIFT_ROWS; ++row)
            if (row < tile.rows)
                out[corner + row * size] = sum.at[row];
}

// numerator[m] = sum over b of (wave - probe object) conj(object), the box of the object at corner[b]. A
// block per WARP packs of a mode. Bytes: 4 s, and 2 s for each probe of its own. Flops: 16.
template <typename T, int V>
__global__ void __launch_bounds__(THREADS)
sum_probe_changes(const complex<T>* __restrict__ waves, const complex<T>* __restrict__ object,
                  const complex<T>* __restrict__ probe, const long long* __restrict__ corner, long long batch,
                  long long probes, long long modes, long long size, long long width,
                  complex<T>* __restrict__ numerator)
{
    const long long packs = size * size / V, blocks = ceil_div(packs, WARP), mode = blockIdx.x / blocks;
    const long long pack = blockIdx.x % blocks * WARP + threadIdx.x % WARP;
    const bool inside = pack < packs;
    const long long row = inside ? pack * V / size : 0, column = inside ? pack * V % size : 0;
    const Pack<T, V>* wave = packs_of<V>(waves) + mode * packs + pack;
    const Pack<T, V>* own = packs_of<V>(probe) + mode * packs + pack;
    Pack<T, V> sum{};
    if (inside) {
#pragma unroll 2
        for (long long b = threadIdx.x / WARP; b < batch; b += GROUPS) {
            const Pack<T, V> value = wave[b * modes * packs];
            const Pack<T, V> amplitude = own[probes == 1 ? 0 : b * modes * packs];
            const complex<T>* place = object + (corner[2 * b] + row) * width + corner[2 * b + 1] + column;
#pragma unroll
            for (int v = 0; v < V; ++v) {
                const complex<T> here = place[v];
                sum.at[v] = multiply_conj_add(value.at[v] - amplitude.at[v] * here, here, sum.at[v]);
            }
        }
    }
    sum = sum_over_groups(sum);
    if (threadIdx.x < WARP && inside)
        packs_of<V>(numerator)[mode * packs + pack] = sum;
}

// weight = sum over b of beta object_peak[b] + (1 - beta) |object|², the box of the object at corner[b]. A
// block per WARP pixels. Bytes: 2 s. Flops: 6.
template <typename T>
__global__ void __launch_bounds__(THREADS)
sum_probe_weights(const complex<T>* __restrict__ object, const long long* __restrict__ corner,
                  const T* __restrict__ object_peak, double beta, long long batch, long long size,
                  long long width, T* __restrict__ weight)
{
    const long long pixel = blockIdx.x * (long long)WARP + threadIdx.x % WARP;
    const bool inside = pixel < size * size;
    const long long row = inside ? pixel / size : 0, column = inside ? pixel % size : 0;
    T sum = 0;
    if (inside) {
#pragma unroll 4
        for (long long b = threadIdx.x / WARP; b < batch; b += GROUPS) {
            const complex<T> here = object[(corner[2 * b] + row) * width + corner[2 * b + 1] + column];
            sum += T(beta) * object_peak[b] + T(1 - beta) * abs2(here);
        }
    }
    sum = sum_over_groups(sum);
    if (threadIdx.x < WARP && inside)
        weight[pixel] = sum;
}

// probe += alpha numerator / weight where weight > 0. A thread per pixel, for all modes. Bytes: 6 s + s /
// modes. Flops: 4 and, a pixel, a division.
template <typename T>
__global__ void __launch_bounds__(THREADS)
probe_update(complex<T>* __restrict__ probe, const complex<T>* __restrict__ numerator,
             const T* __restrict__ weight, double alpha, long long modes, long long pixels)
{
    const long long pixel = blockIdx.x * (long long)THREADS + threadIdx.x;
    if (pixel >= pixels || !(weight[pixel] > 0))
        return;
    const T factor = T(alpha) / weight[pixel];
#pragma unroll 4
    for (long long m = 0; m < modes; ++m) {
        const long long place = m * pixels + pixel;
        probe[place] = multiply_add(numerator[place], factor, probe[place]);
    }
}

// partial[first, second, part] = sum of conj(mode first) mode second, for first <= second. A block per part
// of a pair of modes. Bytes: 4 s a pair of modes. Flops: 8.
template <typename T>
__global__ void __launch_bounds__(THREADS)
gram_parts(const complex<T>* __restrict__ modes, long long count, long long pixels, long long parts,
           complex<double>* __restrict__ partial)
{
    const Part part = part_of_block(pixels, parts);
    const complex<T>* first = modes + part.item / count * pixels;
    const complex<T>* second = modes + part.item % count * pixels;
    if (second < first)
        return;   // the conjugate of another pair's
    complex<double> sum{};
#pragma unroll 4
    for (long long pixel = part.begin + threadIdx.x; pixel < part.end; pixel += THREADS)
        sum = multiply_conj_add(widen(second[pixel]), widen(first[pixel]), sum);
    sum = {block_sum<THREADS>(sum.real), block_sum<THREADS>(sum.imag)};
    if (threadIdx.x == 0)
        partial[blockIdx.x] = sum;
}

// out = sum of partial over the parts, a Hermitian matrix. A thread per pair of modes.
__global__ void __launch_bounds__(THREADS)
gram(const complex<double>* __restrict__ partial, long long count, long long parts,
     complex<double>* __restrict__ out)
{
    const long long pair = blockIdx.x * (long long)THREADS + threadIdx.x;
    const long long first = pair / count, second = pair % count;
    if (first >= count || second < first)
        return;
    complex<double> sum{};
    for (long long part = 0; part < parts; ++part)
        sum += partial[pair * parts + part];
    if (first == second)
        sum.imag = 0;
    out[pair] = sum;
    if (first != second)
        out[second * count + first] = conj(sum);
}

// out[i] = sum over j of matrix[i, j] modes[j], in double. A thread per element of out. Bytes: 2 s and, a
// mode of out, 2 s. Flops: 8 a pair of modes.
template <typename T>
__global__ void __launch_bounds__(THREADS)
mix_modes(const complex<T>* __restrict__ modes, const complex<double>* __restrict__ matrix, long long count,
          long long pixels, long long parts, complex<T>* __restrict__ out)
{
    const Part part = part_of_block(pixels, parts);
    for (long long pixel = part.begin + threadIdx.x; pixel < part.end; pixel += THREADS) {
        complex<double> sum{};
#pragma unroll 4
        for (long long j = 0; j < count; ++j)
            sum = multiply_add(matrix[part.item * count + j], widen(modes[j * pixels + pixel]), sum);
        out[part.item * pixels + pixel] = {T(sum.real), T(sum.imag)};
    }
}
