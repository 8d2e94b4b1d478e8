// Rows of `a` on their way to a stage in shared memory, 64 elements of K at a time.
#pragma once
#include "chunks.cuh"
#include "params.cuh"
#include "unaligned.cuh"

// What a thread copies: its rows of the tile, null for zeros.
struct RowSource {
    const char* rows[BLOCK_M / CHUNK_ROWS];

    __device__ __forceinline__ explicit RowSource(const char* const* all) {
#pragma unroll
        for (int j = 0; j < BLOCK_M / CHUNK_ROWS; j++) rows[j] = all[threadIdx.x / CHUNKS + j * CHUNK_ROWS];
    }

    __device__ __forceinline__ void load(const GroupedGemmParams& p, int k, unsigned to) const {
        const int at = k + threadIdx.x % CHUNKS * 8, valid = min(p.k - at, 8) * 2;
        to += chunk_offset();
#pragma unroll
        for (int j = 0; j < BLOCK_M / CHUNK_ROWS; j++) {
            const char* from = rows[j];
            copy_16(p.a_aligned, to + j * CHUNK_ROWS * ROW_BYTES, from + 2ll * at, from ? valid : 0);
        }
    }
};
