// The rare way: a warp multiplies 16 weight rows with rows of `a` straight from global memory, block scales of the prepacked
// layout on the f32 sums of their blocks. For weights whose scales no bf16 fragment holds, and operands that the copy engine
// cannot fetch. Slow, and right for every scale and alignment.
#pragma once
#include "mxfp4.cuh"
#include "params.cuh"
#include "reduce.cuh"

// Two neighbouring elements of a row; zeros where there is no row, and past K. Rows may be aligned to nothing.
__device__ __forceinline__ unsigned exact_pair(const GroupedGemmParams& p, const char* row, int k) {
    const unsigned short* at = (const unsigned short*)row + k;
    const unsigned low = row && k < p.k ? at[0] : 0, high = row && k + 1 < p.k ? at[1] : 0;
    return low | high << 16;
}

// 32 elements of K from `k` on of 16 dense weight rows, two of them this lane's, by those of `a`.
template <class T>
__device__ __forceinline__ void exact_block(const GroupedGemmParams& p, const char* low, const char* high, const char* a,
                                            int k, float (&sum)[4]) {
#pragma unroll
    for (int s = 0; s < 2; s++, k += 16) {
        const unsigned w[4] = {exact_pair(p, low, k), exact_pair(p, high, k), exact_pair(p, low, k + 8),
                               exact_pair(p, high, k + 8)};
        mma_16816(T{}, sum, w, exact_pair(p, a, k), exact_pair(p, a, k + 8));
    }
}

// The same of a prepacked tile, half h.
__device__ __forceinline__ void exact_block(const GroupedGemmParams& p, const unsigned char* tile, int h, const char* a,
                                            int k, float (&sum)[4]) {
    const int lane = threadIdx.x % 32;
    const unsigned scales = *(const unsigned*)(tile + tile_scales(lane / 4)) >> 8 * h;
    float block[4] = {};
#pragma unroll
    for (int s = 0; s < 2; s++, k += 16) {
        unsigned w[4];
        tile_pairs(MmaBf16{}, *(const unsigned*)(tile + lane * 16 + h * 8 + s * 4), w);
        mma_16816(MmaBf16{}, block, w, exact_pair(p, a, k), exact_pair(p, a, k + 8));
    }
    const float low = e8m0(scales & 255), high = e8m0(scales >> 16 & 255);
    sum[0] += low * block[0], sum[1] += low * block[1], sum[2] += high * block[2], sum[3] += high * block[3];
}

// Weight rows col .. col + 16 of a (local) expert, a multiple of 16, by rows row .. row + rows. T: the type of dense weights.
template <class T, bool TILED>
__device__ __noinline__ void exact_rows(const GroupedGemmParams& p, int expert, int col, int row, int rows) {
    const int lane = threadIdx.x % 32, g = lane / 4, c = lane % 4 * 2;
    const long long k_tiles = (p.k + TILE_K - 1) / TILE_K;
    const unsigned char* tiles =
        (const unsigned char*)p.w.base + expert * p.w_expert_bytes + col / TILE_ROWS * k_tiles * TILE_BYTES;
    const auto bias = [&](int r) { return p.bias.base && r < p.n ? load1(p.bias, expert, r) : 0.0f; };
    const auto dense = [&](int r) { return r < p.n ? address(p.w, (long long)expert * p.n + r, 0) : nullptr; };
    const float low_bias = bias(col + g), high_bias = bias(col + g + 8);
    const char *low = TILED ? nullptr : dense(col + g), *high = TILED ? nullptr : dense(col + g + 8);
    for (int first = 0; first < rows; first += 8) {
        const long long from = first + g < rows ? input_row(p, row + first + g) : -1;
        const char* a = from < 0 ? nullptr : address(p.a, from, 0);
        float sum[4] = {};
        for (int k = 0; k < p.k; k += 32) {
            if constexpr (TILED) exact_block(p, tiles + k / TILE_K * TILE_BYTES, k / 32 % 2, a, k + c, sum);
            else exact_block<T>(p, low, high, a, k + c, sum);
        }
        constexpr float UNIT = TILED ? E2M1_UNIT : 1.0f;
        const float y[4] = {sum[0] * UNIT + low_bias, sum[1] * UNIT + low_bias, sum[2] * UNIT + high_bias,
                            sum[3] * UNIT + high_bias};
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
