// From a stage to registers. Sums do not care about the order of K as long as both operands keep the same: where MXFP4 lies
// in the checkpoint's layout a lane takes eight codes side by side (and eight elements of `a`, 16 bytes) as its four pairs
// of two steps of mma.m16n8k16.
#pragma once
#include "stage.cuh"

// What a warp multiplies at a time: 16 COUNT weight rows by 32 elements of K, and the scales of the rows g and g + 8.
template <int COUNT>
struct Weights {
    unsigned a[COUNT][8];
    float scale[COUNT][2];
};

// Elements 32 h .. of the weights of a step; `row` is the warp's first weight row in the tile.
template <unsigned FORMAT, class T, int COUNT>
__device__ __forceinline__ void load_weights(const E2m1Tables<T>& tables, unsigned step, int row, int h,
                                             Weights<COUNT>& w) {
    const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
#pragma unroll
    for (int m = 0; m < COUNT; m++) {
        const int first = row + 16 * m + g;
        if constexpr (FORMAT == DENSE) {
            const int mine = lane % 16, high = lane / 16; // of the four matrices: row and half of a step
            const unsigned at = step + (row + 16 * m + mine) * ROW_BYTES;
#pragma unroll
            for (int step16 = 0; step16 < 2; step16++) {
                const uint4 a = load_matrices(at + swizzled(mine, 4 * h + 2 * step16 + high) * 16);
                w.a[m][4 * step16] = a.x, w.a[m][4 * step16 + 1] = a.y;
                w.a[m][4 * step16 + 2] = a.z, w.a[m][4 * step16 + 3] = a.w;
            }
        } else if constexpr (FORMAT == MXFP4) {
            const unsigned at = step + code_offset(first, h) + 4 * t;
            unsigned low[4], high[4];
            e2m1_pairs(tables, load_shared_32(at), low);
            e2m1_pairs(tables, load_shared_32(at + 8 * 32), high);
#pragma unroll
            for (int i = 0; i < 4; i++) w.a[m][2 * i] = low[i], w.a[m][2 * i + 1] = high[i];
#pragma unroll
            for (int i = 0; i < 2; i++) {
                const unsigned pair = load_shared_32(step + CODE_BYTES + (first + 8 * i) * 4);
                w.scale[m][i] = __uint_as_float(h == 0 ? pair << 16 : pair & 0xffff0000);
            }
        } else {
            const unsigned tile = step + (row / TILE_ROWS + m) * TILE_BYTES;
            const uint2 codes = load_shared_64(tile + lane * 16 + h * 8);
            unsigned first_step[4], second_step[4];
            tile_pairs(T{}, codes.x, first_step);
            tile_pairs(T{}, codes.y, second_step);
#pragma unroll
            for (int i = 0; i < 4; i++) w.a[m][i] = first_step[i], w.a[m][4 + i] = second_step[i];
            const unsigned scales = load_shared_32(tile + tile_scales(g)) >> 8 * h;
            w.scale[m][0] = e8m0(scales & 255), w.scale[m][1] = e8m0(scales >> 16 & 255);
        }
    }
}

// The 32 elements of eight rows of `a` from `row` on: b[0] and b[1] of two steps.
template <unsigned FORMAT>
__device__ __forceinline__ uint4 load_rows(unsigned step, int row, int h) {
    const int lane = threadIdx.x % 32;
    if constexpr (FORMAT == MXFP4) {
        return load_shared_128(step + (row + lane / 4) * ROW_BYTES + swizzled(lane / 4, 4 * h + lane % 4) * 16);
    } else {
        return load_matrices(step + (row + lane % 8) * ROW_BYTES + swizzled(lane % 8, 4 * h + lane / 8) * 16);
    }
}
