// The tiles of a persistent block, one after the other: lanes keep the sequences, which are read once where a warp has enough lanes.
#pragma once
#include "decode_asked_sm90.cuh"
#include "divide.cuh"
#include "find_tile.cuh"

// Rows of a tile by their number in it.
struct TileRows {
    int query, rest;     // of row t.first
    unsigned reciprocal; // of the group; exact for the few rows of a tile, 0 for 1

    // Queries of the tile in front of the one that row i belongs to.
    __device__ __forceinline__ int before(int i) const {
        return reciprocal == 0 ? rest + i : int(__umulhi(unsigned(rest + i), reciprocal));
    }
    __device__ __forceinline__ int head(const Tile& t, int i) const {
        return t.kv_head * t.group + rest + i - before(i) * t.group;
    }
    __device__ __forceinline__ int token(const Tile& t, int i) const { return t.s.q_first + query + before(i); }
};

// By a whole warp. Nothing is reported: `check_sequences` is.
template <int ROWS> struct TileFinder {
    const FlashAttnParams& p;
    const Divider group;
    int all = 0;             // tiles of all sequences
    Sequence mine;           // sequence base + lane; no rows where there is none
    int base, before, end;   // tiles in front of those of these sequences; up to this lane's
    int q_offset, k_offset;  // where the rows and keys of the sequences behind begin

    // Offsets and lengths of the sequences from `first` on, one a lane, and where the first of all begins. Where there is nothing
    // to ask for, the first offset.
    struct Raw {
        int q_begin, q_end, k_begin, k, len;

        __device__ __forceinline__ Raw(const FlashAttnParams& p, int first) {
            const int s = first + threadIdx.x % 32, *none = p.cu_seqlens_q;
            const bool there = s < p.sequences, offsets = has_k_offsets(p);
            q_begin = ask(none), q_end = ask(there ? p.cu_seqlens_q + s + 1 : none);
            k_begin = ask(offsets ? p.k_first : none);
            k = ask(there && p.index != BLOCK_TABLE ? p.k_first + s + (offsets ? 1 : 0) : none);
            len = ask(there && p.index != CU_SEQLENS ? p.k_len + s : none);
        }
    };

    __device__ __forceinline__ explicit TileFinder(const FlashAttnParams& p) : TileFinder(p, Raw(p, 0)) {}
    __device__ __forceinline__ TileFinder(const FlashAttnParams& p, const Raw& raw) : p(p), group(p.group) {
        start(raw);
        while (all = __shfl_sync(ALL_LANES, end, 31), base + 32 < p.sequences) take(Raw(p, base + 32), base + 32, all);
    }

    static __device__ __forceinline__ bool has_k_offsets(const FlashAttnParams& p) { return p.index == CU_SEQLENS || p.index == INDPTR; }
    __device__ __forceinline__ int k_most() const { return p.index == CU_SEQLENS ? int(p.store.slots) : p.page_limit; }

    __device__ __forceinline__ void start(const Raw& raw) {
        q_offset = clamped(raw.q_begin, p.q_tokens);
        k_offset = has_k_offsets(p) ? clamped(raw.k_begin, k_most()) : 0;
        take(raw, 0, 0);
    }

    // Offset s + 1 for lane s, never below the ones in front; `offset`, where the first lane begins, becomes the last. One sequence
    // needs no scan, here and below: the other lanes have as much as the first, and nothing of their own.
    __device__ __forceinline__ void extent(int raw, int& offset, int& first, int& count) const {
        const int most = max(raw, offset), end = p.sequences == 1 ? __shfl_sync(ALL_LANES, most, 0) : running_max(most);
        const int left = __shfl_up_sync(ALL_LANES, end, 1);
        first = threadIdx.x % 32 > 0 ? left : offset, count = end - first;
        offset = __shfl_sync(ALL_LANES, end, 31);
    }

    // Sequences from `first` on, with `tiles` in front of them. As `sequence` has them.
    __device__ __forceinline__ void take(const Raw& raw, int first, int tiles) {
        base = first, before = tiles;
        const int s = base + threadIdx.x % 32;
        const bool there = s < p.sequences, offsets = has_k_offsets(p);
        const int q_end = there ? clamped(raw.q_end, p.q_tokens) : 0, k_end = there && offsets ? clamped(raw.k, k_most()) : 0;
        const int len = there ? raw.len : 0, start = raw.k;
        const long long slots = p.store.slots, page_size = p.store.page_size;
        mine.id = s;
        extent(q_end, q_offset, mine.q_first, mine.q_len);
        mine.q_len = min(mine.q_len, p.max_q_len);
        int keys = 0;
        mine.k_first = 0;
        if (offsets) extent(k_end, k_offset, mine.k_first, keys);
        long long wanted = len, most = p.max_k_len;
        switch (p.index) {
        case CU_SEQLENS: wanted = keys; break;
        case START_LEN:
            mine.k_first = int(max(min((long long)start, slots), 0ll));
            most = min(most, slots - mine.k_first);
            break;
        case BLOCK_TABLE: most = min(most, p.page_limit * page_size); break;
        default: wanted = keys == 0 ? 0 : (keys - 1) * page_size + max(min((long long)len, page_size), 1ll);
        }
        mine.k_len = int(max(min(wanted, most), 0ll));
        const int own = there ? tiles_of<ROWS>(mine.q_len, p.group) : 0;
        end = before + (p.sequences == 1 ? __shfl_sync(ALL_LANES, own, 0) : running_sum(own));
    }

    // Tile `index` of all.
    __device__ __forceinline__ void find(int index, int kv_head, Tile& t, TileRows& rows) {
        if (index < before) start(Raw(p, 0));
        for (;;) {
            const int last = __shfl_sync(ALL_LANES, end, 31);
            if (index < last || base + 32 >= p.sequences) break;
            take(Raw(p, base + 32), base + 32, last);
        }
        const int from = __ffs(__ballot_sync(ALL_LANES, end > index)) - 1;
        auto of = [&](int value) { return __shfl_sync(ALL_LANES, value, from); };
        t.s = {base + from, of(mine.q_first), of(mine.q_len), of(mine.k_first), of(mine.k_len)};
        t.kv_head = kv_head, t.group = p.group;
        t.first = (index - of(end) + tiles_of<ROWS>(t.s.q_len, p.group)) * ROWS;
        t.last = int(min((long long)t.first + ROWS, (long long)t.s.q_len * p.group));
        rows.query = group.divide(t.first), rows.rest = t.first - rows.query * p.group;
        rows.reciprocal = group.reciprocal + 1; // 2^32 / group, rounded up
        t.some = {visible(p, t.s, rows.query).first, visible(p, t.s, rows.query + rows.before(t.last - t.first - 1)).last};
    }
};
