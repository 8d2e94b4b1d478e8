// Activations and weights of 16 bits, or MXFP4 weights, on matrix units: tiles of BLOCK_M rows x BLOCK_N weight rows, BLOCK_K at a
// time. While a step is multiplied from LDS, the next one is on its way to registers. A wave has 32 weight rows and all rows of
// the tile. MXFP4 is multiplied without its scales, which are factors of whole blocks: a lane's sums have one weight row, and
// so one scale.
#include "../../kernels-cuda/grouped_gemm/expert_tile.cuh"
#include "../../kernels-cuda/grouped_gemm/finish.cuh"
#include "../../kernels-cuda/grouped_gemm/weights.cuh"
#include "gcn/mfma.h"
#include "stored.h"

constexpr int THREADS = 32 * WARPS, CHUNKS = BLOCK_K / 8, ROWS = THREADS / CHUNKS; // rows that all threads load at a time
constexpr int A_LOADS = BLOCK_M / ROWS, W_LOADS = BLOCK_N / ROWS, M_TILES = BLOCK_M / 32;
constexpr int PITCH = BLOCK_K + 8; // of 16-bit elements: keeps rows in different banks
static_assert(BLOCK_K == 32, "one block of MXFP4: its sum is scaled as a whole");
static_assert(BLOCK_N == 32 * THREADS / 64, "a wave has 32 weight rows");
static_assert(BLOCK_M % ROWS == 0 && BLOCK_N % ROWS == 0 && BLOCK_M % 32 == 0, "threads share rows evenly");

// A thread's share of a step.
template <bool BLOCKS> struct Step {
    uint4 a[A_LOADS], w[W_LOADS];
    float scale[W_LOADS];

    __device__ __forceinline__ void load(const GroupedGemmParams& p, int expert, const long long (&a_row)[A_LOADS], int k) {
        const int first = threadIdx.x / CHUNKS, at = k + int(threadIdx.x) % CHUNKS * 8;
#pragma unroll
        for (int i = 0; i < A_LOADS; i++) a[i] = a_row[i] < 0 ? uint4{} : load_stored(p.a, a_row[i], at, p.k);
#pragma unroll
        for (int i = 0; i < W_LOADS; i++) {
            const int c = blockIdx.y * BLOCK_N + first + i * ROWS, n = weight_row(p, min(c, p.n - 1));
            if constexpr (BLOCKS) {
                float values[8];
                load_weights(p, expert, n, at, values);
                w[i] = pack(p.a.dtype, values);
                scale[i] = load_scale(p, expert, n, k);
            } else {
                w[i] = load_stored(p.w, (long long)expert * p.n + n, at, p.k);
            }
        }
    }
};

template <class Pair, bool BLOCKS> __device__ __forceinline__ void multiply(const GroupedGemmParams& p) {
    __shared__ Tile tile;
    __shared__ __align__(16) unsigned short a_tile[BLOCK_M][PITCH], w_tile[BLOCK_N][PITCH];
    __shared__ float scales[BLOCK_N];
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

    const int load_row = threadIdx.x / CHUNKS, load_k = threadIdx.x % CHUNKS * 8;
    long long a_row[A_LOADS];
#pragma unroll
    for (int i = 0; i < A_LOADS; i++) {
        const int r = tile.first + load_row + i * ROWS;
        a_row[i] = local && r < tile.last ? input_row(p, r) : -1;
    }
    const int lane = wave_lane(), column = threadIdx.x / 64 * 32 + lane % 32;
    Sums sums[M_TILES] = {};
    Step<BLOCKS> step;
    if (local) step.load(p, expert, a_row, 0);
    for (int k = 0; local && k < p.k; k += BLOCK_K) {
#pragma unroll
        for (int i = 0; i < A_LOADS; i++) *(uint4*)&a_tile[load_row + i * ROWS][load_k] = step.a[i];
#pragma unroll
        for (int i = 0; i < W_LOADS; i++) {
            *(uint4*)&w_tile[load_row + i * ROWS][load_k] = step.w[i];
            if (BLOCKS && load_k == 0) scales[load_row + i * ROWS] = step.scale[i];
        }
        __syncthreads();
        if (k + BLOCK_K < p.k) step.load(p, expert, a_row, k + BLOCK_K);
        Sums block[M_TILES] = {};
#pragma unroll
        for (int kk = 0; kk < BLOCK_K; kk += MFMA_K) {
            const int at = kk + lane / 32 * MFMA_EACH;
            const Pair w = *(const Pair*)&w_tile[column][at];
#pragma unroll
            for (int m = 0; m < M_TILES; m++) {
                const Pair a = *(const Pair*)&a_tile[32 * m + lane % 32][at];
                if constexpr (BLOCKS) block[m] = mfma(a, w, block[m]);
                else sums[m] = mfma(a, w, sums[m]);
            }
        }
        if constexpr (BLOCKS) {
#pragma unroll
            for (int m = 0; m < M_TILES; m++) sums[m] += block[m] * scales[column];
        }
        __syncthreads();
    }

    const int c = blockIdx.y * BLOCK_N + column;
    const float bias = local && p.bias.base && c < p.n ? load1(p.bias, expert, weight_row(p, c)) : 0.0f;
#pragma unroll
    for (int m = 0; m < M_TILES; m++) {
#pragma unroll
        for (int i = 0; i < 16; i++) {
            const float sum = sums[m][i] * (BLOCKS ? E2M1_UNIT : 1.0f) + bias;
            const float up = __shfl_xor_sync(ALL_LANES, sum, 1); // the next column, of those that keep theirs
            const int r = tile.first + 32 * m + mfma_row(i);
            if (r >= tile.last || c >= p.n) continue;
            if (!p.gated) store1(p.d, r, c, sum);
            else if (c % 2 == 0) store1(p.d, r, c / 2, local ? swiglu(p.unit, sum, up) : 0.0f);
        }
    }
}

#define KERNEL extern "C" __global__ void __launch_bounds__(THREADS)
KERNEL mfma_bf16_dense(const __grid_constant__ GroupedGemmParams p) { multiply<Bf16s, false>(p); }
KERNEL mfma_bf16_mxfp4(const __grid_constant__ GroupedGemmParams p) { multiply<Bf16s, true>(p); }
KERNEL mfma_f16_dense(const __grid_constant__ GroupedGemmParams p) { multiply<F16s, false>(p); }
KERNEL mfma_f16_mxfp4(const __grid_constant__ GroupedGemmParams p) { multiply<F16s, true>(p); }
KERNEL grouped_finish(const __grid_constant__ GroupedGemmParams p) { finish_rows(p); }
