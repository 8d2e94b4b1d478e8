// Units of 16 neighbouring keys of a decode with one query a sequence: where they are, and their way into a warp's registers.
#pragma once
#include "decode_asked_sm90.cuh"
#include "ptx/stream.cuh"
#include "tile.cuh"

// Word by word as L2 has them, or from any address byte by byte.
template <bool ALIGNED, class Words> __device__ __forceinline__ Words load_bytes(const char* at) {
    Words words = {};
    if constexpr (ALIGNED) {
        load_once(at, words);
    } else {
        unsigned* w = (unsigned*)&words;
#pragma unroll
        for (int i = 0; i < int(sizeof(Words) / 4); i++) {
#pragma unroll 1
            for (int b = 0; b < 4; b++) w[i] = w[i] >> 8 | unsigned(((const unsigned char*)at)[4 * i + b]) << 24;
        }
    }
    return words;
}

// Eight elements of a query: decode_asked_sm90.cuh.
template <bool ALIGNED> __device__ __forceinline__ uint4 ask_16(const char* at) {
    if constexpr (ALIGNED) return ask((const uint4*)at);
    else return fetch_16<false>(at);
}

// Which of a unit's 16 keys are there.
struct There {
    int low, high;
    __device__ __forceinline__ bool any() const { return low < high; }
    __device__ __forceinline__ bool all() const { return low == 0 && high == 16; }
    __device__ __forceinline__ bool has(int key) const { return key >= low && key < high; }
    // What is not there is not read: a neighbour is, and counts as nothing.
    __device__ __forceinline__ int nearest(int key) const { return max(min(key, high - 1), low); }
};

// A key head's keys and values, and the pages they are in.
struct Place {
    const char *k, *v; // this lane's first piece of the first key
    const int* pages;  // of the sequence

    __device__ __forceinline__ bool packed(const FlashAttnParams& p) const { return p.store.layout == PACKED; }
    __device__ __forceinline__ bool there(const FlashAttnParams& p, int page) const {
        return packed(p) || unsigned(page) < unsigned(p.page_count);
    }
};

// Without a window: unit u is keys 16 u .. 16 u + 16, all in one page.
template <class Warp, bool ALIGNED> struct AlignedUnits : Place {
    const FlashAttnParams& p;
    int entries; // of `pages`
    __device__ __forceinline__ AlignedUnits(const FlashAttnParams& p) : p(p) {}

    __device__ __forceinline__ int nth(int unit) const { return 16 * unit >> (p.page_shift + 3); }
    __device__ __forceinline__ bool is_entry(int unit) const { return nth(unit) < entries; }
    __device__ __forceinline__ int look_up(int unit) const {
        if (packed(p)) return 2 * unit; // an eight is a page
        return is_entry(unit) ? __ldg(pages + nth(unit)) : -1;
    }
    // The same of what has entries, which says nothing where `is_entry` does not hold.
    __device__ __forceinline__ int ask_page(int unit) const { return ask(is_entry(unit) ? pages + nth(unit) : p.cu_seqlens_q); }
    __device__ __forceinline__ bool there(int page) const { return Place::there(p, page); }

    // A whole unit: plain steps from key to key.
    __device__ __forceinline__ void fetch(int unit, int page, typename Warp::Pieces& x) const {
        const unsigned within = 16 * unit & ((8 << p.page_shift) - 1); // packed: 0
        const char* k0 = k + (page * p.k_page + (unsigned long long)p.k_token * (within + Warp::g()));
        const char* v0 = v + (page * p.v_page + (unsigned long long)p.v_token * (within + 2 * Warp::c()));
        const char* v2 = v0 + 8ull * p.v_token;
        Warp::template fetch_key<ALIGNED>(x, 0, k0);
        Warp::template fetch_key<ALIGNED>(x, 1, k0 + 8ull * p.k_token);
        Warp::template fetch_value<ALIGNED>(x, 0, v0);
        Warp::template fetch_value<ALIGNED>(x, 1, v0 + p.v_token);
        Warp::template fetch_value<ALIGNED>(x, 2, v2);
        Warp::template fetch_value<ALIGNED>(x, 3, v2 + p.v_token);
    }

    __device__ __forceinline__ void fetch_part(int unit, int page, const There& keys, typename Warp::Pieces& x) const {
        const unsigned within = 16 * unit & ((8 << p.page_shift) - 1);
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const int i = within + keys.nearest(Warp::g() + 8 * half);
            Warp::template fetch_key<ALIGNED>(x, half, k + (page * p.k_page + (unsigned long long)p.k_token * i));
        }
#pragma unroll
        for (int row = 0; row < 4; row++) {
            const int i = within + keys.nearest(2 * Warp::c() + (row & 1) + 8 * (row >> 1));
            Warp::template fetch_value<ALIGNED>(x, row, v + (page * p.v_page + (unsigned long long)p.v_token * i));
        }
    }
};

// The pages of a unit's first and last key, as the table has them.
struct TwoPages {
    int first, last;
};

// In a window: unit 0 begins with the first key in it, so that a window of 128 is eight units; any may lie in two pages.
template <class Warp, bool ALIGNED> struct WindowUnits : Place {
    const FlashAttnParams& p;
    int begin, end; // keys
    __device__ __forceinline__ WindowUnits(const FlashAttnParams& p) : p(p) {}

    __device__ __forceinline__ int count() const { return max(end - begin + 15, 0) / 16; }
    __device__ __forceinline__ TwoPages look_up(int unit) const {
        const int from = begin + 16 * unit, size = p.page_shift + 3;
        if (packed(p) || from >= end) return {0, 0};
        return {__ldg(pages + (from >> size)), __ldg(pages + (min(from + 15, end - 1) >> size))};
    }
    // How many keys from `from` on share its page.
    __device__ __forceinline__ int turn_of(int from) const {
        const int size = 8 << p.page_shift;
        return packed(p) ? 16 : size - (from & (size - 1));
    }
    __device__ __forceinline__ There there(int unit, const TwoPages& of) const {
        const int from = begin + 16 * unit, high = min(16, end - from), turn = turn_of(from);
        return {Place::there(p, of.first) ? 0 : turn, Place::there(p, of.last) ? high : min(high, turn)};
    }

    __device__ __forceinline__ void fetch(int unit, const TwoPages& of, const There& keys, typename Warp::Pieces& x) const {
        const int from = begin + 16 * unit;
        if (packed(p)) { // all keys are there but behind the last
#pragma unroll
            for (int half = 0; half < 2; half++) {
                const unsigned key = from + keys.nearest(Warp::g() + 8 * half);
                Warp::template fetch_key<ALIGNED>(x, half, k + (unsigned long long)p.k_token * key);
            }
#pragma unroll
            for (int row = 0; row < 4; row++) {
                const unsigned key = from + keys.nearest(2 * Warp::c() + (row & 1) + 8 * (row >> 1));
                Warp::template fetch_value<ALIGNED>(x, row, v + (unsigned long long)p.v_token * key);
            }
            return;
        }
        const int turn = turn_of(from), within = (8 << p.page_shift) - turn;
        const long long k0 = of.first * p.k_page + (long long)p.k_token * within, k1 = of.last * p.k_page - (long long)p.k_token * turn;
        const long long v0 = of.first * p.v_page + (long long)p.v_token * within, v1 = of.last * p.v_page - (long long)p.v_token * turn;
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const int i = keys.nearest(Warp::g() + 8 * half);
            Warp::template fetch_key<ALIGNED>(x, half, k + ((i < turn ? k0 : k1) + (unsigned long long)p.k_token * unsigned(i)));
        }
#pragma unroll
        for (int row = 0; row < 4; row++) {
            const int i = keys.nearest(2 * Warp::c() + (row & 1) + 8 * (row >> 1));
            Warp::template fetch_value<ALIGNED>(x, row, v + ((i < turn ? v0 : v1) + (unsigned long long)p.v_token * unsigned(i)));
        }
    }
};
