// Which tiles there are, from the offsets on the device: every block works the list out for itself and takes tiles
// blockIdx.x, + gridDim.x, ...
#pragma once
#include "offsets.cuh"
#include "params.cuh"

constexpr int MAX_EXPERTS = 512;

// BLOCK_M rows of one expert by BLOCK_N weight rows, one part of K.
struct Tile {
    int expert; // local; -1: weights are elsewhere, the rows are zero
    int row, rows, col, split;
};

// In shared memory. ROW_GROUP row tiles are walked together for every column tile, so that both operands of neighbours are
// still in L2.
template <int ROW_GROUP>
struct Schedule {
    int row_begin[MAX_EXPERTS + 1];
    int tile_begin[MAX_EXPERTS + 1]; // in row tiles

    // By the whole block; synchronises.
    __device__ __forceinline__ void build(const GroupedGemmParams& p) {
        if (threadIdx.x < 32) {
            if (p.offsets && blockIdx.x == 0) check_offsets(p.offsets, p.experts + 1, p.rows, p.status);
            read_offsets(p.offsets, p.experts, p.rows, row_begin);
            __syncwarp();
            count_tiles(p);
        }
        __syncthreads();
    }

    // There are fewer than 2^31: results of that many tiles do not fit any memory.
    __device__ __forceinline__ int tiles(const GroupedGemmParams& p) const {
        return tile_begin[p.experts] * column_tiles(p) * p.splits;
    }

    __device__ __forceinline__ Tile tile(const GroupedGemmParams& p, int index) const {
        const int columns = column_tiles(p);
        int split = 0;
        if (p.splits > 1) split = index % p.splits, index /= p.splits;
        const int row_tile = index / columns;
        int e = 0; // the last expert that starts at or before it
        for (int step = MAX_EXPERTS; step > 0; step /= 2) {
            if (e + step < p.experts && tile_begin[e + step] <= row_tile) e += step;
        }
        const int own = tile_begin[e + 1] - tile_begin[e], within = index - tile_begin[e] * columns;
        const int group = own <= ROW_GROUP ? 0 : within / (ROW_GROUP * columns);
        const int rest = within - group * ROW_GROUP * columns;
        const int height = min(ROW_GROUP, own - group * ROW_GROUP), col = ROW_GROUP == 1 ? rest : rest / height;
        const int row = row_begin[e] + (group * ROW_GROUP + rest - col * height) * BLOCK_M;
        const int local = e - p.local_first;
        return {local >= 0 && local < p.local_count ? local : -1, row, min(BLOCK_M, row_begin[e + 1] - row), col * BLOCK_N,
                split};
    }

  private:
    static __device__ __forceinline__ int column_tiles(const GroupedGemmParams& p) {
        return (p.n + BLOCK_N - 1) / BLOCK_N;
    }

    // Rows of experts that are not here are zeroed by tiles of their own, unless the second launch leaves them out.
    __device__ __forceinline__ void count_tiles(const GroupedGemmParams& p) {
        const bool zeros = p.top_k == 0 && p.splits == 1;
        begins(p.experts, tile_begin, [&](int i) {
            const int local = i - p.local_first;
            const bool mine = zeros || (local >= 0 && local < p.local_count);
            return mine ? (row_begin[i + 1] - row_begin[i] + BLOCK_M - 1) / BLOCK_M : 0;
        });
    }
};
