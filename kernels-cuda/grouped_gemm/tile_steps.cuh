// Prepacked weights from global memory straight into registers: a step is MATRICES times 16 weight rows by 64 elements of K.
#pragma once
#include "mxfp4.cuh"
#include "params.cuh"
#include "ptx/stream.cuh"
#include "reduce.cuh"
#include "step.cuh"
#include "unaligned.cuh"

// What a lane has of 16 weight rows.
struct TileStep {
    uint4 codes;
    unsigned scales; // of rows g and g + 8, two blocks each

    // Elements 32 half .. times their scales, in E2M1_SCALED_UNITs.
    template <bool LARGE>
    __device__ __forceinline__ void fragments(int half, Fragments& w) const {
        const unsigned words[2] = {half == 0 ? codes.x : codes.z, half == 0 ? codes.y : codes.w};
        unsigned pairs[2];
        if (LARGE) {
            pairs[0] = e8m0_pair(scales >> 8 * half & 255), pairs[1] = e8m0_pair(scales >> (16 + 8 * half) & 255);
        } else {
            small_scale_pairs(scales, half, pairs);
        }
#pragma unroll
        for (int i = 0; i < 2; i++) {
            if (LARGE) scaled_tile_pairs(words[i], pairs, w.a[i]);
            else small_tile_pairs(words[i], pairs, w.a[i]);
        }
    }
};

// Has a lane of the warp scales that need the longer way? They are rare.
__device__ __forceinline__ bool large(const TileStep (&steps)[MATRICES]) {
    unsigned all = 0;
#pragma unroll
    for (int m = 0; m < MATRICES; m++) all |= steps[m].scales;
    return __any_sync(ALL_LANES, large_scales(all));
}

struct TileSource {
    const char *codes, *scales;
    long long second; // bytes from the first 16 weight rows to the next

    __device__ __forceinline__ void set(const GroupedGemmParams& p, int expert, int col) {
        const int lane = threadIdx.x % 32;
        const long long stride = (long long)((p.k + TILE_K - 1) / TILE_K) * TILE_BYTES;
        codes = (const char*)p.w.base + expert * p.w_expert_bytes + min(col, p.n - 1) / TILE_ROWS * stride;
        scales = codes + tile_scales(lane / 4);
        codes += lane * 16;
        // Rows behind the last do not matter, but must be there to be read.
        second = col + 16 < p.n ? stride : 0;
    }

    // The step `ahead` of the present one.
    __device__ __forceinline__ void load(const GroupedGemmParams& p, int ahead, TileStep (&to)[MATRICES]) const {
#pragma unroll
        for (int m = 0; m < MATRICES; m++) {
            const long long at = ahead * TILE_BYTES + m * second;
            if (p.w_aligned) {
                to[m].codes = load_once_128<256>(codes + at), to[m].scales = *(const unsigned*)(scales + at);
            } else {
                to[m].codes = load_bytes(codes + at, 16), to[m].scales = load_bytes(scales + at, 4).x;
            }
        }
    }

    __device__ __forceinline__ void advance(int steps) {
        codes += steps * TILE_BYTES, scales += steps * TILE_BYTES;
    }
};
