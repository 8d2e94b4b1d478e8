// The stable counting sort of assignments by expert. Each warp owns consecutive assignments, counts them into its own
// histogram, learns how many of each expert stand in front of its own, and places them in order: the same result every
// time. Ids outside the experts go to a bucket behind the last.
#pragma once
#include "faults.cuh"
#include "route.cuh"

constexpr int THREADS = 32 * WARPS, BUCKETS = MAX_EXPERTS + 1;
constexpr int OWN_BUCKETS = (BUCKETS + THREADS - 1) / THREADS; // neighbouring ones of a thread

// Mirrors `Sort` in src/backend/params/moe.rs.
struct Sort {
    const int* topk_idx;
    int* expert_count;
    int* expert_offset;
    int* sorted_assignment;
    int* assignment_to_row;
    unsigned* status;
    int* block_counts; // scratch [experts + 1, blocks], of the two-launch form
    int assignments, experts;
};
static_assert(sizeof(Sort) == 64, "mirrored in Rust");

// [WARPS, experts + 1], dynamic shared memory.
extern __shared__ int histograms[];

__device__ __forceinline__ int* histogram_of(const Sort& s, int warp) { return histograms + warp * (s.experts + 1); }

__device__ __forceinline__ int bucket_of(const Sort& s, int id) {
    return unsigned(id) < unsigned(s.experts) ? id : s.experts;
}

// Bucket of one of 32 assignments a lane; -1 past the last.
__device__ __forceinline__ int load_bucket(const Sort& s, int at, int last) {
    const int a = at + threadIdx.x % LANES;
    return a < last ? bucket_of(s, s.topk_idx[a]) : -1;
}

__device__ __forceinline__ void clear_histogram(const Sort& s, int* histogram) {
#pragma unroll 1
    for (int e = threadIdx.x % LANES; e <= s.experts; e += LANES) histogram[e] = 0;
    __syncwarp();
}

// Sums of integers: their order does not matter.
__device__ __forceinline__ void count_assignments(const Sort& s, Range range, int* histogram) {
    for (int at = range.first; at < range.last; at += LANES) {
        const int bucket = load_bucket(s, at, range.last);
        if (bucket >= 0) atomicAdd(&histogram[bucket], 1);
    }
}

// What a thread knows of its buckets.
struct Own {
    int total[OWN_BUCKETS];    // of the whole grid
    int in_front[OWN_BUCKETS]; // in blocks before this one
};

__device__ __forceinline__ int own_bucket(int i) { return threadIdx.x * OWN_BUCKETS + i; }

// Turns the warps' counts of a bucket into how many stand in front of each warp's; gives the block's count.
__device__ __forceinline__ int scan_warps(const Sort& s, int bucket) {
    int counts[WARPS];
#pragma unroll
    for (int w = 0; w < WARPS; w++) counts[w] = histogram_of(s, w)[bucket];
    int sum = 0;
#pragma unroll
    for (int w = 0; w < WARPS; w++) {
        histogram_of(s, w)[bucket] = sum;
        sum += counts[w];
    }
    return sum;
}

// Where each bucket of this block starts, into `start`; by the block that `stores`, offsets, counts and the fault.
__device__ __forceinline__ void scan_buckets(const Sort& s, const Own& own, int* start, bool stores) {
    __shared__ int warp_totals[WARPS];
    const int lane = threadIdx.x % LANES, warp = threadIdx.x / LANES;
    int thread_total = 0;
#pragma unroll
    for (int i = 0; i < OWN_BUCKETS; i++) thread_total += own.total[i];
    int offset = running_sum(thread_total);
    if (lane == LANES - 1) warp_totals[warp] = offset;
    __syncthreads();
    offset -= thread_total;
    for (int w = 0; w < warp; w++) offset += warp_totals[w];
#pragma unroll
    for (int i = 0; i < OWN_BUCKETS; i++) {
        const int e = own_bucket(i);
        if (e <= s.experts) {
            start[e] = offset + own.in_front[i];
            if (stores) s.expert_offset[e] = offset;
            if (stores && e < s.experts) s.expert_count[e] = own.total[i];
            if (stores && e == s.experts && own.total[i] > 0) report(s.status, FAULT_EXPERT_ID);
        }
        offset += own.total[i];
    }
    __syncthreads();
}

// `first` holds the buckets of the range's first 32 assignments, loaded early. `next` counts from each bucket's `start`.
__device__ __forceinline__ void place_assignments(const Sort& s, Range range, int first, const int* start, int* next) {
    const unsigned below = (1u << threadIdx.x % LANES) - 1;
    for (int at = range.first; at < range.last; at += LANES) {
        const int bucket = at == range.first ? first : load_bucket(s, at, range.last);
        const unsigned peers = __match_any_sync(ALL_LANES, bucket);
        const int in_front = __popc(peers & below);
        const int row = bucket >= 0 ? start[bucket] + next[bucket] + in_front : 0;
        __syncwarp(); // all peers have read before the first of them writes
        if (bucket >= 0 && in_front == 0) next[bucket] += __popc(peers);
        if (bucket >= 0) {
            s.sorted_assignment[row] = at + threadIdx.x % LANES;
            s.assignment_to_row[at + threadIdx.x % LANES] = row;
        }
        __syncwarp();
    }
}
