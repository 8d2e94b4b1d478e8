// The warpgroup that copies: one warp finds tiles and fetches their queries, another describes their rows, a third streams their keys
// and values.
#pragma once
#include "copy_sm90.cuh"
#include "prefill_sm90.cuh"
#include "ptx/prefetch.cuh"

// Tile `item` of a block, in the order of the work they are: those that see the most keys first, to and fro over the blocks
// so that each gets as much.
__device__ __forceinline__ int nth_item(int n) {
    return n * int(gridDim.x) + int(n % 2 ? gridDim.x - 1 - blockIdx.x : blockIdx.x);
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
    TileFinder<BLOCK_M> finder(p);
    const Divider heads(p.store.heads);
    const int items = finder.all * p.store.heads, lane = threadIdx.x % 32, box = p.store.layout == PACKED ? 8 : keys_together(p);
    int held = 0, held_before = 0; // items of the last turn and the one before, which had this slot
    auto again = [&](int slot) { return __shfl_sync(ALL_LANES, lane == 0 ? s.again[slot] : 0, 0); };
    for (int n = 0, turn = 0;; turn++) {
        const int slot = turn & 1;
        barrier_wait(shared_address(&s.q_empty[slot]), (turn >> 1 & 1) ^ 1);
        int item = nth_item(n);
        // Tiles whose maxima overflowed come round again. Before the end both slots must have been looked at.
        int from = again(slot) ? slot : -1;
        if (from < 0 && item >= items && turn > 0) {
            barrier_wait(shared_address(&s.q_empty[slot ^ 1]), (turn - 1) >> 1 & 1);
            if (again(slot ^ 1)) from = slot ^ 1;
        }
        if (from >= 0) item = from == slot ? held_before : held;
        else n++;
        Job job = {{}, {}, {}, 0, 0, from >= 0, 1};
        if (item < items) {
            const int nth = heads.divide(item);
            finder.find(finder.all - 1 - nth, item - nth * p.store.heads, job.t, job.rows), job.over = 0;
            const Keys some = job.t.some;
            job.first_key = some.first & -box;
            job.blocks = some.first < some.last ? (some.last - job.first_key + BLOCK_N - 1) / BLOCK_N : 0;
        }
        if (lane == 0) {
            if (from >= 0) s.again[from] = 0;
            s.jobs[slot] = job;
            barrier_arrive(shared_address(&s.job_full[slot]));
        }
        held_before = held, held = item;
        const unsigned full = shared_address(&s.q_full[slot]);
        if (job.over) {
            if (lane == 0) barrier_arrive(full);
            barrier_arrive(full);
            return;
        }
        fetch_queries(params, job, m.q + slot * Q_BYTES, full);
        barrier_arrive(full);
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

    // Row by row.
    __device__ __forceinline__ void copy_some(const Tile& t, int first, int least) {
        Shared& s = *m.s;
        barrier_wait(at(s.k_empty), ring.parity);
        barrier_wait(at(s.v_empty), ring.parity);
        const unsigned to = ring.stage * KV_BYTES;
        const unsigned missing = copy_rows<BLOCK_N>(params.p, t, first, least, m.k + to, m.v + to);
        __syncwarp();
        if (threadIdx.x % 32 == 0) {
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
        barrier_arrive(shared_address(&s.q_empty[slot]));
    }
}

__device__ __forceinline__ void describe_tiles(const FlashAttnParams& p, const Memory& m) {
    Shared& s = *m.s;
    for (int turn = 0;; turn++) {
        const int slot = turn & 1;
        barrier_wait(shared_address(&s.job_full[slot]), turn >> 1 & 1);
        // Through already, for who finds tiles: waited for here too because sinks lie there that others read.
        barrier_wait(shared_address(&s.q_empty[slot]), (turn >> 1 & 1) ^ 1);
        const bool over = s.jobs[slot].over;
        if (!over) {
            const int lane = threadIdx.x % 32;
            if (lane < GROUPS) s.jobs[slot].all[lane] = seen_by_all(p, s.jobs[slot], lane);
            fetch_sinks(p, s.jobs[slot], m.sinks + slot * BLOCK_M);
        }
        barrier_arrive(shared_address(&s.q_full[slot]));
        if (over) return;
        barrier_arrive(shared_address(&s.q_empty[slot]));
    }
}
