// A linear layer on few rows, dense weights: no tensor cores, every weight straight from memory to a register, once. A warp
// owns COLUMNS weight rows; `splits` warps of a block share them where there are too few warps for the device, each with its
// part of K, and add up in a fixed order.
#include "params.cuh"
#include "ptx/overlap.cuh"
#include "ptx/stream.cuh"
#include "reduce.cuh"

// Eight elements.
template <bool ALIGNED, bool ONCE>
__device__ __forceinline__ uint4 load(const unsigned short* at, bool there) {
    if (!there) return {};
    if (ALIGNED) return ONCE ? load_once_128<MOST_FETCH>(at) : *(const uint4*)at;
    const auto pair = [&](int i) { return at[2 * i] | unsigned(at[2 * i + 1]) << 16; };
    return {pair(0), pair(1), pair(2), pair(3)};
}

template <unsigned DTYPE>
__device__ __forceinline__ float element(const uint4& chunk, int i) {
    const unsigned word = i < 4 ? i < 2 ? chunk.x : chunk.y : i < 6 ? chunk.z : chunk.w;
    return widen(DTYPE, (unsigned short)(i % 2 == 0 ? word : word >> 16));
}

// AHEAD chunks of every weight row are under way: the first before the launch in front of this one is through, the next as soon as
// one is used. Behind the end of K both factors are zero.
template <unsigned DTYPE, int ROWS, int COLUMNS, int AHEAD, bool ALIGNED>
__device__ __forceinline__ void multiply(const GroupedGemmParams& p, int col, int first, int step,
                                         float (&sum)[ROWS][COLUMNS]) {
    const int chunks = col < p.n ? p.k / 8 : 0;
    const unsigned short *w_rows[COLUMNS], *a_rows[ROWS];
#pragma unroll
    for (int c = 0; c < COLUMNS; c++) w_rows[c] = (const unsigned short*)p.w.base + min(col + c, p.n - 1) * p.w.stride;
#pragma unroll
    for (int r = 0; r < ROWS; r++) a_rows[r] = (const unsigned short*)p.a.base + min(r, p.rows - 1) * p.a.stride;
    uint4 w[AHEAD][COLUMNS];
    const auto load_weights = [&](int u, int at) {
#pragma unroll
        for (int c = 0; c < COLUMNS; c++) w[u][c] = load<ALIGNED, true>(w_rows[c] + 8 * at, at < chunks);
    };
#pragma unroll
    for (int u = 0; u < AHEAD; u++) load_weights(u, first + u * step);
    wait_behind_loads(p.splits > 0);
    allow_successor();
#pragma unroll 1
    for (int i = first; i < chunks; i += AHEAD * step) {
#pragma unroll
        for (int u = 0; u < AHEAD; u++) {
            const int at = i + u * step;
            uint4 a[ROWS];
#pragma unroll
            for (int r = 0; r < ROWS; r++) a[r] = load<ALIGNED, false>(a_rows[r] + 8 * at, at < chunks);
#pragma unroll
            for (int j = 0; j < 8; j++) {
#pragma unroll
                for (int c = 0; c < COLUMNS; c++) {
#pragma unroll
                    for (int r = 0; r < ROWS; r++) sum[r][c] = fmaf(element<DTYPE>(a[r], j), element<DTYPE>(w[u][c], j), sum[r][c]);
                }
            }
            load_weights(u, at + AHEAD * step);
        }
    }
}

template <unsigned DTYPE, int ROWS, int COLUMNS, int AHEAD>
__device__ __forceinline__ void layer(const GroupedGemmParams& p) {
    __shared__ float parts[WARPS][ROWS * COLUMNS];
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, part = warp % p.splits;
    const int col = (blockIdx.x * (WARPS / p.splits) + warp / p.splits) * COLUMNS;
    const int r = lane / COLUMNS, c = lane % COLUMNS;
    const bool stores = part == 0 && r < min(ROWS, p.rows) && col + c < p.n;
    const float bias = stores && p.bias.base ? load1(p.bias, 0, col + c) : 0.0f; // not at the end, where memory is waited for
    float sum[ROWS][COLUMNS] = {};
    const int first = part * 32 + lane, step = p.splits * 32;
    if (p.a_aligned && p.w_aligned) multiply<DTYPE, ROWS, COLUMNS, AHEAD, true>(p, col, first, step, sum);
    else multiply<DTYPE, ROWS, COLUMNS, 1, false>(p, col, first, step, sum);
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
#pragma unroll
        for (int c = 0; c < COLUMNS; c++) {
            const float whole = warp_sum(sum[r][c]);
            if (lane == 0) parts[warp][r * COLUMNS + c] = whole;
        }
    }
    __syncthreads();
    if (!stores) return;
    float total = 0.0f;
    for (int s = 0; s < p.splits; s++) total += parts[warp + s][lane];
    store1(p.d, r, col + c, total + bias);
}

#define LAYER(name, dtype, rows, columns, ahead, blocks)                                                               \
    extern "C" __global__ void __launch_bounds__(32 * WARPS, blocks) name(const __grid_constant__ GroupedGemmParams p) { \
        layer<dtype, rows, columns, ahead>(p);                                                                         \
    }

LAYER(vector_bf16_1, BF16, 1, 2, 6, 3)
LAYER(vector_bf16_2, BF16, 2, 2, 4, 2)
LAYER(vector_bf16_4, BF16, 4, 2, 3, 2)
LAYER(vector_bf16_8, BF16, 8, 2, 2, 2)
LAYER(vector_f16_1, F16, 1, 2, 6, 3)
LAYER(vector_f16_2, F16, 2, 2, 4, 2)
LAYER(vector_f16_4, F16, 4, 2, 3, 2)
LAYER(vector_f16_8, F16, 8, 2, 2, 2)
