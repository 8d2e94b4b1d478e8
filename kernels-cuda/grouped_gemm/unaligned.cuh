// Copies of 16 bytes to shared memory from rows that may be aligned to nothing.
#pragma once
#include "ptx/cp_async.cuh"
#include "ptx/shared.cuh"

// 16 bytes of which the first `valid` are read, one after the other.
__device__ __forceinline__ uint4 load_bytes(const char* from, int valid) {
    uint4 words = {};
#pragma unroll 1
    for (int i = 0; i < 16; i++) {
        const unsigned byte = i < valid ? (unsigned char)from[i] : 0;
        words.x = words.x >> 8 | words.y << 24, words.y = words.y >> 8 | words.z << 24;
        words.z = words.z >> 8 | words.w << 24, words.w = words.w >> 8 | byte << 24;
    }
    return words;
}

// The first `valid` bytes, zeros behind them. Where rows are aligned, all 16 are valid or none.
__device__ __forceinline__ void copy_16(bool aligned, unsigned to, const char* from, int valid) {
    if (aligned) cp_async_16(to, from, valid > 0);
    else store_shared_128(to, load_bytes(from, valid));
}
