// A stage in shared memory is 64 elements of K: BLOCK_M rows of `a` and BLOCK_N weight rows, all f16, and a scale for every
// 32 of them. Threads load what is stored into registers and make f16 of it on its way to shared memory, where a row is
// 128 bytes in chunks of 16, swizzled so that eight rows at one chunk (ldmatrix) fall into different banks.
#pragma once
#include "mxfp4.cuh"
#include "ptx/shared.cuh"
#include "rebase.cuh"
#include "schedule.cuh"
#include "weights.cuh"

constexpr int THREADS = 32 * WARPS, STEP_K = 64, ROW_BYTES = 2 * STEP_K, CHUNKS = 8, CHUNK_ROWS = THREADS / CHUNKS;
constexpr int STEP_ROWS = BLOCK_M + BLOCK_N; // rows of `a` first
constexpr int STAGE_BYTES = STEP_ROWS * (ROW_BYTES + 8);
static_assert(BLOCK_K == STEP_K && BLOCK_M % CHUNK_ROWS == 0 && BLOCK_N % CHUNK_ROWS == 0, "threads share rows evenly");
static_assert(2 * BLOCK_N <= THREADS, "a thread has one block of MXFP4 at most");

// Rows of dense operands share the range of f32: with SHIFT, `a`'s scale times the sum of a block stays below 2^128, and above
// LEAST it is exact. MXFP4 brings its own scale, and its E2M1_UNIT keeps the sum small.
constexpr int SHIFT = 24, LEAST_DENSE = -77, LEAST_MXFP4 = -116, LEAST_WEIGHT = -126;

__device__ __forceinline__ unsigned row_at(unsigned stage, int row, int chunk) {
    return stage + row * ROW_BYTES + (chunk ^ (row % 2 * 4 + row / 2 % 4)) * 16;
}

// Of elements 32 h .. of a row.
__device__ __forceinline__ unsigned scale_at(unsigned stage, int row, int h) {
    return stage + STEP_ROWS * ROW_BYTES + (h * STEP_ROWS + row) * 4;
}

// Eight 16-bit elements, of which `valid` are read.
__device__ __forceinline__ uint4 load_chunk(const char* at, int valid, bool aligned) {
    uint4 words = {};
    if (valid <= 0) return words;
    if (aligned) return *(const uint4*)at; // then all are valid
#pragma unroll 1
    for (int i = 0; i < 8; i++) {
        const unsigned element = i < valid ? ((const unsigned short*)at)[i] : 0;
        words.x = words.x >> 16 | words.y << 16, words.y = words.y >> 16 | words.z << 16;
        words.z = words.z >> 16 | words.w << 16, words.w = words.w >> 16 | element << 16;
    }
    return words;
}

__device__ __forceinline__ uint4 load_bytes(const unsigned char* at, bool aligned) {
    if (aligned) return *(const uint4*)at;
    unsigned words[4];
#pragma unroll
    for (int i = 0; i < 4; i++) {
        words[i] = at[4 * i] | at[4 * i + 1] << 8 | at[4 * i + 2] << 16 | unsigned(at[4 * i + 3]) << 24;
    }
    return make_uint4(words[0], words[1], words[2], words[3]);
}

// Low nibbles of eight bytes side by side.
__device__ __forceinline__ unsigned low_nibbles(unsigned first, unsigned second) {
    first &= 0x0f0f0f0f, second &= 0x0f0f0f0f;
    return __byte_perm(first | first >> 4, second | second >> 4, 0x6420);
}

// The codes of a GGUF block in the order of K.
__device__ __forceinline__ uint4 in_order(uint4 w) {
    return make_uint4(low_nibbles(w.x, w.y), low_nibbles(w.z, w.w), low_nibbles(w.x >> 4, w.y >> 4),
                      low_nibbles(w.z >> 4, w.w >> 4));
}

// What a thread has of a stage on its way. `rows` are the addresses of the tile's rows of `a`, null for zeros.
template <unsigned FORMAT>
struct Staged {
    static constexpr int A = BLOCK_M / CHUNK_ROWS, W = FORMAT == DENSE ? BLOCK_N / CHUNK_ROWS : 1;
    uint4 a[A], w[W];
    unsigned scales; // bytes

    __device__ __forceinline__ void load(const GroupedGemmParams& p, const Tile& tile, const char* const* rows, int k) {
        const int row = threadIdx.x / CHUNKS, at = k + threadIdx.x % CHUNKS * 8;
#pragma unroll
        for (int j = 0; j < A; j++) {
            const char* from = rows[row + j * CHUNK_ROWS];
            a[j] = load_chunk(from + 2ll * at, from ? p.k - at : 0, p.a_aligned);
        }
        if constexpr (FORMAT == DENSE) {
#pragma unroll
            for (int j = 0; j < W; j++) {
                const int c = tile.col + row + j * CHUNK_ROWS;
                const long long from = ((long long)tile.expert * p.n + weight_row(p, c)) * p.k + at;
                w[j] = load_chunk((const char*)p.w.base + 2 * from, c < p.n ? p.k - at : 0, p.w_aligned);
            }
        } else {
            load_codes(p, tile, k);
        }
    }

    // Gives whether all of the thread's blocks fit.
    __device__ __forceinline__ bool store(const GroupedGemmParams& p, unsigned stage) const {
        const int row = threadIdx.x / CHUNKS, chunk = threadIdx.x % CHUNKS;
        bool fits = true;
        const auto put = [&](int at, uint4 halves, float scale) {
            store_shared_128(row_at(stage, at, chunk), halves);
            if (chunk % 4 == 0) store_shared_32(scale_at(stage, at, chunk / 4), __float_as_uint(scale));
        };
#pragma unroll
        for (int j = 0; j < A; j++) {
            uint4 words = a[j];
            const auto to = rebase<4, FORMAT == DENSE ? LEAST_DENSE : LEAST_MXFP4, 127>(p.a.dtype, words);
            put(row + j * CHUNK_ROWS, words, power_of_two(FORMAT == DENSE ? to.exponent - SHIFT : to.exponent));
            fits = fits && to.fits;
        }
        if constexpr (FORMAT == DENSE) {
#pragma unroll
            for (int j = 0; j < W; j++) {
                uint4 words = w[j];
                const auto to = rebase<4, LEAST_WEIGHT, 127 - SHIFT>(p.w.dtype, words);
                put(BLOCK_M + row + j * CHUNK_ROWS, words, power_of_two(to.exponent + SHIFT));
                fits = fits && to.fits;
            }
        } else if (threadIdx.x < 2 * BLOCK_N) {
            store_codes(stage);
        }
        return fits;
    }

  private:
    // Thread 2 r + b has block b of row r; of prepacked tiles, thread 32 i + l what lane l owns of tile i.
    __device__ __forceinline__ void load_codes(const GroupedGemmParams& p, const Tile& tile, int k) {
        w[0] = {}, scales = 0;
        if (threadIdx.x >= 2 * BLOCK_N) return;
        if constexpr (FORMAT == MXFP4_TILED) {
            const int c = tile.col + threadIdx.x / 32 * TILE_ROWS, lane = threadIdx.x % 32;
            if (c >= p.n) return;
            const unsigned char* from = weight_bytes(p, tile.expert, c, k);
            w[0] = load_bytes(from + lane * 16, p.w_aligned);
            if (lane < 8) scales = *(const unsigned*)(from + tile_scales(lane));
        } else {
            const int c = tile.col + threadIdx.x / 2, at = k + threadIdx.x % 2 * 32;
            if (c >= p.n || at >= p.k) return;
            const unsigned char* from = weight_bytes(p, tile.expert, weight_row(p, c), at);
            if constexpr (FORMAT == MXFP4) {
                w[0] = load_bytes(from + at / 2, p.w_aligned);
                scales = p.w_scales[((long long)tile.expert * p.n + weight_row(p, c)) * (p.k / 32) + at / 32];
            } else {
                w[0] = load_bytes(from + 1, false);
                scales = from[0];
            }
        }
    }

    __device__ __forceinline__ void store_codes(unsigned stage) const {
        const E2m1Tables<MmaF16> tables;
        const auto put_scale = [&](int row, int h, unsigned byte) {
            store_shared_32(scale_at(stage, BLOCK_M + row, h), __float_as_uint(e8m0(byte)));
        };
        if constexpr (FORMAT == MXFP4_TILED) {
            const int lane = threadIdx.x % 32, g = lane / 4, first = threadIdx.x / 32 * TILE_ROWS;
            const unsigned words[4] = {w[0].x, w[0].y, w[0].z, w[0].w};
#pragma unroll
            for (int j = 0; j < 4; j++) {
                unsigned pairs[4];
                tile_pairs(MmaF16{}, words[j], pairs);
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    const int row = BLOCK_M + first + g + i % 2 * 8;
                    store_shared_32(row_at(stage, row, 2 * j + i / 2) + lane % 4 * 4, pairs[i]);
                }
            }
#pragma unroll
            for (int i = 0; i < 4; i++) {
                if (lane < 8) put_scale(first + lane + i / 2 * 8, i % 2, scales >> 8 * i & 255);
            }
        } else {
            const int row = threadIdx.x / 2, h = threadIdx.x % 2;
            const uint4 codes = FORMAT == MXFP4_GGUF ? in_order(w[0]) : w[0];
            const unsigned words[4] = {codes.x, codes.y, codes.z, codes.w};
#pragma unroll
            for (int j = 0; j < 4; j++) {
                unsigned pairs[4];
                e2m1_pairs(tables, words[j], pairs);
                store_shared_128(row_at(stage, BLOCK_M + row, 4 * h + j), make_uint4(pairs[0], pairs[1], pairs[2], pairs[3]));
            }
            put_scale(row, h, scales);
        }
    }
};
