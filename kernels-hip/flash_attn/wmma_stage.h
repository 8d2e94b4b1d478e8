// Keys and values on their way: global memory, registers, LDS. While the waves multiply a stage of BLOCK_N keys, the next one is
// in flight to registers. Keys lie in rows, values transposed; both so ordered that a lane's sums are of eight neighbours.
#pragma once
#include "../../kernels-cuda/flash_attn/tile.cuh"
#include "gcn/wmma.h"

template <int DIM> struct Stage {
    static constexpr int THREADS = 32 * WARPS, EIGHTS = BLOCK_N / 8, PIECES = DIM / 8;
    static constexpr int K_ROUNDS = BLOCK_N * PIECES / THREADS, V_ROUNDS = K_ROUNDS / 2; // of values, two keys each
    // Eight rows that are read together, 16 bytes each, are in different banks.
    unsigned short keys[BLOCK_N][DIM + 8], values[DIM][BLOCK_N + 8];
    static_assert(BLOCK_N == 32 && V_ROUNDS * 2 * THREADS == BLOCK_N * PIECES, "threads share a stage evenly");

    // Of element d's row, where keys 8 * eight on begin: threads that write neighbouring eights of elements meet other banks.
    __device__ __forceinline__ unsigned short* value(int row, int eight) {
        return &values[row][8 * (eight ^ (row / (WMMA_EACH == 8 ? 8 : 16) & 3))];
    }
    __device__ __forceinline__ const unsigned short* value(int row, int eight) const {
        return const_cast<Stage*>(this)->value(row, eight);
    }
};

// A thread's part of a stage in flight.
template <int DIM> struct Pieces {
    using S = Stage<DIM>;
    uint4 k[S::K_ROUNDS], v[S::V_ROUNDS][2];
    bool there[S::V_ROUNDS][2];
    int page; // of the eights of the stage that is looked up last, one a lane

    static __device__ __forceinline__ int piece() { return threadIdx.x % S::PIECES; }
    static __device__ __forceinline__ int key_row(int round) { return (threadIdx.x + round * S::THREADS) / S::PIECES; }
    static __device__ __forceinline__ int value_row(int round) { return 2 * key_row(round); }

    // Pages of the stage from key `first` on, ahead of its keys: loads that nothing waits for.
    __device__ __forceinline__ void look_up(const FlashAttnParams& p, const Tile& t, const KvHead& kv, int first) {
        const int lane = wave_lane(), j = first + 8 * lane;
        page = lane >= S::EIGHTS || j + 8 <= t.some.first || j >= t.some.last ? -1 : kv.page(p, t.s, j / 8);
    }

    // Of those eights, a bit for each whose keys are not in the cache though some row sees them.
    __device__ __forceinline__ unsigned missing(const Tile& t, int first) const {
        const int lane = wave_lane(), j = first + 8 * lane;
        return __ballot_sync(ALL_LANES, lane < S::EIGHTS && j + 8 > t.some.first && j < t.some.last && page < 0);
    }

    // Starts the loads. What no row sees is not read, nor what is not in the cache: `other` is read, which has to be readable.
    template <bool ALIGNED>
    __device__ __forceinline__ void load(const FlashAttnParams& p, const Tile& t, const KvHead& kv, int first, const char* other) {
        const auto seen = [&](int j, int page) { return j >= t.some.first && j < t.some.last && page >= 0; };
#pragma unroll
        for (int i = 0; i < S::K_ROUNDS; i++) {
            const int row = key_row(i), j = first + row, at = from_lane(page, row / 8);
            const char* from = kv.eight(p, at, j / 8).k + (unsigned long long)p.k_token * (j & 7) + 16 * piece();
            k[i] = fetch_16<ALIGNED>(seen(j, at) ? from : other);
        }
#pragma unroll
        for (int i = 0; i < S::V_ROUNDS; i++) {
            const int row = value_row(i), j = first + row, at = from_lane(page, row / 8);
            const char* from = kv.eight(p, at, j / 8).v + (unsigned long long)p.v_token * (j & 7) + 16 * piece();
#pragma unroll
            for (int e = 0; e < 2; e++) {
                there[i][e] = seen(j + e, at);
                v[i][e] = fetch_16<ALIGNED>(there[i][e] ? from + (unsigned long long)p.v_token * e : other);
            }
        }
    }

    __device__ __forceinline__ void store(S& stage) const {
#pragma unroll
        for (int i = 0; i < S::K_ROUNDS; i++) *(uint4*)&stage.keys[wmma_place(key_row(i))][8 * piece()] = k[i];
#pragma unroll
        for (int i = 0; i < S::V_ROUNDS; i++) {
            // Weights there are zero, which would not stop a NaN.
            const uint4 low = there[i][0] ? v[i][0] : uint4{}, high = there[i][1] ? v[i][1] : uint4{};
            const unsigned lows[] = {low.x, low.y, low.z, low.w}, highs[] = {high.x, high.y, high.z, high.w};
            const int row = value_row(i);
#pragma unroll
            for (int e = 0; e < 8; e++) {
                const unsigned two = __builtin_amdgcn_perm(highs[e / 2], lows[e / 2], e % 2 ? 0x07060302 : 0x05040100);
                *(unsigned*)(stage.value(wmma_place(8 * piece() + e), row / 8) + row % 8) = two;
            }
        }
    }
};
