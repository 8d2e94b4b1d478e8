// A decode in shares (splits) of a sequence's keys: which block takes what, what it leaves, and how that is put together.
#pragma once
#include "tile.cuh"

// A block's place: key heads vary fastest, since those of a token lie side by side.
struct Place {
    int s, tile, split, kv_head;

    __device__ __forceinline__ Place(const FlashAttnParams& p, int block, int splits) {
        kv_head = block % p.store.heads, block /= p.store.heads;
        split = block % splits, block /= splits;
        tile = block % p.tiles, s = block / p.tiles;
    }
};

__device__ __forceinline__ Tile tile_at(const FlashAttnParams& p, const Place& at, int rows, unsigned* status) {
    Tile t;
    t.s = sequence(p, at.s, status);
    t.kv_head = at.kv_head;
    t.group = p.group;
    t.first = int(min((long long)at.tile * rows, (long long)t.s.q_len * t.group));
    t.last = int(min((long long)t.first + rows, (long long)t.s.q_len * t.group));
    return t;
}

// What a split leaves: o [ROWS, DIM], then m and l of each row.
template <int DIM, int ROWS>
__device__ __forceinline__ float* partial_of(const FlashAttnParams& p, const Place& at, int split) {
    const long long item = ((long long)at.s * p.tiles + at.tile) * p.store.heads + at.kv_head;
    return p.partial + (item * p.splits + split) * (ROWS * (DIM + 2));
}

// Element d of row n, of the sums over all keys.
template <int DIM>
__device__ __forceinline__ void finish(const FlashAttnParams& p, const Tile& t, int n, int d, float m, float l, float o) {
    const int head = t.head(n);
    store1(p.out, t.row(n), (long long)head * DIM + d, l == 0.0f ? 0.0f : o * normalizer(p, head, m, l));
    if (d == 0) store_lse(p, t.row(n), head, m, l);
}

// Element d of the tile's row `row`, of the sums over a share's keys: to `partial`, where there are shares.
template <int DIM, int ROWS>
__device__ __forceinline__ void leave(const FlashAttnParams& p, const Tile& t, float* partial, int row, int d, float m, float l,
                                      float o) {
    if (partial) {
        partial[row * DIM + d] = o;
        if (d == 0) *(float2*)&partial[ROWS * DIM + 2 * row] = make_float2(m, l);
    } else {
        finish<DIM>(p, t, t.first + row, d, m, l, o);
    }
}

// Splits put together, one block a tile of rows.
template <int DIM, int ROWS> __device__ __forceinline__ void combine(const FlashAttnParams& p) {
    const Place at(p, blockIdx.x, 1);
    const Tile t = tile_at(p, at, ROWS, nullptr);
    for (int e = threadIdx.x; e < ROWS * DIM; e += 32 * WARPS) {
        const int row = e / DIM, d = e % DIM, n = t.first + row;
        if (n >= t.last) continue;
        const float* partial = partial_of<DIM, ROWS>(p, at, 0);
        float m = NO_MAX, l = 0.0f, o = 0.0f;
        for (int split = 0; split < p.splits; split++) m = fmaxf(m, partial[split * ROWS * (DIM + 2) + ROWS * DIM + 2 * row]);
#pragma unroll 4
        for (int split = 0; split < p.splits; split++) {
            const float* from = partial + split * ROWS * (DIM + 2);
            const float shrink = fast_exp2(from[ROWS * DIM + 2 * row] - m);
            l += from[ROWS * DIM + 2 * row + 1] * shrink;
            o += from[row * DIM + d] * shrink;
        }
        finish<DIM>(p, t, n, d, m, l, o);
    }
}
