// Keys and values on their way through shared memory, BLOCK_N at a time.
#pragma once
#include "ptx/cp_async.cuh"
#include "ptx/shared.cuh"
#include "tile.cuh"

constexpr int EIGHTS = BLOCK_N / 8;

// Of the eights of a stage, a bit for each whose keys are not in the cache though some row sees them.
__device__ __forceinline__ unsigned missing_bits(const unsigned char* missing) {
    unsigned bits = 0;
#pragma unroll
    for (int i = 0; i < EIGHTS; i += 4) {
        // Bytes of 0 and 1: the product moves them to bits 24 to 27.
        bits |= (*(const unsigned*)(missing + i) * 0x01020408u >> 24 & 15) << i;
    }
    return bits;
}

// Keys and values in shared memory. Rows of DIM elements in pieces of 16 bytes, which are swizzled so that eight rows of a
// piece lie in different banks.
template <int DIM> struct Ring {
    static constexpr int PIECES = DIM / 8, BYTES = BLOCK_N * DIM * 2; // of a row; of a stage's keys
    static constexpr int ROWS_AT_ONCE = 32 * WARPS / PIECES, ROUNDS = BLOCK_N / ROWS_AT_ONCE;
    static_assert(BLOCK_N % ROWS_AT_ONCE == 0 && ROWS_AT_ONCE % 8 == 0, "every thread copies as much");

    unsigned base;           // shared address
    unsigned char* missing;  // [STAGES][EIGHTS]: visible keys that are not in the cache
    KvHead head;
    int pages[ROUNDS];       // of this thread's rows of the next keys to copy
    const int row = threadIdx.x / PIECES, piece = threadIdx.x % PIECES;

    static __device__ __forceinline__ unsigned place(int row, int piece) {
        return row * (DIM * 2) + (piece ^ (row & 7)) * 16;
    }
    __device__ __forceinline__ unsigned keys(int stage) const { return base + stage * (2 * BYTES); }
    __device__ __forceinline__ unsigned values(int stage) const { return keys(stage) + BYTES; }

    // Looks up the pages of keys first .. first + BLOCK_N, ahead of their copy.
    __device__ __forceinline__ void look_up(const FlashAttnParams& p, const Tile& t, int first) {
#pragma unroll
        for (int i = 0; i < ROUNDS; i++) {
            const int j = (first + row + i * ROWS_AT_ONCE) / 8 * 8;
            pages[i] = j + 8 <= t.some.first || j >= t.some.last ? -1 : head.page(p, t.s, j / 8);
        }
    }

    // Starts the copy of keys first .. first + BLOCK_N. What no row sees becomes zero: its weight is, too.
    __device__ __forceinline__ void copy(const FlashAttnParams& p, const Tile& t, int first, int stage) {
#pragma unroll
        for (int i = 0; i < ROUNDS; i++) {
            const int r = row + i * ROWS_AT_ONCE, j = first + r;
            const bool seen = j >= t.some.first && j < t.some.last, there = seen && pages[i] >= 0;
            Eight eight = head.eight(p, there ? pages[i] : 0, j / 8);
            const char *k = eight.k + (unsigned long long)p.k_token * (j & 7) + 16 * piece;
            const char *v = eight.v + (unsigned long long)p.v_token * (j & 7) + 16 * piece;
            if (!there) k = head.k, v = head.v;
            const unsigned to = place(r, piece);
            if (p.kv_aligned) {
                cp_async_16(keys(stage) + to, k, there ? 16 : 0);
                cp_async_16(values(stage) + to, v, there ? 16 : 0);
            } else {
                store_shared_128(keys(stage) + to, there ? fetch_16<false>(k) : uint4{});
                store_shared_128(values(stage) + to, there ? fetch_16<false>(v) : uint4{});
            }
            // Of the rows of an eight that are seen, some may not be the first.
            if (piece == 0 && r % 8 == 0) {
                const bool some = j + 8 > t.some.first && j < t.some.last;
                missing[stage * EIGHTS + r / 8] = some && pages[i] < 0;
            }
        }
    }
};
