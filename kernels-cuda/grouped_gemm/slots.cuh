// The slots of a call of few rows: up to BLOCK_M rows of an expert each, in the order of the experts. Worked out by every block for
// itself from the offsets on the device.
#pragma once
#include "offsets.cuh"
#include "params.cuh"

constexpr int MAX_EXPERTS = 512, MAX_ROWS = 64;

struct Slot {
    int expert; // local
    int row, rows;
};

__device__ __forceinline__ int row_tiles(const GroupedGemmParams& p) { return (p.n + TILE_ROWS - 1) / TILE_ROWS; }

// A block's tiles: of the tiles first .. first + width of all slots side by side, those from `begin` to `end`. Where rows are
// combined a cluster of two blocks has all slots of some tiles, so that it can add them up; else a block has all tiles of some slots.
struct Work {
    int first, width, begin, end;
    int slot, tile; // in front of which it begins; tiles count from `first`

    __device__ __forceinline__ void set(const GroupedGemmParams& p, int slots) {
        const unsigned tiles = row_tiles(p), block = blockIdx.x, blocks = gridDim.x;
        if (p.top_k) {
            const unsigned cluster = block / 2, rank = block % 2;
            first = tiles * cluster / (blocks / 2), width = tiles * (cluster + 1) / (blocks / 2) - first;
            begin = slots * width * rank / 2, end = slots * width * (rank + 1) / 2;
        } else {
            const unsigned all = slots * tiles, each = all / blocks, more = all - each * blocks;
            first = 0, width = tiles;
            begin = each * block + min(more, block), end = begin + each + (block < more);
        }
        slot = width ? unsigned(begin) / unsigned(width) : 0, tile = begin - slot * width;
    }
};

// In shared memory.
struct Slots {
    int raw[MAX_EXPERTS + 1]; // offsets as they were read
    int row_begin[MAX_EXPERTS + 1];
    Slot all[MAX_ROWS]; // each has a row at least
    int count;
    Work work;

    // By the whole block; synchronises. All offsets are asked for at once: memory's latency is most of this.
    __device__ __forceinline__ void build(const GroupedGemmParams& p) {
#pragma unroll 1
        for (int i = threadIdx.x; i <= p.experts; i += 32 * WARPS) raw[i] = offset(p, i);
        __syncthreads();
        if (threadIdx.x < 32) {
            read_offsets(raw, p.experts, p.rows, row_begin);
            __syncwarp();
            fill(p);
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

  private:
    // Past the L1 cache, which does not see what other kernels write meanwhile.
    static __device__ __forceinline__ int offset(const GroupedGemmParams& p, int i) {
        return p.offsets ? __ldcg(p.offsets + i) : i == 0 ? 0 : p.rows;
    }

    __device__ __forceinline__ void fill(const GroupedGemmParams& p) {
        int before = 0;
#pragma unroll 1
        for (int at = 0; at < p.experts; at += 32) {
            const int e = at + threadIdx.x % 32, local = e - p.local_first;
            const bool mine = e < p.experts && local >= 0 && local < p.local_count;
            const int begin = mine ? row_begin[e] : 0, rows = mine ? row_begin[e + 1] - begin : 0;
            const int own = (rows + BLOCK_M - 1) / BLOCK_M, sum = running_sum(own);
#pragma unroll 1
            for (int j = 0; j < own; j++) {
                all[before + sum - own + j] = {local, begin + j * BLOCK_M, min(BLOCK_M, rows - j * BLOCK_M)};
            }
            before += __shfl_sync(ALL_LANES, sum, 31);
        }
        if (threadIdx.x % 32 == 0) count = before, work.set(p, before);
    }
};

// In front of a tile of a block's work.
struct Cursor {
    int at, slot, tile; // `tile` counts from Work::first

    __device__ __forceinline__ void set(const Work& work) { at = work.begin, slot = work.slot, tile = work.tile; }

    // Does another slot begin? There may be none.
    __device__ __forceinline__ bool next(const Work& work) {
        at++;
        if (++tile < work.width) return false;
        tile = 0, slot++;
        return true;
    }
};
