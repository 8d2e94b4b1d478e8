// Activations and weights of 16 bits, or MXFP4 weights, on the matrix units of gfx11 and gfx12: tiles of BLOCK_M rows x BLOCK_N
// weight rows, BLOCK_K at a time. LDS holds two steps: one is multiplied while the next one is on its way through registers, and
// a step has one barrier. A wave has 32 weight rows and all rows of the tile. MXFP4 is multiplied without its scales, which are
// factors of whole blocks: a lane's sums have one weight row, and so one scale.
#include "../../kernels-cuda/grouped_gemm/expert_tile.cuh"
#include "../../kernels-cuda/grouped_gemm/finish.cuh"
#include "codes.h"
#include "gcn/wmma.h"
#include "stored.h"

constexpr int THREADS = 32 * WARPS, CHUNKS = BLOCK_K / 8, ROWS = THREADS / CHUNKS; // rows that all threads load at a time
constexpr int A_LOADS = BLOCK_M / ROWS, W_LOADS = BLOCK_N / ROWS;
constexpr int M_TILES = BLOCK_M / 16, N_TILES = 2, K_STEPS = BLOCK_K / 16;
constexpr int PITCH = BLOCK_K + 8; // of 16-bit elements: keeps eight rows in different banks
static_assert(BLOCK_K == 32, "one block of MXFP4: its sum is scaled as a whole");
static_assert(BLOCK_N == 16 * N_TILES * WARPS, "a wave has 32 weight rows");
static_assert(BLOCK_M % ROWS == 0 && BLOCK_N % ROWS == 0 && BLOCK_M % 16 == 0, "threads share rows evenly");

template <class Factor> constexpr bool IS_BF16 = false;
template <> constexpr bool IS_BF16<Bf16s> = true;

// What a step is multiplied from.
struct Stage {
    unsigned short a[BLOCK_M][PITCH], w[BLOCK_N][PITCH];
    float scales[BLOCK_N];
};

// Eight weights on their way: as they are stored, or as the codes of MXFP4 and their block's scale.
struct Dense {
    uint4 values;

    __device__ __forceinline__ void load(const GroupedGemmParams& p, int expert, int n, int k) {
        values = load_stored(p.w, (long long)expert * p.n + n, k, p.k);
    }
    __device__ __forceinline__ void store(Stage& stage, int row, int k) const { *(uint4*)&stage.w[row][k] = values; }
};

template <class Factor> struct Blocks {
    unsigned codes;
    float scale;

    __device__ __forceinline__ void load(const GroupedGemmParams& p, int expert, int n, int k) {
        codes = load_codes(p, expert, n, k);
        scale = load_scale(p, expert, n, k);
    }
    __device__ __forceinline__ void store(Stage& stage, int row, int k) const {
        *(uint4*)&stage.w[row][k] = from_codes(IS_BF16<Factor> ? OF_BF16 : OF_F16, codes);
        if (k == 0) stage.scales[row] = scale;
    }
};

// A thread's share of a step.
template <class Weights> struct Step {
    uint4 a[A_LOADS];
    Weights w[W_LOADS];

    __device__ __forceinline__ void load(const GroupedGemmParams& p, int expert, const long long (&a_row)[A_LOADS], int k) {
        const int first = threadIdx.x / CHUNKS, at = k + int(threadIdx.x) % CHUNKS * 8;
#pragma unroll
        for (int i = 0; i < A_LOADS; i++) a[i] = a_row[i] < 0 ? uint4{} : load_stored(p.a, a_row[i], at, p.k);
#pragma unroll
        for (int i = 0; i < W_LOADS; i++) {
            const int c = blockIdx.y * BLOCK_N + first + i * ROWS;
            w[i].load(p, expert, weight_row(p, min(c, p.n - 1)), at);
        }
    }

    __device__ __forceinline__ void store(Stage& stage) const {
        const int first = threadIdx.x / CHUNKS, at = threadIdx.x % CHUNKS * 8;
#pragma unroll
        for (int i = 0; i < A_LOADS; i++) *(uint4*)&stage.a[first + i * ROWS][at] = a[i];
#pragma unroll
        for (int i = 0; i < W_LOADS; i++) w[i].store(stage, first + i * ROWS, at);
    }
};

template <class Factor, bool BLOCKS>
__device__ __forceinline__ void add_step(const Stage& stage, int column, Sums (&sums)[M_TILES][N_TILES]) {
    const int row = wave_lane() % 16;
    Factor w[N_TILES][K_STEPS];
#pragma unroll
    for (int n = 0; n < N_TILES; n++) {
#pragma unroll
        for (int k = 0; k < K_STEPS; k++) w[n][k] = wmma_factor<Factor>(&stage.w[column + 16 * n][16 * k]);
    }
#pragma unroll
    for (int m = 0; m < M_TILES; m++) {
        Factor a[K_STEPS];
#pragma unroll
        for (int k = 0; k < K_STEPS; k++) a[k] = wmma_factor<Factor>(&stage.a[16 * m + row][16 * k]);
#pragma unroll
        for (int n = 0; n < N_TILES; n++) {
            Sums block = BLOCKS ? Sums{} : sums[m][n];
#pragma unroll
            for (int k = 0; k < K_STEPS; k++) block = wmma(a[k], w[n][k], block);
            if constexpr (BLOCKS) sums[m][n] += block * stage.scales[column + 16 * n];
            else sums[m][n] = block;
        }
    }
}

template <class Factor, class Weights> __device__ __forceinline__ void multiply(const GroupedGemmParams& p) {
    __shared__ Tile tile;
    __shared__ __align__(16) Stage stages[2];
    if (threadIdx.x < 32) {
        const Tile found = find_tile(p, blockIdx.x);
        if (threadIdx.x == 0) tile = found;
        const bool first = blockIdx.x == 0 && blockIdx.y == 0;
        if (first && p.offsets) check_offsets(p.offsets, p.experts + 1, p.rows, p.status);
    }
    __syncthreads();
    if (tile.expert < 0) return;
    const int expert = tile.expert - p.local_first;
    const bool local = expert >= 0 && expert < p.local_count;
    if (!local && p.top_k) return; // the combine leaves them out

    constexpr bool BLOCKS = sizeof(Weights) < sizeof(Dense);
    long long a_row[A_LOADS];
#pragma unroll
    for (int i = 0; i < A_LOADS; i++) {
        const int r = tile.first + int(threadIdx.x) / CHUNKS + i * ROWS;
        a_row[i] = local && r < tile.last ? input_row(p, r) : -1;
    }
    const int column = threadIdx.x / 32 * 16 * N_TILES + threadIdx.x % 16;
    Sums sums[M_TILES][N_TILES] = {};
    Step<Weights> step;
    if (local) step.load(p, expert, a_row, 0);
    for (int k = 0; local && k < p.k; k += BLOCK_K) {
        Stage& stage = stages[k / BLOCK_K % 2];
        step.store(stage);
        __syncthreads();
        if (k + BLOCK_K < p.k) step.load(p, expert, a_row, k + BLOCK_K);
        add_step<Factor, BLOCKS>(stage, column, sums);
    }

#pragma unroll
    for (int n = 0; n < N_TILES; n++) {
        const int c = blockIdx.y * BLOCK_N + column + 16 * n;
        const float bias = local && p.bias.base && c < p.n ? load1(p.bias, expert, weight_row(p, c)) : 0.0f;
#pragma unroll
        for (int m = 0; m < M_TILES; m++) {
#pragma unroll
            for (int i = 0; i < 8; i++) {
                const float sum = sums[m][n][i] * (BLOCKS ? E2M1_UNIT : 1.0f) + bias;
                const float up = __shfl_xor_sync(ALL_LANES, sum, 1); // the next column, of those that keep theirs
                const int r = tile.first + 16 * m + wmma_row(i);
                if (r >= tile.last || c >= p.n) continue;
                if (!p.gated) store1(p.d, r, c, sum);
                else if (c % 2 == 0) store1(p.d, r, c / 2, local ? swiglu(p.unit, sum, up) : 0.0f);
            }
        }
    }
}

#define KERNEL extern "C" __global__ void __launch_bounds__(THREADS)
KERNEL wmma_bf16_dense(const __grid_constant__ GroupedGemmParams p) { multiply<Bf16s, Dense>(p); }
KERNEL wmma_bf16_mxfp4(const __grid_constant__ GroupedGemmParams p) { multiply<Bf16s, Blocks<Bf16s>>(p); }
KERNEL wmma_f16_dense(const __grid_constant__ GroupedGemmParams p) { multiply<F16s, Dense>(p); }
KERNEL wmma_f16_mxfp4(const __grid_constant__ GroupedGemmParams p) { multiply<F16s, Blocks<F16s>>(p); }
KERNEL grouped_finish(const __grid_constant__ GroupedGemmParams p) { finish_rows(p); }
