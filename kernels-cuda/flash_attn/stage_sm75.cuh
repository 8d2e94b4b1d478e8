// Keys and values on their way to shared memory, BLOCK_N at a time, through registers: there they become f16, each key and
// each value rebased as a whole (rebase.cuh).
#pragma once
#include "ptx/shared.cuh"
#include "rebase.cuh"
#include "tile.cuh"

constexpr int THREADS = 32 * WARPS, EIGHTS = BLOCK_N / 8;

// A query's scale gives 2^-SHIFT to that of the keys: a product times the first alone stays below 2^128, and above
// LEAST_QUERY it is exact. The weights of values are scaled themselves.
constexpr int SHIFT = 24, LEAST_QUERY = -77, LEAST = -126, MOST_KEY = 127 - SHIFT, MOST_VALUE = 127;
constexpr int NO_EXPONENT = -10000; // of a value that is all zeros

template <int DIM>
struct Stage {
    uint4 k[BLOCK_N][DIM / 8], v[BLOCK_N][DIM / 8]; // a row's pieces are swizzled
    float k_scale[BLOCK_N];
    float there[BLOCK_N]; // added to the key's scores: -infinity where it is not in the cache
    int v_exponent[BLOCK_N];

    static __device__ __forceinline__ int place(int row, int piece) { return piece ^ (row & 7); }
};

// Eight elements of a key or of a value from any address of two, or scattered.
__device__ __forceinline__ uint4 fetch_key(const FlashAttnParams& p, int slot, int head, int d) {
    const KvPlace at = key_place(p.store, slot, head, d);
    if (p.store.layout == PAGED_X_SPLIT && p.store.x % 8 != 0) {
        unsigned words[4];
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const KvPlace low = key_place(p.store, slot, head, d + 2 * i), high = key_place(p.store, slot, head, d + 2 * i + 1);
            words[i] = *(const unsigned short*)address(p.k, low.row, low.col) |
                       unsigned(*(const unsigned short*)address(p.k, high.row, high.col)) << 16;
        }
        return make_uint4(words[0], words[1], words[2], words[3]);
    }
    const char* from = address(p.k, at.row, at.col);
    return aligned16(from) ? fetch_16<true>(from) : fetch_16<false>(from);
}

__device__ __forceinline__ uint4 fetch_value(const FlashAttnParams& p, int slot, int head, int d) {
    const KvPlace at = value_place(p.store, slot, head, d);
    const char* from = address(p.v, at.row, at.col);
    if (p.store.layout != PAGED_X_SPLIT) return aligned16(from) ? fetch_16<true>(from) : fetch_16<false>(from);
    const unsigned short* element = (const unsigned short*)from;
    const long long next = p.store.page_size; // elements from one to its neighbour
    const auto two = [&](int i) { return element[i * next] | unsigned(element[(i + 1) * next]) << 16; };
    return make_uint4(two(0), two(2), two(4), two(6));
}

// What a thread has of a stage on its way.
template <int DIM>
struct Staged {
    static constexpr int PIECES = DIM / 8, AT_ONCE = THREADS / PIECES, ROUNDS = BLOCK_N / AT_ONCE;
    uint4 k[ROUNDS], v[ROUNDS];
    bool missing[ROUNDS];

    // Keys first .. first + BLOCK_N. What no row sees is not read.
    __device__ __forceinline__ void load(const FlashAttnParams& p, const Tile& t, int first) {
#pragma unroll
        for (int i = 0; i < ROUNDS; i++) {
            const int j = first + int(threadIdx.x) / PIECES + i * AT_ONCE, d = threadIdx.x % PIECES * 8;
            const bool seen = j >= t.some.first && j < t.some.last;
            const int slot = seen ? slot_of(p, t.s, j) : -1;
            missing[i] = slot < 0;
            k[i] = v[i] = {};
            if (slot >= 0) k[i] = fetch_key(p, slot, t.kv_head, d), v[i] = fetch_value(p, slot, t.kv_head, d);
        }
    }

    // Gives whether the thread's keys and values fit.
    __device__ __forceinline__ bool store(const FlashAttnParams& p, Stage<DIM>& stage) const {
        bool fits = true;
#pragma unroll
        for (int i = 0; i < ROUNDS; i++) {
            const int row = threadIdx.x / PIECES + i * AT_ONCE, piece = threadIdx.x % PIECES;
            uint4 key = k[i], value = v[i];
            const auto of_key = rebase<PIECES, LEAST, MOST_KEY>(p.k.dtype, key);
            const auto of_value = rebase<PIECES, LEAST, MOST_VALUE>(p.v.dtype, value);
            fits = fits && of_key.fits && of_value.fits;
            const int at = Stage<DIM>::place(row, piece);
            stage.k[row][at] = key, stage.v[row][at] = value;
            if (piece != 0) continue;
            stage.k_scale[row] = power_of_two(of_key.exponent + SHIFT);
            stage.v_exponent[row] = of_value.zeros ? NO_EXPONENT : of_value.exponent;
            stage.there[row] = missing[i] ? -INFINITY : 0.0f;
        }
        return fits;
    }
};
