// The stable counting sort of assignments by expert. Each warp owns consecutive assignments, counts them into its own
// histogram, learns where each of its experts starts, and places them in order: no atomics, the same result every time.
// Ids outside the experts go to a bucket behind the last.
#pragma once
#include "faults.cuh"
#include "route.cuh"

constexpr int BUCKETS = MAX_EXPERTS + 1;

// Mirrors `Sort` in src/cuda/moe.rs.
struct Sort {
    const int* topk_idx;
    int* expert_count;
    int* expert_offset;
    int* sorted_assignment;
    int* assignment_to_row;
    unsigned* status;
    int* block_counts; // scratch [blocks, experts + 1], of the two-launch form
    int assignments, experts;
};
static_assert(sizeof(Sort) == 64, "mirrored in Rust");

struct Range {
    int first, last;
};

// The tokens of a warp among all warps of the grid.
__device__ __forceinline__ Range warp_tokens(int tokens) {
    const int warps = gridDim.x * WARPS, warp = blockIdx.x * WARPS + threadIdx.x / LANES;
    const int each = tokens / warps, more = tokens % warps;
    const int first = warp * each + min(warp, more);
    return {first, first + each + (warp < more ? 1 : 0)};
}

__device__ __forceinline__ int bucket_of(const Sort& s, int id) {
    return unsigned(id) < unsigned(s.experts) ? id : s.experts;
}

// 32 consecutive assignments of a warp, one a lane, and which of them share a bucket.
struct Tile {
    int assignment, bucket; // bucket -1: past the warp's last assignment
    int in_front, peers;    // lanes of the same bucket: below this one, and in all

    __device__ __forceinline__ Tile(const Sort& s, int at, int last) {
        const int lane = threadIdx.x % LANES;
        assignment = at + lane;
        bucket = assignment < last ? bucket_of(s, s.topk_idx[assignment]) : -1;
        const unsigned same = __match_any_sync(ALL_LANES, bucket);
        in_front = __popc(same & ((1u << lane) - 1));
        peers = __popc(same);
    }
};

__device__ __forceinline__ void count_assignments(const Sort& s, Range range, int* histogram) {
    for (int e = threadIdx.x % LANES; e <= s.experts; e += LANES) histogram[e] = 0;
    __syncwarp();
    for (int at = range.first; at < range.last; at += LANES) {
        const Tile tile(s, at, range.last);
        if (tile.bucket >= 0 && tile.in_front == 0) histogram[tile.bucket] += tile.peers;
        __syncwarp();
    }
}

// `next` holds, per bucket, the row of the warp's next assignment.
__device__ __forceinline__ void place_assignments(const Sort& s, Range range, int* next) {
    for (int at = range.first; at < range.last; at += LANES) {
        const Tile tile(s, at, range.last);
        const bool live = tile.bucket >= 0;
        const int row = live ? next[tile.bucket] + tile.in_front : 0;
        __syncwarp(); // all peers have read before the first of them writes
        if (live && tile.in_front == 0) next[tile.bucket] = row + tile.peers;
        if (live) {
            s.sorted_assignment[row] = tile.assignment;
            s.assignment_to_row[tile.assignment] = row;
        }
        __syncwarp();
    }
}

// Turns the block's totals into offsets, in place: one warp, 32 buckets at a time.
__device__ __forceinline__ void exclusive_scan(int* totals, int count) {
    const int lane = threadIdx.x % LANES;
    int carry = 0;
    for (int at = 0; at < count; at += LANES) {
        const int own = at + lane < count ? totals[at + lane] : 0;
        int sum = own;
#pragma unroll
        for (int step = 1; step < LANES; step *= 2) {
            const int below = __shfl_up_sync(ALL_LANES, sum, step);
            if (lane >= step) sum += below;
        }
        if (at + lane < count) totals[at + lane] = carry + sum - own;
        carry += __shfl_sync(ALL_LANES, sum, LANES - 1);
    }
}

// Offsets, counts and the fault, by one block. `offsets` has experts + 1 entries; the last is where strays start.
__device__ __forceinline__ void store_offsets(const Sort& s, const int* offsets) {
    for (int e = threadIdx.x; e <= s.experts; e += 32 * WARPS) {
        s.expert_offset[e] = offsets[e];
        if (e < s.experts) s.expert_count[e] = offsets[e + 1] - offsets[e];
    }
    if (threadIdx.x == 0 && offsets[s.experts] != s.assignments) report(s.status, FAULT_EXPERT_ID);
}

// Everything in one block.
__device__ __forceinline__ void sort_in_one_block(const Sort& s, Range range) {
    __shared__ int histograms[WARPS][BUCKETS];
    __shared__ int offsets[BUCKETS];
    int* own = histograms[threadIdx.x / LANES];
    count_assignments(s, range, own);
    __syncthreads();
    for (int e = threadIdx.x; e <= s.experts; e += 32 * WARPS) {
        int total = 0;
        for (int w = 0; w < WARPS; w++) total += histograms[w][e];
        offsets[e] = total;
    }
    __syncthreads();
    if (threadIdx.x < LANES) exclusive_scan(offsets, s.experts + 1);
    __syncthreads();
    store_offsets(s, offsets);
    for (int e = threadIdx.x; e <= s.experts; e += 32 * WARPS) {
        int next = offsets[e];
        for (int w = 0; w < WARPS; w++) {
            const int count = histograms[w][e];
            histograms[w][e] = next;
            next += count;
        }
    }
    __syncthreads();
    place_assignments(s, range, own);
}

// First of two launches: what this block has of each bucket.
__device__ __forceinline__ void count_block(const Sort& s, Range range) {
    __shared__ int histograms[WARPS][BUCKETS];
    count_assignments(s, range, histograms[threadIdx.x / LANES]);
    __syncthreads();
    for (int e = threadIdx.x; e <= s.experts; e += 32 * WARPS) {
        int total = 0;
        for (int w = 0; w < WARPS; w++) total += histograms[w][e];
        s.block_counts[(long long)blockIdx.x * (s.experts + 1) + e] = total;
    }
}

// Second: every block adds up what all blocks have, the same way, and places its own.
__device__ __forceinline__ void place_block(const Sort& s, Range range) {
    __shared__ int histograms[WARPS][BUCKETS];
    __shared__ int offsets[BUCKETS], in_front[BUCKETS];
    int* own = histograms[threadIdx.x / LANES];
    count_assignments(s, range, own);
    for (int e = threadIdx.x; e <= s.experts; e += 32 * WARPS) {
        int total = 0, before = 0;
        for (int b = 0; b < gridDim.x; b++) {
            const int count = s.block_counts[(long long)b * (s.experts + 1) + e];
            total += count;
            if (b < blockIdx.x) before += count;
        }
        offsets[e] = total;
        in_front[e] = before;
    }
    __syncthreads();
    if (threadIdx.x < LANES) exclusive_scan(offsets, s.experts + 1);
    __syncthreads();
    if (blockIdx.x == 0) store_offsets(s, offsets);
    for (int e = threadIdx.x; e <= s.experts; e += 32 * WARPS) {
        int next = offsets[e] + in_front[e];
        for (int w = 0; w < WARPS; w++) {
            const int count = histograms[w][e];
            histograms[w][e] = next;
            next += count;
        }
    }
    __syncthreads();
    place_assignments(s, range, own);
}
