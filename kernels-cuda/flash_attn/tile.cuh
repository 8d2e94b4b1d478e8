// What a block of the tensor core kernels works on: some query rows of a sequence, with all query heads of a key head. Row n
// of them is query n / group of the sequence and head n % group of the key head: keys are read once for the whole group.
#pragma once
#include "sequence.cuh"
#include "softmax.cuh"

struct Keys {
    int first, last;
};

// Keys that query `r` of the sequence sees: neighbours.
__device__ __forceinline__ Keys visible(const FlashAttnParams& p, const Sequence& s, int r) {
    const int end = s.k_len - s.q_len + r + 1;
    const int last = p.causal ? max(min(end, s.k_len), 0) : s.k_len;
    return {p.window == 0 || int(p.window) >= end ? 0 : min(end - int(p.window), last), last};
}

struct Tile {
    Sequence s;
    int kv_head, group;
    int first, last; // rows n
    Keys some, all;  // keys that one of the rows sees, that each of them sees

    __device__ __forceinline__ void see(const FlashAttnParams& p) {
        const Keys low = visible(p, s, query(first)), high = visible(p, s, query(last - 1));
        some = {low.first, high.last};
        all = {high.first, low.last};
    }
    // Most decodes have one query: no division then.
    __device__ __forceinline__ int query(int n) const { return s.q_len == 1 ? 0 : n / group; }
    __device__ __forceinline__ int row(int n) const { return s.q_first + query(n); }
    __device__ __forceinline__ int head(int n) const { return kv_head * group + n - query(n) * group; }
};

// Row n of q or out starts here.
__device__ __forceinline__ char* row_address(const Tile& t, const Rows& rows, int n, int dim) {
    return address(rows, t.row(n), (long long)t.head(n) * dim);
}

// Eight 16-bit elements, from any address of two where not ALIGNED.
template <bool ALIGNED> __device__ __forceinline__ uint4 fetch_16(const char* at) {
    if constexpr (ALIGNED) return __ldg((const uint4*)at);
    uint4 w = {};
#pragma unroll 1
    for (int i = 0; i < 8; i++) {
        w = {w.x >> 16 | w.y << 16, w.y >> 16 | w.z << 16, w.z >> 16 | w.w << 16,
             w.w >> 16 | unsigned(((const unsigned short*)at)[i]) << 16};
    }
    return w;
}

// Where eight neighbouring keys (from a multiple of 8 on) and their values begin.
struct Eight {
    const char *k, *v;
};

// A key head's keys and values, found by eights.
struct KvHead {
    const char *k, *v;

    __device__ __forceinline__ KvHead(const FlashAttnParams& p, const Sequence& s, int head) {
        const long long first = p.store.layout == PACKED ? s.k_first : 0, bytes = (long long)head * p.head_bytes;
        k = address(p.k, first, 0) + bytes;
        v = address(p.v, first, 0) + bytes;
    }

    // Page of keys 8 n .. 8 n + 8, -1 where it is not in the cache.
    __device__ __forceinline__ int page(const FlashAttnParams& p, const Sequence& s, int n) const {
        return p.store.layout == PACKED ? n : page_of(p, s, n >> p.page_shift);
    }

    __device__ __forceinline__ Eight eight(const FlashAttnParams& p, int page, int n) const {
        const unsigned within = 8 * (n & ((1 << p.page_shift) - 1));
        return {k + page * p.k_page + (long long)within * p.k_token,
                v + page * p.v_page + (long long)within * p.v_token};
    }
};
