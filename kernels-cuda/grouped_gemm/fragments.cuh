// From a stage to registers. Sums do not care about the order of K as long as both operands keep the same: where a lane
// reads 16 bytes of a row, eight elements side by side, they serve as its four pairs of two steps of mma.m16n8k16.
#pragma once
#include "stage.cuh"

// Block scales of MXFP4 in the checkpoint's layout are not aligned to anything: they are copied ahead, PANEL blocks of
// every weight row, as bf16 (2^-127 is a subnormal there, and 255 can be NaN).
constexpr int PANEL = 64, PANEL_PITCH = PANEL * 2 + 4; // bytes; the pitch sets rows in different banks

template <unsigned FORMAT>
constexpr int PANEL_BYTES = FORMAT == MXFP4 ? BLOCK_N * PANEL_PITCH : 0;

__device__ __forceinline__ void load_scales(const GroupedGemmParams& p, const Tile& tile, int k, char* panel) {
    const int lane = threadIdx.x % 32, first = k / 32, blocks = p.k / 32;
#pragma unroll 4
    for (int row = threadIdx.x / 32; row < BLOCK_N; row += WARPS) {
        const int c = tile.col + row;
        const unsigned char* from = p.w_scales + ((long long)tile.expert * p.n + weight_row(p, c)) * blocks;
#pragma unroll
        for (int at = lane; at < PANEL; at += 32) {
            const float scale = c < p.n && first + at < blocks ? e8m0(from[first + at]) : 0.0f;
            *(unsigned short*)(panel + row * PANEL_PITCH + at * 2) = __float_as_uint(scale) >> 16;
        }
    }
}

// What a warp multiplies at a time: 16 COUNT weight rows by 32 elements of K, and the scales of the rows g and g + 8.
template <int COUNT>
struct Weights {
    unsigned a[COUNT][8];
    float scale[COUNT][2];
};

// Elements 32 h .. of a stage; `row` is the warp's first weight row in the tile, `step` the stage's number in the panel.
template <class T, unsigned FORMAT, int COUNT>
__device__ __forceinline__ void load_weights(unsigned stage, unsigned panel, int row, int step, int h,
                                             Weights<COUNT>& w) {
    const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
#pragma unroll
    for (int m = 0; m < COUNT; m++) {
        const int first = row + 16 * m + g;
        if constexpr (FORMAT == DENSE) {
            const unsigned at = stage + first * ROW_BYTES + swizzled(g, 4 * h + t) * 16;
            const uint4 low = load_shared_128(at), high = load_shared_128(at + 8 * ROW_BYTES);
            w.a[m][0] = low.x, w.a[m][1] = high.x, w.a[m][2] = low.y, w.a[m][3] = high.y;
            w.a[m][4] = low.z, w.a[m][5] = high.z, w.a[m][6] = low.w, w.a[m][7] = high.w;
        } else if constexpr (FORMAT == MXFP4) {
            const unsigned at = stage + code_offset(first, h) + 4 * t;
            unsigned low[4], high[4];
            e2m1_pairs(T{}, load_shared_32(at), low);
            e2m1_pairs(T{}, load_shared_32(at + 8 * 32), high);
#pragma unroll
            for (int i = 0; i < 4; i++) w.a[m][2 * i] = low[i], w.a[m][2 * i + 1] = high[i];
#pragma unroll
            for (int i = 0; i < 2; i++) {
                const unsigned pair = load_shared_32(panel + (first + 8 * i) * PANEL_PITCH + step * 4);
                w.scale[m][i] = __uint_as_float(h == 0 ? pair << 16 : pair & 0xffff0000);
            }
        } else {
            const unsigned tile = stage + (row / TILE_ROWS + m) * TILE_BYTES;
            const uint2 codes = load_shared_64(tile + lane * 16 + h * 8);
            unsigned first_step[4], second_step[4];
            e2m1_pairs(T{}, codes.x, first_step);
            e2m1_pairs(T{}, codes.y, second_step);
#pragma unroll
            for (int i = 0; i < 4; i++) w.a[m][i] = first_step[i], w.a[m][4 + i] = second_step[i];
#pragma unroll
            for (int i = 0; i < 2; i++) {
                const unsigned pair = load_shared_16(tile + TILE_CODES + 2 * (g + 8 * i));
                w.scale[m][i] = e8m0(h == 0 ? pair & 255 : pair >> 8);
            }
        }
    }
}

// The 32 elements of eight rows of `a` from `row` on: b[0] and b[1] of two steps.
template <unsigned FORMAT>
__device__ __forceinline__ uint4 load_rows(unsigned stage, int row, int h) {
    const int lane = threadIdx.x % 32;
    if constexpr (FORMAT == MXFP4_TILED) { // packed in the order of K
        return load_matrices(stage + (row + lane % 8) * ROW_BYTES + swizzled(lane % 8, 4 * h + lane / 8) * 16);
    } else {
        return load_shared_128(stage + (row + lane / 4) * ROW_BYTES + swizzled(lane / 4, 4 * h + lane % 4) * 16);
    }
}
