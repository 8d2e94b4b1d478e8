// The warps that find the tiles of a block and bring their queries, keys and values.
#pragma once
#include "copy_sm90.cuh"
#include "ptx/prefetch.cuh"
#include "window_sm90.cuh"

// The KEYS keys from the first one returned on hold all that the tile sees, and are whole eights of a page. At a sequence's end they
// begin earlier, so that none lies behind it and the copy engine can take them.
__device__ __forceinline__ int first_of(const FlashAttnParams& p, const Tile& t) {
    const int align = p.store.layout == PACKED ? 1 : 8, first = t.some.first & -align, down = (t.s.k_len - KEYS) & -align;
    return down >= 0 && down < first && down + KEYS >= t.some.last ? down : first;
}

// Keys and values of a tile; returns a bit for each eight whose page is not in the cache. `least` is the first key of the sequence
// that is there.
__device__ __forceinline__ unsigned fetch_keys(const PrefillParams& params, const Memory& m, unsigned stage, const Job& job, int least) {
    const FlashAttnParams& p = params.p;
    const Tile& t = job.t;
    const int lane = threadIdx.x % 32, first = job.first_key;
    const bool packed = p.store.layout == PACKED;
    const unsigned k_full = shared_address(&m.s->k_full[stage]), v_full = shared_address(&m.s->v_full[stage]);
    int page = 0, token = t.s.k_first + first;
    bool good = p.kv_aligned && first >= least && first + KEYS <= t.s.k_len;
    if (good && !packed) {
        const int key = first + 8 * min(lane, KEYS / 8 - 1), nth = key >> (p.page_shift + 3);
        page = p.pages[(p.index == BLOCK_TABLE ? t.s.id * p.pages_stride : t.s.k_first) + nth];
        token = key & ((8 << p.page_shift) - 1);
        good = __all_sync(ALL_LANES, unsigned(page) < unsigned(p.page_count));
    }
    if (!good) {
        const unsigned missing = copy_rows<KEYS>(p, t, first, least, m.k(stage), m.v(stage));
        __syncwarp();
        if (lane == 0) barrier_arrive(k_full), barrier_arrive(v_full);
        return missing;
    }
    if (lane == 0) barrier_expect(k_full, KV_BYTES), barrier_expect(v_full, KV_BYTES);
    __syncwarp();
    // Packed keys are one box, the others an eight each.
    if (lane < (packed ? 1 : KEYS / 8)) {
        tma_load(m.k(stage) + 1024 * lane, &params.k, 0, t.kv_head, token, page, k_full);
        tma_load(m.v(stage) + 1024 * lane, &params.v, 0, t.kv_head, token, page, v_full);
    }
    return 0;
}

// One stage after the other would take longer than the tiles do, so each has a warp of its own, which finds every STAGES-th tile.
__device__ __forceinline__ void find_and_fetch(const PrefillParams& params, const Memory& m, int stage) {
    const FlashAttnParams& p = params.p;
    const int lane = threadIdx.x % 32;
    // Not one first load after the other.
    if (lane == 0) prefetch_map(&params.q), prefetch_map(&params.k), prefetch_map(&params.v);
    TileFinder<BLOCK_M> finder(p);
    const Divider heads(p.store.heads);
    const int items = finder.all * p.store.heads;
    const unsigned k_full = shared_address(&m.s->k_full[stage]), v_full = shared_address(&m.s->v_full[stage]);
    const unsigned empty = shared_address(&m.s->empty[stage]);
    WindowJob& to = m.s->jobs[stage];
    unsigned parity = 1;
    for (long long item = blockIdx.x + (long long)stage * gridDim.x;; item += (long long)STAGES * gridDim.x, parity ^= 1) {
        Job job = {};
        job.over = 1;
        if (item < items) {
            const int nth = heads.divide(int(item));
            finder.find(nth, int(item) - nth * p.store.heads, job.t, job.rows);
            job.first_key = first_of(p, job.t), job.over = 0;
        }
        barrier_wait(empty, parity);
        if (!job.over) {
            fetch_queries(params, job, m.q(stage), k_full);
            const unsigned missing = fetch_keys(params, m, stage, job, visible(p, job.t.s, 0).first);
            if (lane == 0) to.missing = missing;
        } else if (lane == 0) {
            barrier_arrive(k_full), barrier_arrive(k_full);
        }
        if (lane == 0) (Job&)to = job;
        __syncwarp();
        if (lane < GROUPS && !job.over) {
            to.all[lane] = seen_by_all(p, job, lane);
            to.begin[lane] = min(max(seen_by(p, job, 64 * lane).first - job.first_key, 0) & -8, KEYS - BLOCK_N);
        }
        barrier_arrive(k_full);
        if (job.over) return;
        fetch_sinks(p, job, m.sinks + stage * BLOCK_M);
        barrier_arrive(v_full);
    }
}
