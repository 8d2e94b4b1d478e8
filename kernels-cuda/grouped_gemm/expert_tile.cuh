// Which rows a block has, where every block looks for itself.
#pragma once
#include "offsets.cuh"
#include "params.cuh"

// Rows of one expert.
struct Tile {
    int expert, first, last;
};

// Tile `index` in the order of the experts, by one warp; expert -1 behind the last.
__device__ __forceinline__ Tile find_tile(const GroupedGemmParams& p, int index) {
    if (!p.offsets) {
        const int first = index * BLOCK_M;
        return {first < p.rows ? 0 : -1, first, min(first + BLOCK_M, p.rows)};
    }
    const int lane = threadIdx.x % 32;
    int end = 0, tiles = 0; // of the experts so far
    for (int at = 0; at < p.experts; at += 32) {
        const int e = min(at + lane, p.experts - 1);
        const int start = running_max(max(end, clamped(p.offsets[e], p.rows)));
        const int stop = max(start, clamped(p.offsets[e + 1], p.rows));
        const int own = at + lane < p.experts ? (stop - start + BLOCK_M - 1) / BLOCK_M : 0;
        const int sum = tiles + running_sum(own);
        const unsigned found = __ballot_sync(ALL_LANES, sum > index);
        if (found) {
            const int lane_found = __ffs(found) - 1;
            const int first = __shfl_sync(ALL_LANES, start + (index - (sum - own)) * BLOCK_M, lane_found);
            return {at + lane_found, first, min(first + BLOCK_M, __shfl_sync(ALL_LANES, stop, lane_found))};
        }
        end = __shfl_sync(ALL_LANES, stop, 31);
        tiles = __shfl_sync(ALL_LANES, sum, 31);
    }
    return {-1, 0, 0};
}
