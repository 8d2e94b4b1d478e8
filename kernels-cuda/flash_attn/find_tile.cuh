// Which sequence and rows a block of a prefill has: known on the device alone, where the lengths are.
#pragma once
#include "tile.cuh"

// The queries of 32 sequences, one a lane: how many there are, and in `offset` where the next 32 begin. By a whole warp.
__device__ __forceinline__ int lane_q_len(const FlashAttnParams& p, int first, int& offset) {
    const int lane = threadIdx.x % 32, s = first + lane;
    const int end = running_max(s < p.sequences ? max(clamped(p.cu_seqlens_q[s + 1], p.q_tokens), offset) : offset);
    const int left = __shfl_up_sync(ALL_LANES, end, 1);
    const int q_len = min(end - (lane > 0 ? left : offset), p.max_q_len);
    offset = __shfl_sync(ALL_LANES, end, 31);
    return q_len;
}

// Tiles of ROWS rows that hold a sequence's.
template <int ROWS> __device__ __forceinline__ int tiles_of(int q_len, int group) {
    return int(((long long)q_len * group + ROWS - 1) / ROWS);
}

// Those of all sequences. By a whole warp.
template <int ROWS> __device__ __forceinline__ int count_tiles(const FlashAttnParams& p) {
    int offset = clamped(p.cu_seqlens_q[0], p.q_tokens), tiles = 0;
    for (int base = 0; base < p.sequences; base += 32) {
        tiles += __reduce_add_sync(ALL_LANES, tiles_of<ROWS>(lane_q_len(p, base, offset), p.group));
    }
    return tiles;
}

// Tile `index` of all sequences' tiles of ROWS rows; false where there are fewer. By a whole warp.
template <int ROWS> __device__ __forceinline__ bool find_tile(const FlashAttnParams& p, int index, int kv_head, Tile& t) {
    t.kv_head = kv_head, t.group = p.group;
    int offset = clamped(p.cu_seqlens_q[0], p.q_tokens), before = 0;
    for (int base = 0; base < p.sequences; base += 32) {
        const int tiles = tiles_of<ROWS>(lane_q_len(p, base, offset), t.group), last = before + running_sum(tiles);
        const unsigned behind = __ballot_sync(ALL_LANES, last > index);
        if (behind) {
            const int found = __ffs(behind) - 1;
            t.s = sequence(p, base + found, nullptr);
            t.first = (index - __shfl_sync(ALL_LANES, last - tiles, found)) * ROWS;
            t.last = int(min((long long)t.first + ROWS, (long long)t.s.q_len * t.group));
            t.see(p);
            return true;
        }
        before = __shfl_sync(ALL_LANES, last, 31);
    }
    return false;
}
