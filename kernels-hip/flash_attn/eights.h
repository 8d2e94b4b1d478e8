// Where keys are, found by eights, and loads of them.
#pragma once
#include "../../kernels-cuda/flash_attn/tile.cuh"

// Some neighbouring eights, one a lane: first their pages, then where their keys and values begin.
struct Eights {
    int page; // as the table has it
    bool seen, there;
    Eight at;

    // Starts the loads of the pages of the eights from key `first` on. Nothing waits for them, so that nothing waits for the keys
    // that are in flight.
    __device__ __forceinline__ void look_up(const FlashAttnParams& p, const Tile& t, int count, int first) {
        const int lane = wave_lane(), j = first + 8 * lane;
        seen = lane < count && j + 8 > t.some.first && j < t.some.last;
        const int nth = j / 8 >> p.page_shift;
        const long long index = p.index == BLOCK_TABLE ? t.s.id * p.pages_stride + nth : t.s.k_first + nth;
        page = *(seen && p.store.layout != PACKED ? p.pages + index : p.cu_seqlens_q);
    }

    // What became of them.
    __device__ __forceinline__ void settle(const FlashAttnParams& p, const KvHead& kv, int first) {
        const int n = first / 8 + int(wave_lane());
        if (p.store.layout == PACKED) page = n;
        there = seen && (p.store.layout == PACKED || (page >= 0 && page < p.page_count));
        if (seen && !there) report(p.status, FAULT_PAGE);
        at = kv.eight(p, page, n);
    }

    // A bit for each whose keys are not in the cache though some row sees them.
    __device__ __forceinline__ unsigned missing() const { return unsigned(__builtin_amdgcn_ballot_w64(seen && !there)); }
};

// As fetch_16, of 8 or 16 bytes: the compiler does not see that addresses which were numbers once, or shuffled, are of global
// memory.
template <bool ALIGNED, class T = uint4> __device__ __forceinline__ T fetch_global(const char* at) {
    constexpr int WORDS = sizeof(T) / 4;
    typedef unsigned Words __attribute__((ext_vector_type(WORDS)));
    if constexpr (ALIGNED) return __builtin_bit_cast(T, *(const __attribute__((address_space(1))) Words*)at);
    const auto* halves = (const __attribute__((address_space(1))) unsigned short*)at;
    Words w = {};
#pragma unroll 1
    for (int i = 0; i < 2 * WORDS; i++) {
#pragma unroll
        for (int j = 0; j < WORDS; j++) w[j] = w[j] >> 16 | (j + 1 < WORDS ? w[j + 1] : unsigned(halves[i])) << 16;
    }
    return __builtin_bit_cast(T, w);
}
