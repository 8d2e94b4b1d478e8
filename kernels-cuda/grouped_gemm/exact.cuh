// The rare way: a warp multiplies 16 weight rows of the prepacked layout with rows of `a` straight from global memory, block
// scales on the f32 sums of their blocks. For weights whose scales no bf16 fragment holds, and rows that the copy engine
// cannot fetch. Slow, and right for every scale.
#pragma once
#include "mxfp4.cuh"
#include "params.cuh"
#include "reduce.cuh"

// Two neighbouring elements of a row of `a`, null or past K: zeros. Rows may be aligned to nothing.
__device__ __forceinline__ unsigned exact_pair(const GroupedGemmParams& p, const char* row, int k) {
    if (!row || k >= p.k) return 0;
    const unsigned short* at = (const unsigned short*)row + k;
    return at[0] | unsigned(at[1]) << 16;
}

// Weight rows col .. col + 16 of a (local) expert, a multiple of 16, by rows row .. row + rows.
__device__ __noinline__ void exact_rows(const GroupedGemmParams& p, int expert, int col, int row, int rows) {
    const int lane = threadIdx.x % 32, g = lane / 4, c = lane % 4 * 2;
    const long long k_tiles = (p.k + TILE_K - 1) / TILE_K;
    const unsigned char* tiles =
        (const unsigned char*)p.w.base + expert * p.w_expert_bytes + col / TILE_ROWS * k_tiles * TILE_BYTES;
    const auto bias = [&](int r) { return p.bias.base && r < p.n ? load1(p.bias, expert, r) : 0.0f; };
    const float low_bias = bias(col + g), high_bias = bias(col + g + 8);
    for (int first = 0; first < rows; first += 8) {
        const long long from = first + g < rows ? input_row(p, row + first + g) : -1;
        const char* a = from < 0 ? nullptr : address(p.a, from, 0);
        float sum[4] = {};
        for (int t = 0; t < k_tiles; t++) {
            const unsigned char* tile = tiles + t * TILE_BYTES;
            const uint4 codes = *(const uint4*)(tile + lane * 16);
            const unsigned scales = *(const unsigned*)(tile + tile_scales(g));
#pragma unroll
            for (int h = 0; h < 2; h++) {
                float block[4] = {};
#pragma unroll
                for (int s = 0; s < 2; s++) {
                    const unsigned word = h == 0 ? (s == 0 ? codes.x : codes.y) : s == 0 ? codes.z : codes.w;
                    unsigned w[4];
                    tile_pairs(MmaBf16{}, word, w);
                    const int k = t * TILE_K + h * 32 + s * 16 + c;
                    mma_16816(MmaBf16{}, block, w, exact_pair(p, a, k), exact_pair(p, a, k + 8));
                }
                const float low = e8m0(scales >> 8 * h & 255), high = e8m0(scales >> (16 + 8 * h) & 255);
                sum[0] += low * block[0], sum[1] += low * block[1], sum[2] += high * block[2], sum[3] += high * block[3];
            }
        }
        const float y[4] = {sum[0] * E2M1_UNIT + low_bias, sum[1] * E2M1_UNIT + low_bias, sum[2] * E2M1_UNIT + high_bias,
                            sum[3] * E2M1_UNIT + high_bias};
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const int n = col + g + i / 2 * 8, r = first + c + i % 2;
            const float other = __shfl_xor_sync(ALL_LANES, y[i], 4); // of row g ^ 1
            if (n >= p.n || r >= rows) continue;
            if (!p.gated) store1(p.d, row + r, n, y[i]);
            else if (g % 2 == 0) store1(p.d, row + r, n / 2, swiglu(p.unit, y[i], other));
        }
    }
}
