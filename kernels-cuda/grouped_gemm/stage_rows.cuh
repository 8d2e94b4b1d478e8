// Rows of `a` on their way to a stage in shared memory, 64 elements of K at a time.
#pragma once
#include "params.cuh"
#include "unaligned.cuh"
#include "step.cuh"

constexpr int CHUNKS = 8, CHUNK_ROWS = 32 * WARPS / CHUNKS; // of 16 bytes in a row; rows the block copies at a time
static_assert(CHUNK_ROWS % 8 == 0 && BLOCK_M % CHUNK_ROWS == 0, "rows of a thread are swizzled alike");

// One chunk of eight rows (ldmatrix) and four of two rows (16 bytes a lane) fall into different banks.
__device__ __forceinline__ int swizzled(int row, int chunk) { return chunk ^ (row % 2 * 4 + row / 2 % 4); }

// What a thread copies: its rows of the tile, null for zeros.
struct RowSource {
    const char* rows[BLOCK_M / CHUNK_ROWS];

    __device__ __forceinline__ explicit RowSource(const char* const* all) {
#pragma unroll
        for (int j = 0; j < BLOCK_M / CHUNK_ROWS; j++) rows[j] = all[threadIdx.x / CHUNKS + j * CHUNK_ROWS];
    }

    __device__ __forceinline__ void load(const GroupedGemmParams& p, int k, unsigned to) const {
        const int row = threadIdx.x / CHUNKS, chunk = threadIdx.x % CHUNKS, at = k + chunk * 8;
        const int valid = min(p.k - at, 8) * 2;
        to += row * ROW_BYTES + swizzled(row, chunk) * 16;
#pragma unroll
        for (int j = 0; j < BLOCK_M / CHUNK_ROWS; j++) {
            const char* from = rows[j];
            copy_16(p.a_aligned, to + j * CHUNK_ROWS * ROW_BYTES, from + 2ll * at, from ? valid : 0);
        }
    }
};
