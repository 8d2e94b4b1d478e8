// Eight weights of a row, and the scale of a block, from whatever format they are stored in.
#pragma once
#include "mxfp4_values.cuh"
#include "params.cuh"

__device__ __forceinline__ const unsigned char* weight_bytes(const GroupedGemmParams& p, int expert, int n, int k) {
    const unsigned char* w = (const unsigned char*)p.w.base;
    const long long row = (long long)expert * p.n + n, blocks = p.k / 32;
    switch (p.format) {
    case MXFP4: return w + row * blocks * 16;
    case MXFP4_GGUF: return w + (row * blocks + k / 32) * 17;
    default: {
        const long long tile = (long long)(n / TILE_ROWS) * ((p.k + TILE_K - 1) / TILE_K) + k / TILE_K;
        return w + expert * p.w_expert_bytes + tile * TILE_BYTES;
    }
    }
}

// Weights k .. k + 8 of row n, without their scale; zeros from K on.
__device__ __forceinline__ void load_weights(const GroupedGemmParams& p, int expert, int n, int k, float (&out)[8]) {
    if (p.format == DENSE) {
        load8(p.w, (long long)expert * p.n + n, k, p.k - k, out);
        return;
    }
    if (k >= p.k) {
#pragma unroll
        for (int i = 0; i < 8; i++) out[i] = 0.0f;
        return;
    }
    const unsigned char* at = weight_bytes(p, expert, n, k);
    if (p.format == MXFP4) openai8(at, k, out);
    else if (p.format == MXFP4_GGUF) gguf8(at, k, out);
    else tiled8(at, n % TILE_ROWS, k, out);
}

// Scale of the block of row n that holds k; 1 where the weights have none.
__device__ __forceinline__ float load_scale(const GroupedGemmParams& p, int expert, int n, int k) {
    if (p.format == DENSE) return 1.0f;
    if (p.format == MXFP4) return e8m0(p.w_scales[((long long)expert * p.n + n) * (p.k / 32) + k / 32]);
    const unsigned char* at = weight_bytes(p, expert, n, k);
    if (p.format == MXFP4_GGUF) return e8m0(at[0]);
    return e8m0(at[tile_scales(n % 8) + n % TILE_ROWS / 8 * 2 + k % TILE_K / 32]);
}
