// A block's tiles, one after the other: rows of `a` and bias, whatever multiplies, epilogue.
#pragma once
#include "epilogue.cuh"
#include "sums.cuh"

// Behind what is staged, in bytes from the start of shared memory; the finished tile takes the place of that.
template <int STAGED>
struct TileLayout {
    static constexpr int TILE = BLOCK_M * TILE_PITCH * 4, ROWS_AT = STAGED > TILE ? STAGED : TILE;
    static constexpr int BIAS_AT = ROWS_AT + BLOCK_M * 8, SCHEDULE_AT = BIAS_AT + BLOCK_N * 4;
};

// Into the tile of the epilogue, from this lane's first element on.
template <int M, int N>
__device__ __forceinline__ void put_sums(const float (&sum)[M][N][4], float unit, float* results) {
#pragma unroll
    for (int m = 0; m < M; m++) {
#pragma unroll
        for (int n = 0; n < N; n++) {
#pragma unroll
            for (int i = 0; i < 4; i++) results[(n * 8 + i % 2) * TILE_PITCH + m * 16 + i / 2 * 8] = sum[m][n][i] * unit;
        }
    }
}

// `finish(tile, rows, results)` multiplies, waits until all have read the last stage, and leaves the sums in `results`. `rows` are
// addresses, null for zeros.
template <class At, class Finish>
__device__ __forceinline__ void each_tile(const GroupedGemmParams& p, char* shared, Finish finish) {
    const char** rows = (const char**)(shared + At::ROWS_AT);
    float *results = (float*)shared, *bias = (float*)(shared + At::BIAS_AT);
    Schedule<16>& schedule = *(Schedule<16>*)(shared + At::SCHEDULE_AT);
    schedule.build(p);
    const int tiles = schedule.tiles(p);
    for (int index = blockIdx.x; index < tiles; index += gridDim.x) {
        const Tile tile = schedule.tile(p, index);
        if (tile.expert < 0) {
            store_zeros(p, tile);
            continue;
        }
        for (int r = threadIdx.x; r < BLOCK_M; r += 32 * WARPS) {
            const long long row = r < tile.rows ? input_row(p, tile.row + r) : -1;
            rows[r] = row < 0 ? nullptr : address(p.a, row, 0);
        }
        load_bias(p, tile, bias);
        __syncthreads();
        finish(tile, rows, results);
        __syncthreads();
        store_tile(p, tile, results, bias);
        __syncthreads(); // before the next tile is loaded over this one
    }
}
