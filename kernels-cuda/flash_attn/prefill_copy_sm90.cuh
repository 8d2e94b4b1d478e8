// The warpgroup that copies: one warp finds tiles and fetches their queries, another streams their keys and values.
#pragma once
#include "prefill_sm90.cuh"
#include "ptx/prefetch.cuh"
#include "ptx/proxy.cuh"

// Brings a tile's queries to `to` and lets `full` know. Rows that are not the tile's may be anything.
__device__ __forceinline__ void fetch_queries(const PrefillParams& params, const Job& job, unsigned to, unsigned full) {
    const FlashAttnParams& p = params.p;
    const Tile& t = job.t;
    const int lane = threadIdx.x % 32;
    if (params.q_mapped) {
        if (lane > 0) return;
        barrier_expect(full, Q_BYTES);
#pragma unroll
        for (int i = 0; i < PARTS; i++) {
            tma_load(to + i * Q_PART, &params.q, 64 * i, 0, t.kv_head, t.s.q_first + job.rows.query, full);
        }
        return;
    }
    constexpr int PIECES = DIM / 8;
    const int piece = lane % PIECES;
    for (int i = lane / PIECES; i < BLOCK_M; i += 32 / PIECES) {
        const bool there = t.first + i < t.last;
        const int row = there ? i : 0;
        const char* from = address(p.q, job.rows.token(t, row), (long long)job.rows.head(t, row) * DIM) + 16 * piece;
        const unsigned at = to + piece / 8 * Q_PART + swizzled(i, piece % 8);
        if (p.q_aligned) cp_async_16(at, from, there);
        else store_shared_128(at, there ? fetch_16<false>(from) : uint4{});
    }
    cp_async_commit();
    cp_async_wait<0>();
    fence_for_async();
    __syncwarp();
    if (lane == 0) barrier_arrive(full);
}

// Tile `item` of a block, in the order of the work they are: those that see the most keys first, to and fro over the blocks
// so that each gets as much.
__device__ __forceinline__ int nth_item(int n) {
    return n * int(gridDim.x) + int(n % 2 ? gridDim.x - 1 - blockIdx.x : blockIdx.x);
}

// Tiles of all sequences. By a whole warp.
__device__ __forceinline__ int count_tiles(const FlashAttnParams& p) {
    const int group = p.group;
    int offset = clamped(p.cu_seqlens_q[0], p.q_tokens), tiles = 0;
    for (int base = 0; base < p.sequences; base += 32) {
        const int q_len = lane_q_len(p, base, offset);
        tiles += __reduce_add_sync(ALL_LANES, int(((long long)q_len * group + BLOCK_M - 1) / BLOCK_M));
    }
    return tiles;
}

// How many keys the copy engine takes at a time: those of a page, as far as a block can be made of them.
__device__ __forceinline__ int keys_together(const FlashAttnParams& p) {
    constexpr int MOST = BLOCK_N & -BLOCK_N;
    return p.store.layout == PACKED ? BLOCK_N : min(8 << p.page_shift, MOST);
}

__device__ __forceinline__ void find_and_fetch(const PrefillParams& params, const Memory& m) {
    const FlashAttnParams& p = params.p;
    Shared& s = *m.s;
    // Not one first load after the other.
    if (threadIdx.x % 32 == 0) prefetch_map(&params.q), prefetch_map(&params.k), prefetch_map(&params.v);
    if (int(threadIdx.x % 32) < p.sequences) {
        if (p.k_first) prefetch_to_l1(p.k_first + threadIdx.x % 32);
        if (p.k_len) prefetch_to_l1(p.k_len + threadIdx.x % 32);
    }
    const int items = count_tiles(p) * p.store.heads, lane = threadIdx.x % 32, box = p.store.layout == PACKED ? 8 : keys_together(p);
    int held = 0, held_before = 0; // items of the last turn and the one before, which had this slot
    for (int n = 0, turn = 0;; turn++) {
        const int slot = turn & 1;
        barrier_wait(shared_address(&s.q_empty[slot]), (turn >> 1 & 1) ^ 1);
        int item = nth_item(n);
        // Tiles whose maxima overflowed come round again. Before the end both slots must have been looked at.
        int from = s.again[slot] ? slot : -1;
        if (from < 0 && item >= items && turn > 0) {
            barrier_wait(shared_address(&s.q_empty[slot ^ 1]), (turn - 1) >> 1 & 1);
            if (s.again[slot ^ 1]) from = slot ^ 1;
        }
        if (from >= 0) item = from == slot ? held_before : held;
        else n++;
        __syncwarp();
        Job job = {{}, {}, 0, 0, from >= 0, 1};
        const int index = items / p.store.heads - 1 - item / p.store.heads;
        if (item < items && find_tile<BLOCK_M>(p, index, item % p.store.heads, job.t)) {
            const Keys some = job.t.some;
            job.rows.find(job.t), job.over = 0;
            job.first_key = some.first & -box;
            job.blocks = some.first < some.last ? (some.last - job.first_key + BLOCK_N - 1) / BLOCK_N : 0;
        }
        if (lane == 0) {
            if (from >= 0) s.again[from] = 0;
            s.jobs[slot] = job;
            barrier_arrive(shared_address(&s.job_full[slot]));
        }
        held_before = held, held = item;
        if (job.over) {
            if (lane == 0) barrier_arrive(shared_address(&s.q_full[slot]));
            return;
        }
        fetch_queries(params, job, m.q + slot * Q_BYTES, shared_address(&s.q_full[slot]));
    }
}

// Keys and values for one tile after the other.
struct Stream {
    const PrefillParams& params;
    const Memory& m;
    Ring<STAGES> ring;
    const int box;

    __device__ __forceinline__ Stream(const PrefillParams& params, const Memory& m)
        : params(params), m(m), box(keys_together(params.p)) {
        ring.parity = 1;
    }

    // From the last keys to the first.
    __device__ __forceinline__ void tile(const Tile& t, int first_key, int blocks) {
        const FlashAttnParams& p = params.p;
        const int least = visible(p, t.s, 0).first; // of the sequence: keys before it may be anything, as may those behind k_len
        for (int first = first_key + (blocks - 1) * BLOCK_N; first >= first_key; first -= BLOCK_N) {
            int page = 0;
            bool good = p.kv_aligned && first >= least && first + BLOCK_N <= t.s.k_len;
            if (good && p.store.layout != PACKED) {
                const int lane = threadIdx.x % 32;
                const int nth = (first + min(lane * box, BLOCK_N - 1)) >> (p.page_shift + 3);
                page = p.pages[(p.index == BLOCK_TABLE ? t.s.id * p.pages_stride : t.s.k_first) + nth];
                good = __all_sync(ALL_LANES, unsigned(page) < unsigned(p.page_count));
            }
            if (good) copy_whole(t, first, page);
            else copy_some(t, first, least);
            ring.next();
        }
    }

    __device__ __forceinline__ unsigned at(unsigned long long (&barriers)[STAGES]) const {
        return shared_address(&barriers[ring.stage]);
    }

    // By the copy engine. Several lanes, because one cannot issue fast enough.
    __device__ __forceinline__ void copy_whole(const Tile& t, int first, int page) {
        Shared& s = *m.s;
        const int lane = threadIdx.x % 32;
        const bool packed = params.p.store.layout == PACKED;
        const int token = packed ? t.s.k_first + first : (first + lane * box) & ((8 << params.p.page_shift) - 1);
        const unsigned to = ring.stage * KV_BYTES + lane * box * 128;
        barrier_wait(at(s.k_empty), ring.parity);
        if (lane == 0) s.missing[ring.stage] = 0, barrier_expect(at(s.k_full), KV_BYTES);
        __syncwarp();
        if (lane * box < BLOCK_N) {
#pragma unroll
            for (int i = 0; i < PARTS; i++) {
                tma_load(m.k + to + i * KV_PART, &params.k, 64 * i, t.kv_head, token, page, at(s.k_full));
            }
        }
        barrier_wait(at(s.v_empty), ring.parity);
        if (lane == 0) barrier_expect(at(s.v_full), KV_BYTES);
        __syncwarp();
        if (lane * box < BLOCK_N) {
#pragma unroll
            for (int i = 0; i < PARTS; i++) {
                tma_load(m.v + to + i * KV_PART, &params.v, 64 * i, t.kv_head, token, page, at(s.v_full));
            }
        }
    }

    // Row by row: only keys that are there are read, the others become zero.
    __device__ __forceinline__ void copy_some(const Tile& t, int first, int least) {
        Shared& s = *m.s;
        const FlashAttnParams& p = params.p;
        constexpr int PIECES = DIM / 8;
        const int lane = threadIdx.x % 32, piece = lane % PIECES;
        const KvHead head(p, t.s, t.kv_head);
        unsigned missing = 0;
        barrier_wait(at(s.k_empty), ring.parity);
        barrier_wait(at(s.v_empty), ring.parity);
        for (int r = lane / PIECES; r < BLOCK_N; r += 32 / PIECES) {
            const int j = first + r;
            const bool seen = j >= least && j < t.s.k_len;
            const int page = seen ? head.page(p, t.s, j / 8) : -1;
            if (seen && page < 0) missing |= 1u << r / 8;
            const Eight eight = head.eight(p, max(page, 0), j / 8);
            const unsigned to = ring.stage * KV_BYTES + piece / 8 * KV_PART + swizzled(r, piece % 8);
            const char *k = eight.k + (unsigned long long)p.k_token * (j & 7) + 16 * piece;
            const char *v = eight.v + (unsigned long long)p.v_token * (j & 7) + 16 * piece;
            if (p.kv_aligned) {
                cp_async_16(m.k + to, page >= 0 ? k : head.k, page >= 0);
                cp_async_16(m.v + to, page >= 0 ? v : head.v, page >= 0);
            } else {
                store_shared_128(m.k + to, page >= 0 ? fetch_16<false>(k) : uint4{});
                store_shared_128(m.v + to, page >= 0 ? fetch_16<false>(v) : uint4{});
            }
        }
        cp_async_commit();
        cp_async_wait<0>();
        fence_for_async();
        missing = __reduce_or_sync(ALL_LANES, missing);
        __syncwarp();
        if (lane == 0) {
            s.missing[ring.stage] = missing;
            barrier_arrive(at(s.k_full));
            barrier_arrive(at(s.v_full));
        }
    }
};

__device__ __forceinline__ void stream_keys(const PrefillParams& params, const Memory& m) {
    Shared& s = *m.s;
    Stream stream(params, m);
    for (int turn = 0;; turn++) {
        const int slot = turn & 1;
        barrier_wait(shared_address(&s.job_full[slot]), turn >> 1 & 1);
        if (s.jobs[slot].over) return;
        const Tile t = s.jobs[slot].t;
        stream.tile(t, s.jobs[slot].first_key, s.jobs[slot].blocks);
        __syncwarp();
        if (threadIdx.x % 32 == 0) barrier_arrive(shared_address(&s.q_empty[slot]));
    }
}
