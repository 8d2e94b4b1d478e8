// Into the shared memory of a tile: its queries, and keys that the copy engine cannot take.
#pragma once
#include "job_sm90.cuh"
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

// Keys `first` .. `first` + ROWS and their values, row by row: only keys from `least` on that are there are read, the others become
// zero. Returns a bit for each eight whose page is not in the cache. By a warp.
template <int ROWS>
__device__ __forceinline__ unsigned copy_rows(const FlashAttnParams& p, const Tile& t, int first, int least, unsigned to_k, unsigned to_v) {
    constexpr int PIECES = DIM / 8, PART = ROWS * 128;
    const int lane = threadIdx.x % 32, piece = lane % PIECES;
    const KvHead head(p, t.s, t.kv_head);
    unsigned missing = 0;
    for (int r = lane / PIECES; r < ROWS; r += 32 / PIECES) {
        const int j = first + r;
        const bool seen = j >= least && j < t.s.k_len;
        const int page = seen ? head.page(p, t.s, j / 8) : -1;
        if (seen && page < 0) missing |= 1u << r / 8;
        const Eight eight = head.eight(p, max(page, 0), j / 8);
        const unsigned to = piece / 8 * PART + swizzled(r, piece % 8);
        const char *k = eight.k + (unsigned long long)p.k_token * (j & 7) + 16 * piece;
        const char *v = eight.v + (unsigned long long)p.v_token * (j & 7) + 16 * piece;
        if (p.kv_aligned) {
            cp_async_16(to_k + to, page >= 0 ? k : head.k, page >= 0);
            cp_async_16(to_v + to, page >= 0 ? v : head.v, page >= 0);
        } else {
            store_shared_128(to_k + to, page >= 0 ? fetch_16<false>(k) : uint4{});
            store_shared_128(to_v + to, page >= 0 ? fetch_16<false>(v) : uint4{});
        }
    }
    cp_async_commit();
    cp_async_wait<0>();
    fence_for_async();
    return __reduce_or_sync(ALL_LANES, missing);
}
