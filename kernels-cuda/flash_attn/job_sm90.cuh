// What the blocks for sm_90a that attend many rows have in common: tiles of BLOCK_M rows, 64 a warpgroup that multiplies, one
// more warpgroup finds tiles and copies.
#pragma once
#include "decode_asked_sm90.cuh"
#include "ptx/cp_async.cuh"
#include "ptx/mbarrier.cuh"
#include "ptx/shared.cuh"
#include "ptx/tma.cuh"
#include "ptx/warpgroup.cuh"
#include "tile_finder.cuh"

constexpr int DIM = BLOCK_K, GROUPS = BLOCK_M / 64, THREADS = 32 * WARPS;
static_assert(WARPS == 4 * GROUPS + 4 && BLOCK_M % 64 == 0 && BLOCK_N % 16 == 0 && (DIM == 64 || DIM == 128), "as above");
// Parts of 64 elements, rows of 128 bytes that are swizzled by eights: what the copy engine writes and wgmma reads.
constexpr int PARTS = DIM / 64, Q_PART = BLOCK_M * 128, Q_BYTES = PARTS * Q_PART;
// What a warpgroup writes, on its way.
constexpr int OUT_PART = 64 * 128, OUT_BYTES = GROUPS * PARTS * OUT_PART, SINK_BYTES = BLOCK_M * 4;

// Maps of q and out: {elements, heads of a key head, key heads, tokens}; of k and v: {elements, heads, tokens of a page, pages}, packed:
// {elements, heads, tokens, 1}.
struct PrefillParams {
    TensorMap q, k, v, out;
    FlashAttnParams p;
    int q_mapped, out_mapped; // a tile's queries are one box; what a warpgroup writes is one
};
static_assert(sizeof(PrefillParams) == 896, "mirrored in Rust");

// A tile on its way through the block. Where lanes read or write shared memory themselves, each arrives at the barrier that passes it
// on: one lane behind __syncwarp would do, but racecheck sees those that arrive alone. What wgmma and the copy engine read and write
// needs one lane of a warp.
struct Job {
    Tile t;
    TileRows rows;
    Keys all[GROUPS]; // keys that each row of a warpgroup sees
    int first_key, blocks; // keys first_key .. first_key + blocks * BLOCK_N hold all that a row sees
    int careful; // its row maxima must follow the scores
    int over;    // there is none: the block is through
};

// Keys that row `row` of a tile sees, those behind its end as its last.
__device__ __forceinline__ Keys seen_by(const FlashAttnParams& p, const Job& job, int row) {
    return visible(p, job.t.s, job.rows.query + job.rows.before(min(row, job.t.last - job.t.first - 1)));
}

// Keys that all rows of warpgroup `group` see.
__device__ __forceinline__ Keys seen_by_all(const FlashAttnParams& p, const Job& job, int group) {
    return {seen_by(p, job, 64 * group + 63).first, seen_by(p, job, 64 * group).last};
}

// The sinks of a tile's rows, asked for together. By a warp.
__device__ __forceinline__ void fetch_sinks(const FlashAttnParams& p, const Job& job, float* sinks) {
    const int lane = threadIdx.x % 32, most = job.t.last - job.t.first - 1;
    RawSink raw[BLOCK_M / 32];
#pragma unroll
    for (int i = 0; i < BLOCK_M / 32; i++) raw[i] = RawSink(p, job.rows.head(job.t, min(lane + 32 * i, most)));
#pragma unroll
    for (int i = 0; i < BLOCK_M / 32; i++) sinks[lane + 32 * i] = raw[i].value(p);
}

// Byte of 16-byte piece `piece` of a row of a part.
__device__ __forceinline__ unsigned swizzled(int row, int piece) { return row * 128 + (piece ^ (row & 7)) * 16; }
