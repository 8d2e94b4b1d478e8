// Every block's share of the work, from the offsets on the device: slots of up to BLOCK_M rows of an expert, each by all weight
// rows in tiles of TILE_ROWS, dealt out side by side in ranges of equal cost. Worked out by every block for itself.
#pragma once
#include "mxfp4.cuh"
#include "offsets.cuh"
#include "params.cuh"

constexpr int MAX_EXPERTS = 512;
constexpr int NARROW = 8; // rows that one column of mma multiplies
static_assert(BLOCK_M == 2 * NARROW, "a slot is narrow or wide");
// What a tile costs by up to NARROW rows, and by more, on an H200. The host refuses calls whose cost passes 2^32.
constexpr unsigned NARROW_COST = 10, WIDE_COST = 13;

__device__ __forceinline__ int row_tiles(const GroupedGemmParams& p) { return (p.n + TILE_ROWS - 1) / TILE_ROWS; }

// Between two tiles: in front of tile `tile` of slot `slot` of expert `e`.
struct Place {
    int e, slot, tile;
};

// Tiles of a slot that follow each other.
struct Segment {
    int expert; // local
    int row, rows;
    int first, count; // tiles of weight rows
};

// In shared memory. Before the first weights are asked for, every instruction counts: there are few of them, in loops.
struct Shares {
    int row_begin[MAX_EXPERTS + 1];
    int cost_begin[MAX_EXPERTS + 1]; // of one tile of weight rows
    int raw[MAX_EXPERTS + 1];        // offsets as they were read
    Place bounds[2];                 // of this block's share

    // By the whole block; synchronises. All offsets are asked for at once: memory's latency is most of this.
    __device__ __forceinline__ void build(const GroupedGemmParams& p) {
#pragma unroll 1
        for (int i = threadIdx.x; i <= p.experts; i += 32 * WARPS) raw[i] = offset(p, i);
        if (threadIdx.x < 2) bounds[threadIdx.x] = {p.experts, 0, 0};
        __syncthreads();
        if (threadIdx.x < 32) {
            read_offsets(raw, p.experts, p.rows, row_begin);
            __syncwarp();
            begins(p.experts, cost_begin, [&](int i) { return cost(p, i); });
            __syncwarp();
            find_bounds(p);
        }
        __syncthreads();
    }

    // Are the offsets others now? By the whole block; synchronises.
    __device__ __forceinline__ bool changed(const GroupedGemmParams& p) const {
        bool other = false;
#pragma unroll 1
        for (int i = threadIdx.x; i <= p.experts; i += 32 * WARPS) other |= raw[i] != offset(p, i);
        return __syncthreads_or(other);
    }

    __device__ __forceinline__ void check(const GroupedGemmParams& p) const {
        if (p.offsets && blockIdx.x == 0 && threadIdx.x < 32) check_offsets(raw, p.experts + 1, p.rows, p.status);
    }

    __device__ __forceinline__ int rows(int e) const { return row_begin[e + 1] - row_begin[e]; }

    // The segment at a place, which moves on; its count is 0 behind the last.
    __device__ __forceinline__ Segment next(const GroupedGemmParams& p, Place& at) const {
        const Place end = bounds[1];
        const bool last = at.e == end.e && at.slot == end.slot;
        Segment segment{at.e - p.local_first, 0, 0, at.tile, (last ? end.tile : row_tiles(p)) - at.tile};
        if (at.e >= p.experts) segment.count = 0;
        if (segment.count == 0) return segment;
        segment.row = row_begin[at.e] + at.slot * BLOCK_M;
        segment.rows = min(BLOCK_M, row_begin[at.e + 1] - segment.row);
        at.tile = 0, at.slot++;
        if (last) {
            at = end; // of which nothing is left
        } else if (at.slot * BLOCK_M >= rows(at.e)) {
            at.slot = 0;
            do at.e++;
            while (at.e < end.e && cost_begin[at.e + 1] == cost_begin[at.e]);
        }
        return segment;
    }

  private:
    // Past the L1 cache, which does not see what other kernels write meanwhile.
    static __device__ __forceinline__ int offset(const GroupedGemmParams& p, int i) {
        return p.offsets ? __ldcg(p.offsets + i) : i == 0 ? 0 : p.rows;
    }

    __device__ __forceinline__ int cost(const GroupedGemmParams& p, int e) const {
        const int local = e - p.local_first, columns = (rows(e) + NARROW - 1) / NARROW;
        const bool mine = local >= 0 && local < p.local_count;
        return mine ? columns / 2 * WIDE_COST + columns % 2 * NARROW_COST : 0;
    }

    // A lane looks whether the share begins or ends in one of its experts.
    __device__ __forceinline__ void find_bounds(const GroupedGemmParams& p) {
        const unsigned tiles = row_tiles(p), all = cost_begin[p.experts] * tiles;
        const unsigned each = all / gridDim.x, more = all - each * gridDim.x;
#pragma unroll 1
        for (int i = 0; i < 2; i++) {
            const unsigned block = blockIdx.x + i, cost = each * block + more * block / gridDim.x;
#pragma unroll 1
            for (int e = threadIdx.x; e < p.experts; e += 32) {
                const unsigned within = cost - cost_begin[e] * tiles;
                if (within >= (cost_begin[e + 1] - cost_begin[e]) * tiles) continue;
                const int slot = int(within / (WIDE_COST * tiles));
                const unsigned left = within - slot * WIDE_COST * tiles;
                bounds[i] = {e, slot, int(left / (rows(e) - slot * BLOCK_M > NARROW ? WIDE_COST : NARROW_COST))};
            }
        }
    }
};
