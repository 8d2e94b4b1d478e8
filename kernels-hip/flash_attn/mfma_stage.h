// Keys and values on their way: global memory, registers, LDS. While the waves multiply a stage, the next one is in flight to
// registers. Keys lie in rows of LDS with bits 2 and 3 of their number swapped, so that the scores a lane gets are of eight
// neighbouring keys; values lie transposed. Pieces of 16 bytes are swizzled: eight lanes that read (write) at a time meet
// different banks.
#pragma once
#include "eights.h"
#include "flushed.h"

template <int DIM> struct Stage {
    static constexpr int THREADS = 32 * WARPS, KEYS = BLOCK_N * 64 / DIM, EIGHTS = KEYS / 8, PIECES = DIM / 8;
    static constexpr int AT_ONCE = THREADS / PIECES, ROUNDS = KEYS / AT_ONCE; // rows of keys that all threads load together
    static_assert(KEYS * PIECES == 2 * THREADS && KEYS % 32 == 0, "two pieces of keys and two of values a thread");

    uint4 keys[KEYS * PIECES], values[DIM * EIGHTS];
    [[no_unique_address]] Flushed flushed;

    static __device__ __forceinline__ int key_place(int row, int piece) { return row * PIECES + (piece ^ (row & 7)); }
    // Of the eight keys from 8 * eight on, element d.
    static __device__ __forceinline__ int value_place(int d, int eight) {
        const int line = d * EIGHTS + eight;
        return line ^ ((d * EIGHTS / 8 ^ d / 8) & 7);
    }
};

// Row of LDS that a key is in.
__device__ __forceinline__ int swap_bits(int key) { return (key & ~12) | (key & 4) << 1 | (key & 8) >> 1; }

// A thread's part of a stage in flight.
template <class Factor, int DIM> struct Pieces {
    using S = Stage<DIM>;
    uint4 k[S::ROUNDS], v[2];
    bool there[2];

    // Starts the loads. What no row sees is not read, nor what is not in the cache; `other` is, which has to be readable.
    template <bool ALIGNED>
    __device__ __forceinline__ void load(const FlashAttnParams& p, const Tile& t, const Eights& eights, int first, const char* other) {
        const unsigned gone = eights.missing();
        const auto seen = [&](int row) {
            return first + row >= t.some.first && first + row < t.some.last && !(gone >> row / 8 & 1);
        };
#pragma unroll
        for (int i = 0; i < S::ROUNDS; i++) {
            const int row = threadIdx.x / S::PIECES + i * S::AT_ONCE;
            const char* from = from_lane(eights.at.k, row / 8) + ((unsigned long long)p.k_token * (row & 7) + 16 * (threadIdx.x % S::PIECES));
            k[i] = fetch_global<ALIGNED>(seen(row) ? from : other);
        }
        const int row = value_row();
        const char* from = from_lane(eights.at.v, row / 8) + 16 * value_piece();
#pragma unroll
        for (int i = 0; i < 2; i++) {
            there[i] = seen(row + i);
            v[i] = fetch_global<ALIGNED>(there[i] ? from + (unsigned long long)p.v_token * (row + i & 7) : other);
        }
    }

    // First of two neighbouring keys, and the eight elements of their values.
    static __device__ __forceinline__ int value_row() { return threadIdx.x / 8 % (S::KEYS / 2) * 2; }
    static __device__ __forceinline__ int value_piece() { return threadIdx.x % 8 + threadIdx.x / (4 * S::KEYS) * 8; }

    __device__ __forceinline__ void store(S& stage) const {
        bool any = false;
#pragma unroll
        for (int i = 0; i < S::ROUNDS; i++) {
            const int row = threadIdx.x / S::PIECES + i * S::AT_ONCE;
            stage.keys[S::key_place(swap_bits(row), threadIdx.x % S::PIECES)] = k[i];
            any = any || flushed<Factor>(k[i]);
        }
        // Weights there are zero, which would not stop a NaN.
        const uint4 low = there[0] ? v[0] : uint4{}, high = there[1] ? v[1] : uint4{};
        stage.flushed.note(any || flushed<Factor>(low) || flushed<Factor>(high));
        const unsigned lows[] = {low.x, low.y, low.z, low.w}, highs[] = {high.x, high.y, high.z, high.w};
        const int row = value_row();
#pragma unroll
        for (int i = 0; i < 8; i++) {
            const unsigned two = __builtin_amdgcn_perm(highs[i / 2], lows[i / 2], i % 2 ? 0x07060302 : 0x05040100);
            ((unsigned*)&stage.values[S::value_place(8 * value_piece() + i, row / 8)])[row % 8 / 2] = two;
        }
    }
};
