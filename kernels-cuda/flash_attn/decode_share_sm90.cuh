// What the warps of a cluster found of the same rows, put together: each block sums over its warps and sends every block of the
// cluster the elements that it finishes, which takes one barrier and no memory but theirs.
#pragma once
#include "decode_warp.cuh"
#include "ptx/cluster.cuh"
#include "ptx/shared.cuh"

// Looks for faults: what a block of its own does, so that the others need not.
__device__ __noinline__ void check_by_warps(const FlashAttnParams& p) {
    const int warp = threadIdx.x / 32;
    if (warp == 0) check_all_offsets(p);
    for (int s = warp; s < p.sequences; s += WARPS) sequence(p, s, p.status);
}

// Of dynamic shared memory: [WARPS][8][DIM] sums and [WARPS][8] (m, l) of warps, then [splits][ROWS] (m, l) and [splits][share]
// sums of blocks.
template <int DIM, int COLS> struct Shared {
    static constexpr int ROWS = 8 * COLS, ELEMENTS = ROWS * DIM;
    float* o_of;
    float2* ml_of;
    float2* ml_from;
    float* o_from;
    int splits, rank, share; // elements that a block finishes, a power of two

    __device__ __forceinline__ Shared(unsigned char* memory) : splits(gridDim.x), rank(blockIdx.x) {
        o_of = (float*)memory;
        ml_of = (float2*)(o_of + WARPS * 8 * DIM);
        ml_from = ml_of + WARPS * 8;
        o_from = (float*)(ml_from + splits * ROWS);
        share = 1 << (32 - __clz((ELEMENTS + splits - 1) / splits - 1));
    }
};

// Every warp comes here. `finish(row, d, m, l, o)` stores an element.
template <int DIM, int COLS, class Warp, class Finish>
__device__ __forceinline__ void put_together(const Shared<DIM, COLS>& at, Warp& mine, const Finish& finish) {
    constexpr int ROWS = 8 * COLS, ELEMENTS = ROWS * DIM;
    const int warp = threadIdx.x / 32;
#pragma unroll
    for (int col = 0; col < COLS; col++) {
        if (col > 0) __syncthreads(); // the block is through with the rows before
        mine.leave(col, at.o_of + warp * 8 * DIM, at.ml_of + warp * 8);
        __syncthreads();
        if (col == 0 && at.splits > 1) cluster_wait(); // the other blocks run: their memory is there
        for (int e = threadIdx.x; e < 8 * DIM; e += 32 * WARPS) {
            const int row = e / DIM, d = e % DIM;
            float m = NO_MAX, l = 0.0f, o = 0.0f;
#pragma unroll
            for (int w = 0; w < WARPS; w++) m = fmaxf(m, at.ml_of[w * 8 + row].x);
#pragma unroll
            for (int w = 0; w < WARPS; w++) {
                const float2 ml = at.ml_of[w * 8 + row];
                const float shrink = fast_exp2(ml.x - m);
                l += ml.y * shrink;
                o += at.o_of[w * 8 * DIM + Warp::place(row, d)] * shrink;
            }
            if (at.splits == 1) {
                finish(8 * col + row, d, m, l, o);
                continue;
            }
            const int all = col * 8 * DIM + e, to = all >> __ffs(at.share) - 1, within = all & (at.share - 1);
            store_cluster(shared_of_block(shared_address(at.o_from + at.rank * at.share + within), to), o);
            if (d == 0 || within == 0) {
                store_cluster(shared_of_block(shared_address(at.ml_from + at.rank * ROWS + 8 * col + row), to), m, l);
            }
        }
    }
    if (at.splits == 1) return;
    cluster_arrive();
    cluster_wait();
    for (int i = threadIdx.x; i < at.share && at.rank * at.share + i < ELEMENTS; i += 32 * WARPS) {
        const int e = at.rank * at.share + i, row = e / DIM, d = e % DIM;
        float m = NO_MAX, l = 0.0f, o = 0.0f;
        constexpr int AT_ONCE = 8; // blocks: all loads of theirs first
#pragma unroll 1
        for (int split = 0; split < at.splits; split += AT_ONCE) {
            float2 ml[AT_ONCE];
            float part[AT_ONCE];
#pragma unroll
            for (int n = 0; n < AT_ONCE; n++) {
                const bool is = split + n < at.splits;
                ml[n] = is ? at.ml_from[(split + n) * ROWS + row] : make_float2(-INFINITY, 0.0f);
                part[n] = is ? at.o_from[(split + n) * at.share + i] : 0.0f;
            }
            float raised = m;
#pragma unroll
            for (int n = 0; n < AT_ONCE; n++) raised = fmaxf(raised, ml[n].x);
            const float before = fast_exp2(m - raised);
            m = raised, l *= before, o *= before;
#pragma unroll
            for (int n = 0; n < AT_ONCE; n++) {
                const float shrink = fast_exp2(ml[n].x - m);
                l += ml[n].y * shrink, o += part[n] * shrink;
            }
        }
        finish(row, d, m, l, o);
    }
}
