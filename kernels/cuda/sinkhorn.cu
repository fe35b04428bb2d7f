// Gaussian convolutions along one axis of stacked grids, and what Sinkhorn's iterations do in the same pass
// (Solomon et al., Convolutional Wasserstein distances, ACM TOG 34, 2015). Launchers: sinkhorn.py.
//
// The kernel of measure k is exp(-d²/2σ_k²), un-normalised, between all pairs of a line: its smallest taps
// matter, as the numbers range over hundreds of powers of e. All measures are in one launch. Sums have a
// fixed order.
//
// T is float or double. Bytes are global memory traffic per number, with s = sizeof(T), where the lines that
// several blocks read stay in the L2 cache. Flops count an FMA as two; n is the smaller of the length and of
// twice the radius.
//
// @instantiate EXPRESSION REGISTERS: the kernels to compile, and the registers that each may use.
// @instantiate convolve<float> 120
// @instantiate convolve<double> 128
// @instantiate log_convolve<float> 224
// @instantiate log_convolve<double> 224
// @instantiate turn_lines<float, 128> 64
// @instantiate turn_lines<float, 512> 64
// @instantiate turn_lines<double, 128> 96
// @instantiate turn_lines<double, 512> 96
// @instantiate balance<float> 40
// @instantiate balance<double> 48

#include "indexing.cuh"
#include "reductions.cuh"
#include "gaussian.cuh"
#include "lines.cuh"

using namespace fastimg;

constexpr int THREADS = 128;
// A block makes TILE outputs of LINES lines, from TILE inputs at a time: a warp has RUN outputs of them, a
// thread those of two lines.
constexpr int TILE = 32, LINES = 64, WIDE = LINES / WARP;
static_assert(THREADS / WARP * RUN == TILE, "a warp for each run of outputs");

// The lines and outputs of a block.
struct Block {
    Axis axis;
    long long measure, line;
    int first;

    __device__ __forceinline__ explicit Block(Axis axis) : axis(axis)
    {
        const long long runs = ceil_div(axis.length, TILE), groups = ceil_div(axis.lines, LINES);
        first = int(blockIdx.x % runs) * TILE;
        line = blockIdx.x / runs % groups * LINES;
        measure = blockIdx.x / (runs * groups);
    }

    // visit(row and column of the tile, where the line starts, whether there is one), such that warps find
    // neighbours in the grid.
    template <typename Visit>
    __device__ __forceinline__ void each(Visit visit) const
    {
        const int thread = int(threadIdx.x);
        if (axis.inner == 1) {
#pragma unroll 4
            for (int column = thread / TILE; column < LINES; column += THREADS / TILE)
                visit(thread % TILE, column, (line + column) * axis.pitch, line + column < axis.lines);
            return;
        }
        const int column = thread % LINES;
        const long long start = axis.start(line + column);
#pragma unroll 4
        for (int row = thread / LINES; row < TILE; row += THREADS / LINES)
            visit(row, column, start, line + column < axis.lines);
    }
};

// out = K values, or numerators / (K values) where there are numerators. A block per tile. Bytes: 2 s or 3 s.
// Flops: 2 n.
template <typename T>
__global__ void __launch_bounds__(THREADS, 4)
convolve(const T* __restrict__ values, const T* __restrict__ taps, const long long* __restrict__ radii,
         long long table, const T* __restrict__ numerators, long long length, long long pitch,
         long long inner, long long lines, T* __restrict__ out)
{
    __shared__ T tile[TILE][LINES + 1];
    const Block block({length, pitch, inner, lines});
    const T* own = values + block.measure * block.axis.size();
    const int radius = int(radii[block.measure]), lane = int(threadIdx.x) % WARP;
    const int row = int(threadIdx.x) / WARP * RUN, past = block.first + TILE;
    const int begin = block.first > radius ? block.first - radius : 0;
    const int end = past + radius < length ? past + radius : int(length);
    T sum[RUN][WIDE] = {};
    TapWindow<T> window(taps + block.measure * table, block.first + row - begin);
    for (int from = begin; from < end; from += TILE) {
        __syncthreads();
        block.each([&](int i, int column, long long start, bool is_line) {
            tile[i][column] = is_line && from + i < end ? own[start + (from + i) * inner] : T(0);
        });
        __syncthreads();
        if (radius > 0 && block.first + row < length && block.line + lane < lines)
#pragma unroll 1
            for (int i = 0; i < TILE && from + i < end; i += RUN)
                window.add(sum, [&](int u, int line) { return tile[i + u][lane + line * WARP]; });
    }
    __syncthreads();
    // Without neighbours the tile is the result.
    if (radius > 0)
#pragma unroll
        for (int r = 0; r < RUN; ++r)
#pragma unroll
            for (int line = 0; line < WIDE; ++line)
                tile[row + r][lane + line * WARP] = sum[r][line];
    __syncthreads();
    block.each([&](int i, int column, long long start, bool is_line) {
        if (is_line && block.first + i < length) {
            const long long place = block.measure * block.axis.size() + start + (block.first + i) * inner;
            out[place] = numerators ? quotient(numerators[place], tile[i][column]) : tile[i][column];
        }
    });
}

// Terms of a sum of exponentials that are smaller than the largest by so much do not count.
template <typename T>
constexpr T NEGLIGIBLE = sizeof(T) == 4 ? T(-30) : T(-50);

// out = log(K exp(values)): the largest exponent of each output, then the sum of the others' exponentials
// under it; the taps are -d²/2σ². A block per tile. Bytes: 2 s. Exponentials: n, those that count.
template <typename T>
__global__ void __launch_bounds__(THREADS, 2)
log_convolve(const T* __restrict__ values, const T* __restrict__ taps, const long long* __restrict__ radii,
             long long table, long long length, long long pitch, long long inner, long long lines,
             T* __restrict__ out)
{
    __shared__ T tile[TILE][LINES + 1];
    const T none = -infinity<T>();
    const Block block({length, pitch, inner, lines});
    const T* own = values + block.measure * block.axis.size();
    const int lane = int(threadIdx.x) % WARP, row = int(threadIdx.x) / WARP * RUN;
    const bool is_identity = radii[block.measure] == 0;
    const int begin = is_identity ? block.first : 0;
    const int end = is_identity && block.first + TILE < length ? block.first + TILE : int(length);
    T largest[RUN][WIDE], sum[RUN][WIDE];
#pragma unroll
    for (int r = 0; r < RUN; ++r)
#pragma unroll
        for (int line = 0; line < WIDE; ++line) {
            largest[r][line] = none;
            sum[r][line] = T(0);
        }
#pragma unroll 1
    for (int sweep = 0; sweep < 2; ++sweep) {
        TapWindow<T> window(taps + block.measure * table, block.first + row - begin);
        for (int from = begin; from < end; from += TILE) {
            __syncthreads();
            block.each([&](int i, int column, long long start, bool is_line) {
                tile[i][column] = is_line && from + i < end ? own[start + (from + i) * inner] : none;
            });
            __syncthreads();
            if (is_identity || block.first + row >= length || block.line + lane >= lines)
                continue;
#pragma unroll 1
            for (int i = 0; i < TILE && from + i < end; i += RUN) {
                const auto value = [&](int u, int line) { return tile[i + u][lane + line * WARP]; };
                if (sweep == 0)
                    window.template pass<WIDE>(value, [&](int r, int line, T tap, T input) {
                        const T term = input + tap;
                        largest[r][line] = term > largest[r][line] ? term : largest[r][line];
                    });
                else
                    window.template pass<WIDE>(value, [&](int r, int line, T tap, T input) {
                        const T term = input + tap - largest[r][line];
                        if (!(term < NEGLIGIBLE<T>))
                            sum[r][line] += exp(term);
                    });
            }
        }
        if (sweep == 0)
#pragma unroll
            for (int r = 0; r < RUN; ++r)
#pragma unroll
                for (int line = 0; line < WIDE; ++line)
                    largest[r][line] = isfinite(largest[r][line]) ? largest[r][line] : T(0);
    }
    __syncthreads();
    if (!is_identity)
#pragma unroll
        for (int r = 0; r < RUN; ++r)
#pragma unroll
            for (int line = 0; line < WIDE; ++line)
                tile[row + r][lane + line * WARP] = largest[r][line] + log(sum[r][line]);
    __syncthreads();
    block.each([&](int i, int column, long long start, bool is_line) {
        if (is_line && block.first + i < length)
            out[block.measure * block.axis.size() + start + (block.first + i) * inner] = tile[i][column];
    });
}

// values = K (measures / (K values)). A block per SIDE lines of a measure. Bytes: 3 s. Flops: 4 n.
template <typename T, int LONGEST>
__global__ void __launch_bounds__(LONGEST)
turn_lines(T* __restrict__ values, const T* __restrict__ measures, const T* __restrict__ taps,
           const long long* __restrict__ radii, long long table, long long length, long long inner,
           long long lines)
{
    __shared__ T memory[ShortLines<T, LONGEST>::NUMBERS];
    const Axis axis{length, length, inner, lines};
    const long long groups = ceil_div(lines, SIDE), measure = blockIdx.x / groups;
    const ShortLines<T, LONGEST> block(memory, axis, blockIdx.x % groups * SIDE);
    T* own = values + measure * axis.size();
    const T* own_measure = measures + measure * axis.size();
    const T* own_taps = taps + measure * table;
    const int radius = int(radii[measure]);
    block.clear();
    block.each([&](long long place, T& held) { held = own[place]; });
    block.convolve(own_taps, radius);
    block.each([&](long long place, T& held) { held = quotient(own_measure[place], held); });
    block.convolve(own_taps, radius);
    block.each([&](long long place, T& held) { own[place] = held; });
}

// scaling = sqrt(scaling measure / convolved), which tends to measure / convolved: roots do not leave the
// range. A block per part. Bytes: 4 s. Flops: 4.
template <typename T>
__global__ void __launch_bounds__(THREADS)
balance(T* __restrict__ scaling, const T* __restrict__ measure, const T* __restrict__ convolved,
        long long pixels, long long parts)
{
    const Part part = part_of_block(pixels, parts);
#pragma unroll 4
    for (long long pixel = part.begin + threadIdx.x; pixel < part.end; pixel += THREADS) {
        const T own = scaling[pixel], mass = own == T(0) ? own : measure[pixel];
        scaling[pixel] = sqrt(own) * sqrt(quotient(mass, convolved[pixel]));
    }
}
