// Any types, any shape, in f32: FMAs on tiles of BLOCK_M rows x BLOCK_N weight rows, BLOCK_K at a time. A thread owns
// 4 x 4 results. What tensor cores cannot take runs here.
#include "expert_tile.cuh"
#include "finish.cuh"
#include "weights.cuh"

static_assert(BLOCK_K == 32, "one block of MXFP4: its sum is scaled as a whole");
static_assert(BLOCK_M * 4 == 32 * WARPS && BLOCK_N * 4 == 32 * WARPS, "a thread loads 8 of a row's 32 elements");
static_assert(BLOCK_M * BLOCK_N == 16 * 32 * WARPS, "a thread owns 4 x 4 results");

extern "C" __global__ void __launch_bounds__(32 * WARPS) grouped_gemm(const __grid_constant__ GroupedGemmParams p) {
    __shared__ Tile tile;
    __shared__ float a_tile[BLOCK_K][BLOCK_M + 4], w_tile[BLOCK_K][BLOCK_N + 4], scales[BLOCK_N];
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

    // Loading: 8 elements of one row of each tile.
    const int load_row = threadIdx.x / 4, load_k = threadIdx.x % 4 * 8;
    const int c_load = blockIdx.y * BLOCK_N + load_row, r_load = tile.first + load_row;
    const long long a_row = local && r_load < tile.last ? input_row(p, r_load) : -1;
    // Computing: rows m .. m + 4, columns n .. n + 4 of the tile.
    const int m = threadIdx.x / (BLOCK_N / 4) * 4, n = threadIdx.x % (BLOCK_N / 4) * 4;
    float sum[4][4] = {};
    for (int k = 0; local && k < p.k; k += BLOCK_K) {
        float a[8] = {}, w[8] = {};
        if (a_row >= 0) load8(p.a, a_row, k + load_k, p.k - k - load_k, a);
        if (c_load < p.n) {
            load_weights(p, expert, weight_row(p, c_load), k + load_k, w);
            if (load_k == 0) scales[load_row] = load_scale(p, expert, weight_row(p, c_load), k);
        }
#pragma unroll
        for (int i = 0; i < 8; i++) a_tile[load_k + i][load_row] = a[i], w_tile[load_k + i][load_row] = w[i];
        __syncthreads();
        float block[4][4] = {};
#pragma unroll
        for (int i = 0; i < BLOCK_K; i++) {
            const float4 x = *(const float4*)&a_tile[i][m], y = *(const float4*)&w_tile[i][n];
            const float xs[4] = {x.x, x.y, x.z, x.w}, ys[4] = {y.x, y.y, y.z, y.w};
#pragma unroll
            for (int r = 0; r < 4; r++) {
#pragma unroll
                for (int c = 0; c < 4; c++) block[r][c] += xs[r] * ys[c];
            }
        }
#pragma unroll
        for (int r = 0; r < 4; r++) {
#pragma unroll
            for (int c = 0; c < 4; c++) sum[r][c] += block[r][c] * scales[n + c];
        }
        __syncthreads();
    }

#pragma unroll
    for (int r = 0; r < 4; r++) {
        if (tile.first + m + r >= tile.last) break;
#pragma unroll
        for (int c = 0; c < 4; c++) {
            const int col = blockIdx.y * BLOCK_N + n + c;
            if (p.format != DENSE) sum[r][c] *= E2M1_UNIT;
            if (local && p.bias.base && col < p.n) sum[r][c] += load1(p.bias, expert, weight_row(p, col));
        }
#pragma unroll
        for (int c = 0; c < 4; c++) {
            const int col = blockIdx.y * BLOCK_N + n + c;
            if (col >= p.n) break;
            if (!p.gated) store1(p.d, tile.first + m + r, col, sum[r][c]);
            else if (c % 2 == 0) {
                store1(p.d, tile.first + m + r, col / 2, local ? swiglu(p.unit, sum[r][c], sum[r][c + 1]) : 0.0f);
            }
        }
    }
}

extern "C" __global__ void __launch_bounds__(32 * WARPS) grouped_finish(const __grid_constant__ GroupedGemmParams p) {
    finish_rows(p);
}
