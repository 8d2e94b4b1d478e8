// Tiles of an expert's rows, balanced in units of GRANULE (which whoever includes this defines: rows that are multiplied
// whether they are there or not), by BLOCK_N weight rows: worked out by every block for itself from the
// offsets on the device. Tiles of one block of weights and all rows of its expert follow each other.
#pragma once
#include "offsets.cuh"
#include "params.cuh"

constexpr int MAX_EXPERTS = 512;
constexpr int LEAST_HEIGHT = 4; // granules: smaller tiles take as long

struct TokenTile {
    int expert; // local
    int row, rows, granules, col;
};

// In shared memory.
struct TokenTiles {
    int row_begin[MAX_EXPERTS + 1];
    int tile_begin[MAX_EXPERTS + 1];

    static constexpr int MOST = BLOCK_M / GRANULE; // granules of a tile

    // By the whole block; synchronises. All offsets are asked for at once: memory's latency is most of this.
    __device__ __forceinline__ void build(const GroupedGemmParams& p) {
        for (int i = threadIdx.x; i <= p.experts; i += 32 * WARPS) {
            tile_begin[i] = p.offsets ? p.offsets[i] : i == 0 ? 0 : p.rows;
        }
        __syncthreads();
        if (threadIdx.x < 32) {
            if (p.offsets && blockIdx.x == 0) check_offsets(tile_begin, p.experts + 1, p.rows, p.status);
            read_offsets(tile_begin, p.experts, p.rows, row_begin);
            __syncwarp();
            count_tiles(p);
        }
        __syncthreads();
    }

    __device__ __forceinline__ TokenTile tile(const GroupedGemmParams& p, int e, int index) const {
        const int first = row_begin[e], rows = row_begin[e + 1] - first, granules = (rows + GRANULE - 1) / GRANULE;
        const int blocks = (tile_begin[e + 1] - tile_begin[e]) / columns(p), within = index - tile_begin[e];
        const int column = within / blocks, block = within - column * blocks;
        const int each = granules / blocks, more = granules - each * blocks;
        const int begin = block * each + min(block, more), own = each + (block < more);
        return {e - p.local_first, first + begin * GRANULE, min(own * GRANULE, rows - begin * GRANULE), own,
                column * BLOCK_N};
    }

  private:
    static __device__ __forceinline__ int columns(const GroupedGemmParams& p) { return (p.n + BLOCK_N - 1) / BLOCK_N; }

    __device__ __forceinline__ int granules(const GroupedGemmParams& p, int e) const {
        const int local = e - p.local_first;
        return local >= 0 && local < p.local_count ? (row_begin[e + 1] - row_begin[e] + GRANULE - 1) / GRANULE : 0;
    }

    // Granules that a tile may have: fewer than it could where multiprocessors had nothing to do. A lane works out what a height
    // costs.
    __device__ __forceinline__ int height(const GroupedGemmParams& p) const {
        if constexpr (MOST == 1) return 1;
        const int lane = threadIdx.x % 32, most = max(MOST - lane, 1), units = gridDim.x;
        int blocks = 0;
        for (int e = lane; e < p.experts; e += 32) blocks += (granules(p, e) + MOST - 1) / MOST;
        blocks = __reduce_add_sync(ALL_LANES, blocks);
        if (blocks * columns(p) > 2 * units) return MOST; // little to gain
        blocks = 0;
        for (int e = 0; e < p.experts; e++) blocks += (granules(p, e) + most - 1) / most;
        const int rounds = (blocks * columns(p) + units - 1) / units, cost = rounds * (max(most, LEAST_HEIGHT) + 1);
        return MOST - __reduce_min_sync(ALL_LANES, cost * 32 + lane) % 32;
    }

    __device__ __forceinline__ void count_tiles(const GroupedGemmParams& p) {
        const int most = height(p);
        begins(p.experts, tile_begin, [&](int i) { return (granules(p, i) + most - 1) / most * columns(p); });
    }
};

// The tiles of this block, one after the other. All but two registers are worked out again where they are needed.
struct Walk {
    int index, expert = 0;

    __device__ __forceinline__ Walk() : index(blockIdx.x) {}

    // Moves to the expert of the tile; false behind the last one.
    __device__ __forceinline__ bool seek(const GroupedGemmParams& p, const TokenTiles& tiles) {
        if (index >= tiles.tile_begin[p.experts]) return false;
        while (index >= tiles.tile_begin[expert + 1]) expert++;
        return true;
    }

    __device__ __forceinline__ TokenTile tile(const GroupedGemmParams& p, const TokenTiles& tiles) const {
        return tiles.tile(p, expert, index);
    }

    __device__ __forceinline__ void next() { index += gridDim.x; }
};
