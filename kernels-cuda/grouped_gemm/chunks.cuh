// Rows of a step in shared memory, in chunks of 16 bytes that the block copies.
#pragma once
#include "step.cuh"

constexpr int CHUNKS = 8, CHUNK_ROWS = 32 * WARPS / CHUNKS; // of a row; rows the block copies at a time
static_assert(CHUNK_ROWS % 8 == 0 && BLOCK_M % CHUNK_ROWS == 0, "rows of a thread are swizzled alike");

// One chunk of eight rows (ldmatrix) and four of two rows (16 bytes a lane) fall into different banks.
__device__ __forceinline__ int swizzled(int row, int chunk) { return chunk ^ (row % 2 * 4 + row / 2 % 4); }

// Where this thread's chunk of its first row lies.
__device__ __forceinline__ int chunk_offset() {
    const int row = threadIdx.x / CHUNKS, chunk = threadIdx.x % CHUNKS;
    return row * ROW_BYTES + swizzled(row, chunk) * 16;
}
