// Spectra between pixels: the peak of a cross-correlation to a fraction of a pixel, the DFT at any positions,
// and the phase ramp that shifts an image. Launchers: registration.py; notation as in registration.cu.
//
// @instantiate EXPRESSION REGISTERS: the kernels to compile, and the registers that each may use.
// @instantiate window_nodes<float> 88
// @instantiate window_nodes<double> 168
// @instantiate search_window<float> 88
// @instantiate search_window<double> 96
// @instantiate matrix_dft<float> 96
// @instantiate matrix_dft<double> 120
// @instantiate fourier_shift<float> 48
// @instantiate fourier_shift<double> 48

#include "complex.cuh"
#include "indexing.cuh"
#include "reductions.cuh"

using namespace fastimg;

// Loads that a thread starts before it uses the first.
template <typename T>
constexpr int LOADS = 16 / sizeof(T);

// The search grid of one axis: centre + (i - middle) / upsample_factor for i = 0 ... count - 1.
struct SearchAxis {
    double centre;
    long long count, middle;
};

__device__ __forceinline__ SearchAxis search_axis(long long peak, long long length, double upsample_factor)
{
    const long long pixel = peak <= length / 2 ? peak : peak - length;
    const long long count = upsample_factor > 1 ? (long long)ceil(1.5 * upsample_factor) : 1;
    return {rint(pixel * upsample_factor) / upsample_factor, count, count / 2};
}

// The correlation c(s) = sum over k of product[k] exp(2πi f·s) has |f| <= 1/2, so over the grid, whose radius
// is r <= 1 pixel, the polynomial through n = NODES Chebyshev nodes per axis is exact to rounding: its error
// is at most 2 (πr/2)^n / n! of sum |product|; for the usual r = 0.75, 3e-8 with 12 nodes and 2e-17 with 20.
template <typename T>
constexpr int NODES = sizeof(T) == 4 ? 12 : 20;

// The nodes are centre ± d, d = r cos(π (2j + 1) / (2n)), so that both of a pair follow from two sums:
// sum v exp(2πi f (centre ± d)) = C ± i S with C = sum v e cos(2πfd), S = sum v e sin(2πfd) and
// e = exp(2πi f centre). That halves the multiplications.
template <typename T>
constexpr int NODE_PAIRS = NODES<T> / 2;

constexpr int TILE = 128;   // pixels on a side
template <typename T>
constexpr int NODE_THREADS = sizeof(T) == 4 ? 256 : 128;   // double: its sums take 80 registers

// phases[i][0] = exp(2πi f centre), phases[i][1 + j] = exp(2πi f displacement[j]), f the frequency first + i.
template <typename T>
__device__ __forceinline__ void fill_phases(complex<T> (*phases)[1 + NODE_PAIRS<T>],
                                            const double* displacement, long long first, int count,
                                            long long length, double centre)
{
    constexpr int entries = 1 + NODE_PAIRS<T>;
    for (int i = threadIdx.x; i < count * entries; i += NODE_THREADS<T>) {
        const int entry = i % entries;
        const double frequency = double(signed_frequency(first + i / entries, length));
        phases[i / entries][entry] =
            fourier_phase<T>(frequency, double(length), entry ? displacement[entry - 1] : centre);
    }
}

// C and S of one column over the rows of a tile.
template <typename T>
__device__ __forceinline__ void sum_rows(const complex<T>* column, long long width, int rows,
                                         TileThread thread, const complex<T> (*phases)[1 + NODE_PAIRS<T>],
                                         complex<T> (&sums)[2][NODE_PAIRS<T>])
{
    if (thread.group == thread.groups)
        return;
    for (int first = thread.group; first < rows; first += LOADS<T> * thread.groups) {
        complex<T> value[LOADS<T>];
#pragma unroll
        for (int i = 0; i < LOADS<T>; ++i)
            if (first + i * thread.groups < rows)
                value[i] = column[(first + i * thread.groups) * width];
#pragma unroll
        for (int i = 0; i < LOADS<T>; ++i) {
            const int row = first + i * thread.groups;
            if (row >= rows)
                break;
            const complex<T> centred = value[i] * phases[row][0];
#pragma unroll
            for (int j = 0; j < NODE_PAIRS<T>; ++j) {
                const complex<T> phase = phases[row][1 + j];
                sums[0][j] = multiply_add(centred, phase.real, sums[0][j]);
                sums[1][j] = multiply_add(centred, phase.imag, sums[1][j]);
            }
        }
    }
}

// Contract the rows' sums of all threads with the columns' phases: out[y][0][x] from the cosines,
// out[y][1][x] from the sines. A thread per (y, x) and segment of the threads, then a thread per (y, x) over
// the segments.
template <typename T>
__device__ __forceinline__ void contract_columns(complex<T> (*sums)[NODE_PAIRS<T>],
                                                 const complex<T> (*phases)[1 + NODE_PAIRS<T>], int columns,
                                                 int active, complex<T>* __restrict__ out)
{
    constexpr int pairs = NODE_PAIRS<T>, segments = NODE_THREADS<T> / (pairs * pairs);
    const int item = int(threadIdx.x) % (pairs * pairs), segment = int(threadIdx.x) / (pairs * pairs);
    const int y = item / pairs, x = item % pairs;
    complex<T> cosine{}, sine{};
    if (segment < segments) {
        const int length = (active + segments - 1) / segments, begin = segment * length;
        int column = begin % columns;
        for (int thread = begin; thread < begin + length && thread < active; ++thread) {
            const complex<T> value = sums[thread][y], phase = phases[column][1 + x];
            cosine = multiply_add(value, phase.real, cosine);
            sine = multiply_add(value, phase.imag, sine);
            column = column + 1 == columns ? 0 : column + 1;
        }
    }
    __syncthreads();   // the sums have been read; the segments take their place
    sums[threadIdx.x][0] = cosine;
    sums[threadIdx.x][1] = sine;
    __syncthreads();
    if (threadIdx.x < pairs * pairs) {
        cosine = sine = complex<T>{};
        for (int i = 0; i < segments; ++i) {
            cosine += sums[item + i * pairs * pairs][0];
            sine += sums[item + i * pairs * pairs][1];
        }
        out[2 * y * pairs + x] = cosine;
        out[(2 * y + 1) * pairs + x] = sine;
    }
    __syncthreads();
}

// nodes[pair, tile, y part, y, x part, x]: the sums over one tile of product that give c at the nodes, part 0
// from cosines (C), part 1 from sines (S). A block per tile, a thread per column and group of rows. The
// tables and the contraction cost about a third of the sums. Bytes: 2 s. Flops: 6 + 4 NODES.
template <typename T>
__global__ void __launch_bounds__(NODE_THREADS<T>, 2)
window_nodes(const complex<T>* __restrict__ product, const long long* __restrict__ peak,
             double upsample_factor, long long height, long long width, complex<T>* __restrict__ nodes)
{
    constexpr int pairs = NODE_PAIRS<T>;
    __shared__ double displacement[pairs];
    __shared__ complex<T> phases[TILE][1 + pairs];
    __shared__ complex<T> shared_sums[NODE_THREADS<T>][pairs];
    const Tile tile = tile_of_block(height, width, TILE, TILE);
    const SearchAxis y = search_axis(peak[tile.image] / width, height, upsample_factor);
    const SearchAxis x = search_axis(peak[tile.image] % width, width, upsample_factor);
    if (threadIdx.x < pairs)
        displacement[threadIdx.x] =
            y.middle / upsample_factor * exp_pi_i((2.0 * threadIdx.x + 1) / (2 * NODES<T>)).real;
    __syncthreads();
    fill_phases<T>(phases, displacement, tile.row, tile.rows, height, y.centre);
    __syncthreads();

    const TileThread thread = tile_thread(tile.columns);
    const complex<T>* corner = product + (tile.image * height + tile.row) * width + tile.column;
    complex<T> sums[2][pairs] = {};
    sum_rows<T>(corner + thread.column, width, tile.rows, thread, phases, sums);
    __syncthreads();   // the phases of the rows have been read; those of the columns take their place
    fill_phases<T>(phases, displacement, tile.column, tile.columns, width, x.centre);
    __syncthreads();

    complex<T>* out = nodes + (long long)blockIdx.x * NODES<T> * NODES<T>;
    const complex<T> centre = phases[thread.column][0];
#pragma unroll
    for (int part = 0; part < 2; ++part) {
#pragma unroll
        for (int j = 0; j < pairs; ++j)
            shared_sums[threadIdx.x][j] = sums[part][j] * centre;
        __syncthreads();
        contract_columns<T>(shared_sums, phases, tile.columns, thread.active, out + part * pairs * NODES<T>);
    }
}

constexpr int SEARCH_THREADS = 128;
constexpr int POINTS = 32;   // of a search level, per axis: 0.05 pixel apart on the first

// From the sums at the nodes to the coefficients of T_k(y) T_l(x), in place. The coefficient of T_k is
// (2 - [k = 0]) / n sum over the nodes of T_k c, to which the nodes of a pair add T_k(d) (C + iS + C - iS)
// for even k, and T_k(d) (C + iS - C + iS) for odd k.
template <int n>
__device__ __forceinline__ void chebyshev_coefficients(complex<double> (*window)[n],
                                                       complex<double> (*scratch)[n])
{
    __shared__ double transform[n][n / 2];
    for (int i = threadIdx.x; i < n * n / 2; i += SEARCH_THREADS) {
        const int k = i / (n / 2), j = i % (n / 2);
        transform[k][j] = (k ? 4.0 : 2.0) / n * exp_pi_i(double(k * (2 * j + 1)) / (2 * n)).real;
    }
    __syncthreads();
    for (int i = threadIdx.x; i < n * n; i += SEARCH_THREADS) {
        const int k = i / n, column = i % n;
        complex<double> sum{};
        for (int j = 0; j < n / 2; ++j)
            sum = multiply_add(window[k % 2 * (n / 2) + j][column], transform[k][j], sum);
        scratch[k][column] = k % 2 ? times_i(sum) : sum;
    }
    __syncthreads();
    for (int i = threadIdx.x; i < n * n; i += SEARCH_THREADS) {
        const int row = i / n, l = i % n;
        complex<double> sum{};
        for (int j = 0; j < n / 2; ++j)
            sum = multiply_add(scratch[row][l % 2 * (n / 2) + j], transform[l][j], sum);
        window[row][l] = l % 2 ? times_i(sum) : sum;
    }
}

// A line of `points` candidates of one axis, `stride` apart; those outside the grid count as its ends.
struct Level {
    long long first, stride;
    int points;

    __device__ __forceinline__ long long candidate(int point, long long count) const
    {
        return clamp(first + point * stride, 0, count - 1);
    }
};

// basis[point][k] = T_k of the candidates' positions on [-1, 1].
template <int n>
__device__ __forceinline__ void chebyshev_basis(double (*basis)[n], Level level, SearchAxis axis, int point)
{
    const double offset = double(level.candidate(point, axis.count) - axis.middle);
    const double position = axis.middle ? offset / double(axis.middle) : 0.0;
    double before = position, value = 1;   // T_-1 = T_1
    for (int k = 0; k < n; ++k) {
        basis[point][k] = value;
        const double next = 2 * position * value - before;
        before = value;
        value = next;
    }
}

// The best of one level's candidates: the index of the point in the order row, column.
template <int n>
__device__ __forceinline__ int search_level(const complex<double> (*window)[n], Level rows, Level columns,
                                            SearchAxis axis, complex<double> (*row_values)[n],
                                            double (*row_basis)[n], double (*column_basis)[n])
{
    const int points = rows.points;
    if (threadIdx.x < points)
        chebyshev_basis<n>(row_basis, rows, axis, threadIdx.x);
    else if (threadIdx.x >= POINTS && threadIdx.x < POINTS + points)
        chebyshev_basis<n>(column_basis, columns, axis, threadIdx.x - POINTS);
    __syncthreads();
    for (int i = threadIdx.x; i < points * n; i += SEARCH_THREADS) {
        complex<double> sum{};
        for (int k = 0; k < n; ++k)
            sum = multiply_add(window[k][i % n], row_basis[i / n][k], sum);
        row_values[i / n][i % n] = sum;
    }
    __syncthreads();
    Maximum<double> best{-1, -1};
    for (int i = threadIdx.x; i < points * points; i += SEARCH_THREADS) {
        complex<double> sum{};
        for (int k = 0; k < n; ++k)
            sum = multiply_add(row_values[i / points][k], column_basis[i % points][k], sum);
        keep_larger(best, abs2(sum), i);
    }
    return int(block_maximum<SEARCH_THREADS>(best).index);
}

// shift = the grid point with the largest |c|², value = c there. A block per pair sums the tiles in double,
// then searches the grid at about 30 × 30 points, and around the best at ever smaller strides down to 1,
// each about a fifteenth of the one before. Per pair: 2 s NODES² bytes a tile, 5e4 (double: 9e4) double
// flops a level.
template <typename T>
__global__ void __launch_bounds__(SEARCH_THREADS)
search_window(const complex<T>* __restrict__ nodes, const long long* __restrict__ peak,
              double upsample_factor, long long height, long long width, long long tiles,
              T* __restrict__ shift, complex<double>* __restrict__ value)
{
    constexpr int n = NODES<T>;
    __shared__ complex<double> window[n][n], row_values[POINTS][n];
    __shared__ double row_basis[POINTS][n], column_basis[POINTS][n];
    const long long pair = blockIdx.x;
    for (int i = threadIdx.x; i < n * n; i += SEARCH_THREADS) {
        complex<double> sum{};
#pragma unroll 4
        for (long long tile = 0; tile < tiles; ++tile)
            sum += widen(nodes[(pair * tiles + tile) * n * n + i]);
        window[i / n][i % n] = sum;
    }
    __syncthreads();
    chebyshev_coefficients<n>(window, row_values);
    __syncthreads();

    const SearchAxis y = search_axis(peak[pair] / width, height, upsample_factor);
    const SearchAxis x = search_axis(peak[pair] % width, width, upsample_factor);
    const long long coarse = ceil_div(y.count, POINTS), start = y.middle % coarse;
    Level rows{start, coarse, int((y.count - 1 - start) / coarse + 1)}, columns = rows;
    for (;;) {
        const int best = search_level<n>(window, rows, columns, y, row_values, row_basis, column_basis);
        const int row = best / rows.points, column = best % rows.points;
        const long long best_y = rows.candidate(row, y.count), best_x = columns.candidate(column, x.count);
        if (rows.stride == 1) {
            if (threadIdx.x == 0) {
                complex<double> sum{};
                for (int k = 0; k < n; ++k)
                    sum = multiply_add(row_values[row][k], column_basis[column][k], sum);
                value[pair] = sum;
                const double shift_y = y.centre + double(best_y - y.middle) / upsample_factor;
                const double shift_x = x.centre + double(best_x - x.middle) / upsample_factor;
                shift[2 * pair] = height == 1 ? T(0) : T(shift_y);
                shift[2 * pair + 1] = width == 1 ? T(0) : T(shift_x);
            }
            return;
        }
        const long long stride = ceil_div(rows.stride, POINTS / 2 - 1), reach = rows.stride / stride;
        rows = {best_y - reach * stride, stride, int(2 * reach + 1)};
        columns = {best_x - reach * stride, stride, int(2 * reach + 1)};
    }
}

constexpr int DFT_THREADS = 128;    // and the columns of a tile
constexpr int DFT_POSITIONS = 8;    // of a block: their sums stay in registers
constexpr int DFT_ROWS = 128;       // whose phases are in shared memory at a time

// out[b, r, m] = sum over n of exp(-2πi fftfreq(N)[n] positions[b, r]) data[b, n, m]. A block per 8 positions
// and 128 columns of m, a thread per column and group of rows, whose sums are added in order at the end.
// Bytes: 2 s per element of data and 8 positions, from L2 after the first. Flops: 8 per position.
template <typename T>
__global__ void __launch_bounds__(DFT_THREADS)
matrix_dft(const complex<T>* __restrict__ data, const double* __restrict__ positions, long long position_sets,
           long long length, long long width, long long count, complex<T>* __restrict__ out)
{
    __shared__ complex<T> phases[DFT_ROWS][DFT_POSITIONS], shared_sums[DFT_POSITIONS][DFT_THREADS];
    const Tile tile = tile_of_block(count, width, DFT_POSITIONS, DFT_THREADS);
    const TileThread thread = tile_thread(tile.columns);
    const double* position = positions + (position_sets == 1 ? 0 : tile.image) * count + tile.row;
    const complex<T>* column = data + tile.image * length * width + tile.column + thread.column;
    complex<T> sums[DFT_POSITIONS] = {};
    for (long long start = 0; start < length; start += DFT_ROWS) {
        const int rows = int(length - start < DFT_ROWS ? length - start : DFT_ROWS);
        for (int i = threadIdx.x; i < rows * DFT_POSITIONS; i += DFT_THREADS) {
            const int p = i % DFT_POSITIONS;
            const double frequency = double(signed_frequency(start + i / DFT_POSITIONS, length));
            phases[i / DFT_POSITIONS][p] =
                fourier_phase<T>(frequency, double(length), p < tile.rows ? -position[p] : 0.0);
        }
        __syncthreads();
        if (thread.group < thread.groups) {
#pragma unroll 4
            for (int row = thread.group; row < rows; row += thread.groups) {
                const complex<T> value = column[(start + row) * width];
#pragma unroll
                for (int p = 0; p < DFT_POSITIONS; ++p)
                    sums[p] = multiply_add(value, phases[row][p], sums[p]);
            }
        }
        __syncthreads();
    }
#pragma unroll
    for (int p = 0; p < DFT_POSITIONS; ++p)
        shared_sums[p][threadIdx.x] = sums[p];
    __syncthreads();
    for (int i = threadIdx.x; i < tile.rows * tile.columns; i += DFT_THREADS) {
        const int p = i / tile.columns, m = i % tile.columns;
        complex<T> sum{};
        for (int group = 0; group < thread.groups; ++group)
            sum += shared_sums[p][group * tile.columns + m];
        out[(tile.image * count + tile.row + p) * width + tile.column + m] = sum;
    }
}

constexpr int SHIFT_ROWS = 32, SHIFT_COLUMNS = 256;   // of a tile; and the threads of a block

// out = spectrum exp(-2πi (fftfreq(H)[ky] shift_y + fftfreq(W)[kx] shift_x)). A block per tile: the phases of
// its rows are shared, that of a column is its thread's own. out may be spectrum. Bytes: 4 s. Flops: 12.
template <typename T>
__global__ void __launch_bounds__(SHIFT_COLUMNS)
fourier_shift(const complex<T>* spectrum, const double* __restrict__ shift, long long shifts,
              long long height, long long width, complex<T>* out)
{
    __shared__ complex<T> row_phases[SHIFT_ROWS];
    const Tile tile = tile_of_block(height, width, SHIFT_ROWS, SHIFT_COLUMNS);
    const TileThread thread = tile_thread(tile.columns);
    const double* ramp = shift + 2 * (shifts == 1 ? 0 : tile.image);
    if (threadIdx.x < tile.rows)
        row_phases[threadIdx.x] = fourier_phase<T>(double(signed_frequency(tile.row + threadIdx.x, height)),
                                                   double(height), -ramp[0]);
    __syncthreads();
    if (thread.group == thread.groups)
        return;
    const long long kx = tile.column + thread.column;
    const complex<T> column_phase =
        fourier_phase<T>(double(signed_frequency(kx, width)), double(width), -ramp[1]);
    const long long corner = (tile.image * height + tile.row) * width + kx;
    for (int first = thread.group; first < tile.rows; first += LOADS<T> * thread.groups) {
        complex<T> value[LOADS<T>];
#pragma unroll
        for (int i = 0; i < LOADS<T>; ++i)
            if (first + i * thread.groups < tile.rows)
                value[i] = spectrum[corner + (first + i * thread.groups) * width];
#pragma unroll
        for (int i = 0; i < LOADS<T>; ++i) {
            const int row = first + i * thread.groups;
            if (row < tile.rows)
                out[corner + row * width] = value[i] * (row_phases[row] * column_phase);
        }
    }
}
