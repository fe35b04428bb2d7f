// Ptychography by (M-)rPIE mini-batches: exit waves, moduli, and what the updates divide (Guzzi et al., PeerJ
// Computer Science 8, e1036, 2022). The launchers, with the shapes of all arrays, are in pie.py.
//
// T is float or double. Boxes have size × size = pixels; V of them are a pack, V = 2 where T is float and the
// size is even, else 1. Every sum has a fixed order. The grids are one-dimensional.
//
// Bytes are global memory traffic per pixel, mode and position, with s = sizeof(T): for batches whose waves
// fit into it, that of the L2 cache. Boxes of the object and what positions share count only where they are
// read once for each mode. Flops count an FMA as two.
//
// @instantiate EXPRESSION REGISTERS: the kernels to compile, and the registers that each may use.
// @instantiate probe_power<float, 1> 64
// @instantiate probe_power<float, 2> 64
// @instantiate probe_power<double, 1> 64
// @instantiate mode_intensity<float, 1> 64
// @instantiate mode_intensity<float, 2> 64
// @instantiate mode_intensity<double, 1> 64
// @instantiate exit_waves<float, 1> 64
// @instantiate exit_waves<float, 2> 64
// @instantiate exit_waves<double, 1> 64
// @instantiate apply_transfer<float, 1> 48
// @instantiate apply_transfer<float, 2> 48
// @instantiate apply_transfer<double, 1> 48
// @instantiate modulus<float, 1> 104
// @instantiate modulus<float, 2> 128
// @instantiate modulus<double, 1> 128
// @instantiate sum_error_parts 48
// @instantiate object_numerator<float, 1> 64
// @instantiate object_numerator<float, 2> 64
// @instantiate object_numerator<double, 1> 64
// @instantiate probe_differences<float, 1> 64
// @instantiate probe_differences<float, 2> 64
// @instantiate probe_differences<double, 1> 64

#include "complex.cuh"
#include "indexing.cuh"
#include "reductions.cuh"
#include "boxes.cuh"

using namespace fastimg;

constexpr int THREADS = 128;
constexpr int PACKS = 2;   // that a thread has in flight for each array
// Added to the modelled intensity, so that a dark pixel does not divide by 0.
template <typename T>
constexpr T TINY = T(1e-30);

// The sum over the modes of |mode|², for the pack of each thread that starts at first + i THREADS.
template <typename T, int V>
__device__ __forceinline__ void sum_intensities(const Pack<T, V>* __restrict__ modes, long long count,
                                                long long packs, long long first, long long end,
                                                T (&sum)[PACKS][V])
{
    for (long long m = 0; m < count; ++m) {
        Pack<T, V> value[PACKS];
#pragma unroll
        for (int i = 0; i < PACKS; ++i)
            if (first + i * THREADS < end)
                value[i] = modes[m * packs + first + i * THREADS];
#pragma unroll
        for (int i = 0; i < PACKS; ++i)
#pragma unroll
            for (int v = 0; v < V; ++v)
                if (first + i * THREADS < end)
                    sum[i][v] += abs2(value[i].at[v]);
    }
}

// power = sum over the modes of |probe|², power_peak = its maximum, which starts from 0. A block per part.
// Bytes: 2 s + s / modes. Flops: 4.
template <typename T, int V>
__global__ void __launch_bounds__(THREADS)
probe_power(const complex<T>* __restrict__ probe, long long modes, long long pixels, long long parts,
            T* __restrict__ power, T* __restrict__ power_peak)
{
    const long long packs = pixels / V;
    const Part part = part_of_block(packs, parts);
    const Pack<T, V>* own = packs_of<V>(probe) + part.item * modes * packs;
    T* out = power + part.item * pixels;
    T largest = 0;
    for (long long first = part.begin + threadIdx.x; first < part.end; first += PACKS * THREADS) {
        T sum[PACKS][V] = {};
        sum_intensities<T, V>(own, modes, packs, first, part.end, sum);
#pragma unroll
        for (int i = 0; i < PACKS; ++i)
#pragma unroll
            for (int v = 0; v < V; ++v)
                if (first + i * THREADS < part.end) {
                    out[(first + i * THREADS) * V + v] = sum[i][v];
                    largest = larger_or_nan(largest, sum[i][v]);
                }
    }
    raise_maximum<THREADS>(power_peak + part.item, largest);
}

// intensity = sum over the modes of |wave|². A block per part. Bytes: 2 s + s / modes. Flops: 4.
template <typename T, int V>
__global__ void __launch_bounds__(THREADS)
mode_intensity(const complex<T>* __restrict__ waves, long long modes, long long pixels, long long parts,
               T* __restrict__ intensity)
{
    const long long packs = pixels / V;
    const Part part = part_of_block(packs, parts);
    const Pack<T, V>* own = packs_of<V>(waves) + part.item * modes * packs;
    T* out = intensity + part.item * pixels;
    for (long long first = part.begin + threadIdx.x; first < part.end; first += PACKS * THREADS) {
        T sum[PACKS][V] = {};
        sum_intensities<T, V>(own, modes, packs, first, part.end, sum);
#pragma unroll
        for (int i = 0; i < PACKS; ++i)
#pragma unroll
            for (int v = 0; v < V; ++v)
                if (first + i * THREADS < part.end)
                    out[(first + i * THREADS) * V + v] = sum[i][v];
    }
}

// The packs of a box of the object that start at first + i THREADS, from the first pack `begin` of the crop
// on.
template <typename T, int V>
__device__ __forceinline__ void load_box(const complex<T>* __restrict__ object, Crop crop, long long begin,
                                         long long first, long long end, Pack<T, V> (&box)[PACKS])
{
#pragma unroll
    for (int i = 0; i < PACKS; ++i)
        if (first + i * THREADS < end) {
            const complex<T>* place = object + crop[(first + i * THREADS - begin) * V];
#pragma unroll
            for (int v = 0; v < V; ++v)
                box[i].at[v] = place[v];
        } else {
            box[i] = Pack<T, V>{};
        }
}

// waves = probe object, object_peak = the maximum of |object|² in the box, which starts from 0. A block per
// part of a position, whose threads read a pixel of the object once for all modes. Bytes: 4 s + 2 s / modes.
// Flops: 6 + 4 / modes.
template <typename T, int V>
__global__ void __launch_bounds__(THREADS)
exit_waves(const complex<T>* __restrict__ object, const complex<T>* __restrict__ probe,
           const long long* __restrict__ corner, long long probes, long long modes, long long size,
           long long width, long long parts, complex<T>* __restrict__ waves, T* __restrict__ object_peak)
{
    const long long packs = size * size / V;
    const Part part = part_of_block(packs, parts);
    const Crop crop = crop_from(corner, part.item, part.begin * V, size, width);
    const Pack<T, V>* own = packs_of<V>(probe) + (probes == 1 ? 0 : part.item) * modes * packs;
    Pack<T, V>* out = packs_of<V>(waves) + part.item * modes * packs;
    T largest = 0;
    for (long long first = part.begin + threadIdx.x; first < part.end; first += PACKS * THREADS) {
        Pack<T, V> box[PACKS];
        load_box<T, V>(object, crop, part.begin, first, part.end, box);
#pragma unroll
        for (int i = 0; i < PACKS; ++i)
#pragma unroll
            for (int v = 0; v < V; ++v)
                largest = larger_or_nan(largest, abs2(box[i].at[v]));
        for (long long m = 0; m < modes; ++m) {
            Pack<T, V> value[PACKS];
#pragma unroll
            for (int i = 0; i < PACKS; ++i)
                if (first + i * THREADS < part.end)
                    value[i] = own[m * packs + first + i * THREADS];
#pragma unroll
            for (int i = 0; i < PACKS; ++i)
                if (first + i * THREADS < part.end) {
#pragma unroll
                    for (int v = 0; v < V; ++v)
                        value[i].at[v] = value[i].at[v] * box[i].at[v];
                    out[m * packs + first + i * THREADS] = value[i];
                }
        }
    }
    raise_maximum<THREADS>(object_peak + part.item, largest);
}

// waves *= transfer, or its conjugate. A block per part of a wave. Bytes: 4 s. Flops: 6.
template <typename T, int V>
__global__ void __launch_bounds__(THREADS)
apply_transfer(complex<T>* __restrict__ waves, const complex<T>* __restrict__ transfer, bool conjugate,
               long long pixels, long long parts)
{
    const long long packs = pixels / V;
    const Part part = part_of_block(packs, parts);
    Pack<T, V>* own = packs_of<V>(waves) + part.item * packs;
    const Pack<T, V>* factors = packs_of<V>(transfer);
    const T sign = conjugate ? T(-1) : T(1);
    for (long long first = part.begin + threadIdx.x; first < part.end; first += PACKS * THREADS) {
        Pack<T, V> value[PACKS], factor[PACKS];
#pragma unroll
        for (int i = 0; i < PACKS; ++i)
            if (first + i * THREADS < part.end) {
                value[i] = own[first + i * THREADS];
                factor[i] = factors[first + i * THREADS];
            }
#pragma unroll
        for (int i = 0; i < PACKS; ++i)
            if (first + i * THREADS < part.end) {
#pragma unroll
                for (int v = 0; v < V; ++v) {
                    factor[i].at[v].imag *= sign;
                    value[i].at[v] = value[i].at[v] * factor[i].at[v];
                }
                own[first + i * THREADS] = value[i];
            }
    }
}

constexpr int KEPT = 4;   // modes that stay in registers between the two passes

// With p = scale² sum over the modes of |wave|²: waves *= scale² sqrt(intensity / (p + TINY)) where measured,
// scale² elsewhere; partial[position, part] = sum of (sqrt(intensity) - sqrt(p))² where measured; model = p
// where `models`. The scales are the factors that the transforms before and after leave out. Intensities that
// are not measured take no part, whatever they are. A block per part of a position, a thread for all modes of
// its pixels; from the fifth on, a mode is read twice. Bytes: 4 s + (s + 1) / modes. Flops: 7 + 10 / modes.
template <typename T, int V>
__global__ void __launch_bounds__(THREADS, 4)
modulus(complex<T>* __restrict__ waves, const T* __restrict__ intensity,
        const long long* __restrict__ selection, const unsigned char* __restrict__ mask, long long masks,
        long long modes, long long pixels, long long parts, double scale, bool models,
        T* __restrict__ model, double* __restrict__ partial)
{
    const long long packs = pixels / V;
    const Part part = part_of_block(packs, parts);
    const long long frame = selection[part.item];
    const T* frame_intensity = intensity + frame * pixels;
    const unsigned char* frame_mask = mask + (masks == 1 ? 0 : frame) * pixels;
    Pack<T, V>* own = packs_of<V>(waves) + part.item * modes * packs;
    const T square = T(scale * scale);
    double error = 0;
    for (long long first = part.begin + threadIdx.x; first < part.end; first += PACKS * THREADS) {
        Pack<T, V> kept[KEPT][PACKS];
        T counts[PACKS][V], factor[PACKS][V] = {};
#pragma unroll
        for (int m = 0; m < KEPT; ++m)
#pragma unroll
            for (int i = 0; i < PACKS; ++i)
                if (m < modes && first + i * THREADS < part.end)
                    kept[m][i] = own[m * packs + first + i * THREADS];
                else
                    kept[m][i] = Pack<T, V>{};
#pragma unroll
        for (int i = 0; i < PACKS; ++i)
#pragma unroll
            for (int v = 0; v < V; ++v) {
                const long long pixel = (first + i * THREADS) * V + v;
                const bool inside = first + i * THREADS < part.end;
                const bool measured = inside && (masks == 0 || frame_mask[pixel] != 0);
                counts[i][v] = measured ? frame_intensity[pixel] : T(-1);
            }
#pragma unroll
        for (int m = 0; m < KEPT; ++m)
#pragma unroll
            for (int i = 0; i < PACKS; ++i)
#pragma unroll
                for (int v = 0; v < V; ++v)
                    factor[i][v] += abs2(kept[m][i].at[v]);
        if (modes > KEPT)
            sum_intensities<T, V>(own + KEPT * packs, modes - KEPT, packs, first, part.end, factor);
#pragma unroll
        for (int i = 0; i < PACKS; ++i)
#pragma unroll
            for (int v = 0; v < V; ++v) {
                const T modelled = square * factor[i][v];
                if (models && first + i * THREADS < part.end)
                    model[part.item * pixels + (first + i * THREADS) * V + v] = modelled;
                const bool measured = !(counts[i][v] < 0);
                const T amplitude = sqrt(measured ? counts[i][v] : T(0));
                const double difference = measured ? double(amplitude - sqrt(modelled)) : 0.0;
                error += difference * difference;
                factor[i][v] = measured ? square * (amplitude / sqrt(modelled + TINY<T>)) : square;
            }
#pragma unroll
        for (int m = 0; m < KEPT; ++m)
#pragma unroll
            for (int i = 0; i < PACKS; ++i)
                if (m < modes && first + i * THREADS < part.end) {
#pragma unroll
                    for (int v = 0; v < V; ++v)
                        kept[m][i].at[v] = kept[m][i].at[v] * factor[i][v];
                    own[m * packs + first + i * THREADS] = kept[m][i];
                }
        for (long long m = KEPT; m < modes; ++m)
#pragma unroll
            for (int i = 0; i < PACKS; ++i)
                if (first + i * THREADS < part.end) {
                    Pack<T, V> value = own[m * packs + first + i * THREADS];
#pragma unroll
                    for (int v = 0; v < V; ++v)
                        value.at[v] = value.at[v] * factor[i][v];
                    own[m * packs + first + i * THREADS] = value;
                }
    }
    error = block_sum<THREADS>(error);
    if (threadIdx.x == 0)
        partial[blockIdx.x] = error;
}

// error[position] = sum of partial[position, part] over the parts. A warp per position.
__global__ void __launch_bounds__(THREADS)
sum_error_parts(const double* __restrict__ partial, long long positions, long long parts,
                double* __restrict__ error)
{
    const long long position = (blockIdx.x * (long long)THREADS + threadIdx.x) / WARP;
    const int lane = threadIdx.x % WARP;
    if (position >= positions)
        return;
    double sum = 0;
    for (long long part = lane; part < parts; part += WARP)
        sum += partial[position * parts + part];
    sum = warp_sum(sum);
    if (lane == 0)
        error[position] = sum;
}

// numerator = sum over the modes of wave conj(probe). A block per part of a position. Bytes: 4 s + 2 s /
// modes. Flops: 8.
template <typename T, int V>
__global__ void __launch_bounds__(THREADS)
object_numerator(const complex<T>* __restrict__ waves, const complex<T>* __restrict__ probe, long long probes,
                 long long modes, long long pixels, long long parts, complex<T>* __restrict__ numerator)
{
    const long long packs = pixels / V;
    const Part part = part_of_block(packs, parts);
    const Pack<T, V>* own = packs_of<V>(probe) + (probes == 1 ? 0 : part.item) * modes * packs;
    const Pack<T, V>* wave = packs_of<V>(waves) + part.item * modes * packs;
    Pack<T, V>* out = packs_of<V>(numerator) + part.item * packs;
    for (long long first = part.begin + threadIdx.x; first < part.end; first += PACKS * THREADS) {
        Pack<T, V> sum[PACKS] = {};
        for (long long m = 0; m < modes; ++m) {
            Pack<T, V> value[PACKS], mode[PACKS];
#pragma unroll
            for (int i = 0; i < PACKS; ++i)
                if (first + i * THREADS < part.end) {
                    value[i] = wave[m * packs + first + i * THREADS];
                    mode[i] = own[m * packs + first + i * THREADS];
                }
#pragma unroll
            for (int i = 0; i < PACKS; ++i)
#pragma unroll
                for (int v = 0; v < V; ++v)
                    if (first + i * THREADS < part.end)
                        sum[i].at[v] = multiply_conj_add(value[i].at[v], mode[i].at[v], sum[i].at[v]);
        }
#pragma unroll
        for (int i = 0; i < PACKS; ++i)
            if (first + i * THREADS < part.end)
                out[first + i * THREADS] = sum[i];
    }
}

// waves = (waves - probe object) conj(object). A block per part of a position, whose threads read a pixel of
// the object once for all modes. Bytes: 6 s + 2 s / modes. Flops: 14.
template <typename T, int V>
__global__ void __launch_bounds__(THREADS)
probe_differences(complex<T>* __restrict__ waves, const complex<T>* __restrict__ object,
                  const complex<T>* __restrict__ probe, const long long* __restrict__ corner,
                  long long probes, long long modes, long long size, long long width, long long parts)
{
    const long long packs = size * size / V;
    const Part part = part_of_block(packs, parts);
    const Crop crop = crop_from(corner, part.item, part.begin * V, size, width);
    const Pack<T, V>* own = packs_of<V>(probe) + (probes == 1 ? 0 : part.item) * modes * packs;
    Pack<T, V>* wave = packs_of<V>(waves) + part.item * modes * packs;
    for (long long first = part.begin + threadIdx.x; first < part.end; first += PACKS * THREADS) {
        Pack<T, V> box[PACKS];
        load_box<T, V>(object, crop, part.begin, first, part.end, box);
        for (long long m = 0; m < modes; ++m) {
            Pack<T, V> value[PACKS], mode[PACKS];
#pragma unroll
            for (int i = 0; i < PACKS; ++i)
                if (first + i * THREADS < part.end) {
                    value[i] = wave[m * packs + first + i * THREADS];
                    mode[i] = own[m * packs + first + i * THREADS];
                }
#pragma unroll
            for (int i = 0; i < PACKS; ++i)
                if (first + i * THREADS < part.end) {
#pragma unroll
                    for (int v = 0; v < V; ++v)
                        value[i].at[v] = (value[i].at[v] - mode[i].at[v] * box[i].at[v]) * conj(box[i].at[v]);
                    wave[m * packs + first + i * THREADS] = value[i];
                }
        }
    }
}
