// What a wave of a prefill does with its rows besides multiplying.
#pragma once
#include "../../kernels-cuda/flash_attn/tile.cuh"

__device__ __forceinline__ int other_half(int value) { return from_lane(value, wave_lane() ^ 32); }
__device__ __forceinline__ float other_half(float value) { return from_lane(value, wave_lane() ^ 32); }

__device__ __forceinline__ void wait_for_loads() { __builtin_amdgcn_s_waitcnt(0xf70); } // vmcnt(0)

// Keeps loads from LDS together: each alone would be waited for.
__device__ __forceinline__ void all_on_their_way() { __builtin_amdgcn_sched_barrier(0); }

// Elements d to d + 3 of a row of results.
__device__ __forceinline__ void store_four(unsigned dtype, char* row, int d, const float (&x)[4]) {
#pragma unroll
    for (int e = 0; e < 4; e++) {
        if (dtype == F32) ((float*)row)[d + e] = x[e];
        else ((unsigned short*)row)[d + e] = narrow(dtype, x[e]);
    }
}
