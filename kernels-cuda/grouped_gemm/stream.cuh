// A warp's stream of prepacked weights: what its run of a segment is, and a ring of stages that bulk copies fill ahead of it. The
// weights of a run are contiguous, and those of one segment after the other come through the same ring.
#pragma once
#include "ptx/mbarrier.cuh"
#include "ptx/tma.cuh"
#include "shares.cuh"

constexpr int STEPS = BLOCK_K / TILE_K, STAGE_BYTES = STEPS * TILE_BYTES; // of a stage

// Steps of the tiles of a segment side by side, from `begin` to `end`: as even as can be among the warps.
struct Run {
    unsigned begin, end;

    __device__ __forceinline__ Run(int count, int steps, int warp) {
        const unsigned all = count * steps, each = all / WARPS, more = all % WARPS;
        begin = each * warp + more * warp / WARPS, end = each * (warp + 1) + more * (warp + 1) / WARPS;
    }
};

// A run in pieces of a stage at most: a tile's stages begin at multiples of STEPS, so that only the first and the last
// piece of a run and the last of a tile are shorter.
struct Pieces {
    int left, step; // of the run; of the tile
    int room;       // of the stage

    __device__ __forceinline__ void set(const Run& run, int first_step) {
        left = run.end - run.begin, step = first_step, room = STEPS - first_step % STEPS;
    }

    __device__ __forceinline__ int length(int steps) const { return min(min(room, left), steps - step); }

    // Was it the last of its tile?
    __device__ __forceinline__ bool next(int length, int steps) {
        left -= length, step += length, room = STEPS;
        if (step < steps) return false;
        step = 0;
        return true;
    }
};

struct Stream {
    unsigned stages, barriers; // this warp's
    int steps;                 // of a tile
    Place* at;                 // behind the segment that is being asked for, in shared memory: one a warp
    const char* from;
    Pieces pieces;
    Ring<STAGES> ahead, now; // what is asked for next, what is read next

    // Asks for one more stage. Was there one?
    __device__ __forceinline__ bool load(const GroupedGemmParams& p, const Shares& shares) {
        if (pieces.left == 0 && !find(p, shares)) return false;
        const int length = pieces.length(steps), bytes = length * TILE_BYTES;
        if (threadIdx.x % 32 == 0) {
            barrier_expect(barriers + ahead.stage * 8, bytes);
            bulk_load(stages + ahead.stage * STAGE_BYTES, from, bytes, barriers + ahead.stage * 8);
        }
        from += bytes;
        pieces.next(length, steps);
        ahead.next();
        return true;
    }

    // The stage that is read next, once it is there.
    __device__ __forceinline__ unsigned wait() const {
        barrier_wait(barriers + now.stage * 8, now.parity);
        return stages + now.stage * STAGE_BYTES;
    }

  private:
    __device__ __forceinline__ bool find(const GroupedGemmParams& p, const Shares& shares) {
        Place place = *at;
        __syncwarp(); // all have read it
        while (true) {
            const Segment segment = shares.next(p, place);
            if (segment.count == 0) break;
            const Run run(segment.count, steps, threadIdx.x / 32);
            if (run.begin == run.end) continue;
            pieces.set(run, run.begin % steps);
            from = (const char*)p.w.base + segment.expert * p.w_expert_bytes +
                   ((long long)segment.first * steps + run.begin) * TILE_BYTES;
            break;
        }
        *at = place;
        __syncwarp();
        return pieces.left > 0;
    }
};
