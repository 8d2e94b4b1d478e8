// Many rows an expert and prepacked MXFP4, tensor cores: bound by multiplying. Rows of `a` pass through a ring in shared
// memory that all warps read. A warp's weights are nobody else's: they come from global memory straight into its registers, a
// step ahead, and are decoded once for all rows of the tile, block scales included.
constexpr int MATRICES = BLOCK_N / WARPS / 16; // weight rows of an mma
static_assert(MATRICES <= 2, "at most one of them is behind the last row");
#include "finish.cuh"
#include "stage_rows.cuh"
#include "tile_loop.cuh"
#include "tile_steps.cuh"

constexpr int COLUMNS = BLOCK_M / 8; // of eight rows of `a`
constexpr int MIN_BLOCKS = BLOCK_M >= 128 ? 2 : BLOCK_M >= 64 ? 3 : 4;

// Dynamic shared memory: `shared_bytes` in src/cuda/tiles.rs.
constexpr int STAGE = BLOCK_M * ROW_BYTES;
using Layout = TileLayout<STAGES * STAGE>;

struct WarpTile {
    float sum[MATRICES][COLUMNS][4];

    static __device__ __forceinline__ int row() { return threadIdx.x / 32 * MATRICES * 16; }

    // Of eight rows from 8 n on what a lane multiplies in the two mma of a half.
    static __device__ __forceinline__ uint4 load_rows(unsigned stage, int n, int h) {
        const int lane = threadIdx.x % 32;
        return load_matrices(stage + (n * 8 + lane % 8) * ROW_BYTES + swizzled(lane % 8, 4 * h + lane / 8) * 16);
    }

    // With all rows of the tile or, sixteen at a time, those that it has.
    template <bool FULL, bool LARGE>
    __device__ __forceinline__ void multiply(unsigned stage, const TileStep (&weights)[MATRICES], int rows) {
#pragma unroll
        for (int h = 0; h < 2; h++) {
            Fragments w[MATRICES];
#pragma unroll
            for (int m = 0; m < MATRICES; m++) weights[m].fragments<LARGE>(h, w[m]);
            uint4 ahead[2] = {load_rows(stage, 0, h), load_rows(stage, 1, h)};
#pragma unroll
            for (int n = 0; n < COLUMNS; n += 2) {
                if (!FULL && n * 8 >= rows) break;
                const uint4 b[2] = {ahead[0], ahead[1]};
                if (n + 2 < COLUMNS) ahead[0] = load_rows(stage, n + 2, h), ahead[1] = load_rows(stage, n + 3, h);
#pragma unroll
                for (int i = 0; i < 2; i++) {
#pragma unroll
                    for (int m = 0; m < MATRICES; m++) mma_16816(MmaBf16{}, sum[m][n + i], w[m].a[0], b[i].x, b[i].y);
                }
#pragma unroll
                for (int i = 0; i < 2; i++) {
#pragma unroll
                    for (int m = 0; m < MATRICES; m++) mma_16816(MmaBf16{}, sum[m][n + i], w[m].a[1], b[i].z, b[i].w);
                }
            }
        }
    }

    template <bool FULL>
    __device__ __forceinline__ void run(const GroupedGemmParams& p, const Tile& tile, const char* const* tile_rows, char* shared) {
        clear(sum);
        const int steps = (p.k + STEP_K - 1) / STEP_K;
        const RowSource rows(tile_rows);
        TileSource source;
        source.set(p, tile.expert, tile.col + row());
        const bool mine = tile.col + row() < p.n;
        const unsigned ring = shared_address(shared);
        const auto load = [&](int step, int at) {
            if (step < steps) rows.load(p, step * STEP_K, ring + at * STAGE);
            cp_async_commit();
        };
        TileStep current[MATRICES], next[MATRICES];
        source.load(p, 0, next);
#pragma unroll
        for (int s = 0; s < STAGES - 1; s++) load(s, s);
        int at = 0;
#pragma unroll 1
        for (int step = 0; step < steps; step++) {
#pragma unroll
            for (int m = 0; m < MATRICES; m++) current[m] = next[m];
            source.advance(1);
            if (step + 1 < steps) source.load(p, 0, next);
            cp_async_wait<STAGES - 2>();
            __syncthreads(); // the stage is there for all warps, and all have done with the one loaded over next
            load(step + STAGES - 1, at == 0 ? STAGES - 1 : at - 1);
            if (mine && large(current)) multiply<FULL, true>(ring + at * STAGE, current, tile.rows);
            else if (mine) multiply<FULL, false>(ring + at * STAGE, current, tile.rows);
            at = at + 1 == STAGES ? 0 : at + 1;
        }
        cp_async_wait<0>();
    }

    // Into the tile of the epilogue.
    __device__ __forceinline__ void put(float* results) const {
        const int lane = threadIdx.x % 32;
        results += lane % 4 * 2 * TILE_PITCH + row() + lane / 4;
        put_sums(sum, E2M1_SCALED_UNIT, results);
    }
};

extern "C" __global__ void __launch_bounds__(32 * WARPS, MIN_BLOCKS)
    prefill_bf16_tiled(const __grid_constant__ GroupedGemmParams p) {
    extern __shared__ __align__(128) char shared[];
    each_tile<Layout>(p, shared, [&](const Tile& tile, const char* const* rows, float* results) {
        WarpTile warp;
        if (tile.rows > BLOCK_M - 16) warp.run<true>(p, tile, rows, shared);
        else warp.run<false>(p, tile, rows, shared);
        __syncthreads(); // all have read the last stage
        warp.put(results);
    });
}

extern "C" __global__ void __launch_bounds__(32 * WARPS) grouped_finish(const __grid_constant__ GroupedGemmParams p) {
    finish_rows(p);
}
