// A finished tile, f32 in shared memory, one row of `a` a line: bias, gate, one rounding, 16-byte stores.
#pragma once
#include "schedule.cuh"

constexpr int TILE_PITCH = BLOCK_N + 4; // keeps a warp's results in different banks

__device__ __forceinline__ void load_bias(const GroupedGemmParams& p, const Tile& tile, float* bias) {
    for (int i = threadIdx.x; i < BLOCK_N; i += 32 * WARPS) {
        const int c = tile.col + i;
        const bool has = p.bias.base && tile.split == 0 && c < p.n;
        bias[i] = has ? load1(p.bias, tile.expert, weight_row(p, c)) : 0.0f;
    }
}

__device__ __forceinline__ void store_tile(const GroupedGemmParams& p, const Tile& tile, const float* results,
                                           const float* bias) {
    const bool gated = p.gated && p.splits == 1;
    const int width = gated ? p.n / 2 : p.n, per_row = BLOCK_N / (gated ? 16 : 8), first = tile.col / (gated ? 2 : 1);
    for (int i = threadIdx.x; i < tile.rows * per_row; i += 32 * WARPS) {
        const int r = i / per_row, c = i % per_row * 8, from = gated ? 2 * c : c;
        const float* y = results + r * TILE_PITCH + from;
        const float* b = bias + from;
        float out[8];
#pragma unroll
        for (int j = 0; j < 8; j++) {
            out[j] = gated ? swiglu(p.unit, y[2 * j] + b[2 * j], y[2 * j + 1] + b[2 * j + 1]) : y[j] + b[j];
        }
        if (first + c >= width) continue;
        store8(p.d, (long long)tile.split * p.rows + tile.row + r, first + c, width - first - c, out);
    }
}

// Rows of an expert whose weights are elsewhere.
__device__ __forceinline__ void store_zeros(const GroupedGemmParams& p, const Tile& tile) {
    const int width = p.gated ? p.n / 2 : p.n, per_row = BLOCK_N / (p.gated ? 16 : 8), first = tile.col / (p.gated ? 2 : 1);
    for (int i = threadIdx.x; i < tile.rows * per_row; i += 32 * WARPS) {
        const int c = first + i % per_row * 8;
        float zeros[8] = {};
        if (c < width) store8(p.d, tile.row + i / per_row, c, width - c, zeros);
    }
}
