// A stage of the pipeline in shared memory: BLOCK_M rows of `a` and BLOCK_N weight rows, 64 elements of K each, the weights
// still as they are stored. 16-bit rows are 128 bytes, in chunks of 16 that are swizzled so that eight rows at one chunk
// (ldmatrix) and two rows at four chunks (16 bytes a lane) both fall into different banks.
#pragma once
#include "mxfp4.cuh"
#include "params.cuh"
#include "ptx/cp_async.cuh"
#include "ptx/shared.cuh"
#include "schedule.cuh"

static_assert(BLOCK_K == 64, "a row of a stage is 128 bytes");
constexpr int THREADS = 32 * WARPS, ROW_BYTES = 128;

__device__ __forceinline__ int swizzled(int row, int chunk) { return chunk ^ (row % 2 * 4 + row / 2 % 4); }

// Where half h (32 elements, 16 bytes) of a row of MXFP4 codes lies: rows 4 apart share banks, so they swap halves.
__device__ __forceinline__ int code_offset(int row, int h) { return row * 32 + (h ^ (row / 4 % 2)) * 16; }

template <unsigned FORMAT>
struct Stage {
    static constexpr int WEIGHTS = FORMAT == DENSE   ? BLOCK_N * ROW_BYTES
                                   : FORMAT == MXFP4 ? BLOCK_N * 32
                                                     : BLOCK_N / TILE_ROWS * TILE_BYTES;
    static constexpr int BYTES = BLOCK_M * ROW_BYTES + WEIGHTS;
};

// 16 bytes, of which the first `valid` are read; one byte after the other where they are not aligned.
__device__ __forceinline__ void copy_16(unsigned to, const char* from, int valid, bool aligned) {
    if (aligned) {
        cp_async_16(to, from, valid);
        return;
    }
    uint4 words = {};
#pragma unroll 1
    for (int i = 0; i < 16; i++) {
        const unsigned byte = i < valid ? (unsigned char)from[i] : 0;
        words.x = words.x >> 8 | words.y << 24, words.y = words.y >> 8 | words.z << 24;
        words.z = words.z >> 8 | words.w << 24, words.w = words.w >> 8 | byte << 24;
    }
    store_shared_128(to, words);
}

// Bytes of a chunk of eight 16-bit elements from k on that the row has.
__device__ __forceinline__ int chunk_bytes(const GroupedGemmParams& p, int k) { return min(max(p.k - k, 0), 8) * 2; }

// `rows` are the addresses of the tile's rows of `a`, null for zeros.
__device__ __forceinline__ void load_a(const GroupedGemmParams& p, const char* const* rows, int k, unsigned to) {
#pragma unroll
    for (int i = threadIdx.x; i < BLOCK_M * 8; i += THREADS) {
        const int row = i / 8, chunk = i % 8, at = k + chunk * 8;
        const char* from = rows[row];
        const int valid = from ? chunk_bytes(p, at) : 0;
        const char* address = valid ? from + 2ll * at : (const char*)p.a.base;
        copy_16(to + row * ROW_BYTES + swizzled(row, chunk) * 16, address, valid, p.a_aligned);
    }
}

template <unsigned FORMAT>
__device__ __forceinline__ void load_w(const GroupedGemmParams& p, const Tile& tile, int k, unsigned to) {
    const char* base = (const char*)p.w.base;
    if constexpr (FORMAT == DENSE) {
#pragma unroll
        for (int i = threadIdx.x; i < BLOCK_N * 8; i += THREADS) {
            const int row = i / 8, chunk = i % 8, c = tile.col + row, at = k + chunk * 8;
            const int valid = c < p.n ? chunk_bytes(p, at) : 0;
            const char* from = base + 2 * (((long long)tile.expert * p.n + weight_row(p, c)) * p.k + at);
            copy_16(to + row * ROW_BYTES + swizzled(row, chunk) * 16, valid ? from : base, valid, p.w_aligned);
        }
    } else if constexpr (FORMAT == MXFP4) {
#pragma unroll
        for (int i = threadIdx.x; i < BLOCK_N * 2; i += THREADS) {
            const int row = i / 2, c = tile.col + row, blocks = p.k / 32, block = k / 32 + i % 2;
            const int valid = c < p.n && block < blocks ? 16 : 0;
            const char* from = base + (((long long)tile.expert * p.n + weight_row(p, c)) * blocks + block) * 16;
            copy_16(to + code_offset(row, i % 2), valid ? from : base, valid, p.w_aligned);
        }
    } else {
        constexpr int PIECES = TILE_BYTES / 16, SHARE = THREADS * TILE_ROWS / BLOCK_N; // threads a tile
        const int t = threadIdx.x / SHARE, c = tile.col + t * TILE_ROWS, k_tiles = (p.k + TILE_K - 1) / TILE_K;
        const int valid = c < p.n ? 16 : 0;
        const char* from = base + tile.expert * p.w_expert_bytes;
        from = valid ? from + ((long long)(c / TILE_ROWS) * k_tiles + k / TILE_K) * TILE_BYTES : base;
#pragma unroll
        for (int piece = threadIdx.x % SHARE; piece < PIECES; piece += SHARE) {
            copy_16(to + t * TILE_BYTES + piece * 16, from + piece * valid, valid, p.w_aligned);
        }
    }
}
