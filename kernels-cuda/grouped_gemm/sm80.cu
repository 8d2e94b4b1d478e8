// Tensor cores, bf16 or f16. Weights are the 16-row operand of mma.m16n8k16 and rows of `a` the 8-column one, so that a few
// rows waste little. STAGES of cp.async; MXFP4 becomes bf16 (f16) in registers without its block scales, which multiply the
// f32 sum of each block: exact for every scale.
#include "finish.cuh"
#include "fragments.cuh"
#include "tile_loop.cuh"

// Dynamic shared memory: `shared_bytes` in src/cuda/tiles.rs.
template <unsigned FORMAT>
using Layout = TileLayout<STAGES * STEPS * Step<FORMAT>::BYTES>;

// What a warp owns: 16 ROWS weight rows from `row` on by 8 COLUMNS rows of `a` from `column` on.
template <class T, unsigned FORMAT>
struct WarpTile {
    // Two warps over the rows of `a` read less shared memory, but would decode MXFP4 twice.
    static constexpr int COLUMN_WARPS = FORMAT == DENSE && BLOCK_M >= 128 ? 2 : 1, ROW_WARPS = WARPS / COLUMN_WARPS;
    static constexpr int ROWS = BLOCK_N / ROW_WARPS / 16, COLUMNS = BLOCK_M / COLUMN_WARPS / 8;
    // Halves of a step at a time: decoding both of a big tile takes too many registers.
    static constexpr int HALVES = FORMAT == DENSE || BLOCK_M <= 16 ? 2 : 1;
    static constexpr int STAGE_BYTES = STEPS * Step<FORMAT>::BYTES;
    float sum[ROWS][COLUMNS][4];

    static __device__ __forceinline__ int row() { return threadIdx.x / 32 % ROW_WARPS * ROWS * 16; }
    static __device__ __forceinline__ int column() { return threadIdx.x / 32 / ROW_WARPS * COLUMNS * 8; }

    __device__ __forceinline__ void multiply(unsigned step, int rows) {
        const E2m1Tables<T> tables;
#pragma unroll(HALVES)
        for (int h = 0; h < 2; h++) {
            Weights<ROWS> w;
            load_weights<FORMAT>(tables, step + BLOCK_M * ROW_BYTES, row(), h, w);
#pragma unroll
            for (int n = 0; n < COLUMNS; n++) {
                if (BLOCK_M <= 16 && n * 8 >= rows) break;
                const uint4 b = load_rows<FORMAT>(step, column() + n * 8, h);
#pragma unroll
                for (int m = 0; m < ROWS; m++) {
                    if constexpr (FORMAT == DENSE) {
                        mma_16816(T{}, sum[m][n], w.a[m], b.x, b.y);
                        mma_16816(T{}, sum[m][n], w.a[m] + 4, b.z, b.w);
                    } else {
                        float block[4] = {};
                        mma_16816(T{}, block, w.a[m], b.x, b.y);
                        mma_16816(T{}, block, w.a[m] + 4, b.z, b.w);
#pragma unroll
                        for (int i = 0; i < 4; i++) sum[m][n][i] += w.scale[m][i / 2] * block[i];
                    }
                }
            }
        }
    }

    __device__ __forceinline__ void run(const GroupedGemmParams& p, const Tile& tile, const char* const* tile_rows, char* shared) {
        clear(sum);
        const long long steps = (p.k + STEP_K - 1) / STEP_K;
        const int first = int(steps * tile.split / p.splits), last = int(steps * (tile.split + 1) / p.splits);
        const RowSource rows(tile_rows);
        const WeightSource<FORMAT> weights(p, tile);
        const ScaleSource<FORMAT> scales(p, tile);
        const unsigned stages = shared_address(shared), end = stages + STAGES * STAGE_BYTES;
        // One group of copies a stage, empty ones behind the last step. The scales come into `pairs`.
        const auto load = [&](int step, unsigned stage, typename ScaleSource<FORMAT>::Pair* pairs) {
#pragma unroll
            for (int s = 0; s < STEPS; s++) {
                if (step + s >= last) continue;
                rows.load(p, (step + s) * STEP_K, stage + s * Step<FORMAT>::BYTES);
                weights.load(p, (step + s) * STEP_K, stage + s * Step<FORMAT>::BYTES + BLOCK_M * ROW_BYTES);
                if (FORMAT == MXFP4) pairs[s] = scales.load((step + s) * STEP_K);
            }
            cp_async_commit();
        };
        const auto store = [&](unsigned stage, const typename ScaleSource<FORMAT>::Pair* pairs) {
#pragma unroll
            for (int s = 0; s < STEPS && FORMAT == MXFP4; s++) {
                scales.store(pairs[s], stage + s * Step<FORMAT>::BYTES + BLOCK_M * ROW_BYTES);
            }
        };
        typename ScaleSource<FORMAT>::Pair pairs[STAGES - 1][STEPS] = {};
#pragma unroll
        for (int s = 0; s < STAGES - 1; s++) load(first + s * STEPS, stages + s * STAGE_BYTES, pairs[s]);
#pragma unroll
        for (int s = 0; s < STAGES - 2; s++) store(stages + s * STAGE_BYTES, pairs[s]);
        typename ScaleSource<FORMAT>::Pair(&newest)[STEPS] = pairs[STAGES - 2];
        unsigned stage = stages, next = end - STAGE_BYTES;
#pragma unroll 1
        for (int step = first; step < last; step += STEPS) {
            store(next == stages ? end - STAGE_BYTES : next - STAGE_BYTES, newest);
            cp_async_wait<STAGES - 2>();
            __syncthreads(); // the stage is there for all warps, and all have done with the one loaded over next
            load(step + (STAGES - 1) * STEPS, next, newest);
#pragma unroll
            for (int s = 0; s < STEPS; s++) {
                if (step + s < last) multiply(stage + s * Step<FORMAT>::BYTES, tile.rows);
            }
            stage = stage + STAGE_BYTES == end ? stages : stage + STAGE_BYTES;
            next = next + STAGE_BYTES == end ? stages : next + STAGE_BYTES;
        }
        cp_async_wait<0>();
    }

    // Into the tile of the epilogue.
    __device__ __forceinline__ void put(float* results) const {
        constexpr float UNIT = FORMAT == DENSE ? 1.0f : E2M1_UNIT;
        const int lane = threadIdx.x % 32;
        results += (column() + lane % 4 * 2) * TILE_PITCH + row() + lane / 4;
        put_sums(sum, UNIT, results);
    }
};

template <class T, unsigned FORMAT>
__device__ __forceinline__ void grouped_gemm(const GroupedGemmParams& p) {
    extern __shared__ __align__(128) char shared[];
    each_tile<Layout<FORMAT>>(p, shared, [&](const Tile& tile, const char* const* rows, float* results) {
        WarpTile<T, FORMAT> warp;
        warp.run(p, tile, rows, shared);
        __syncthreads(); // all have read the last stage
        warp.put(results);
    });
}

constexpr int MIN_BLOCKS = BLOCK_M >= 128 ? 2 : BLOCK_M >= 64 ? 3 : 4;

#define KERNEL(NAME, T, FORMAT)                                                                  \
    extern "C" __global__ void __launch_bounds__(THREADS, MIN_BLOCKS)                            \
        NAME(const __grid_constant__ GroupedGemmParams p) {                                      \
        grouped_gemm<T, FORMAT>(p);                                                              \
    }

KERNEL(grouped_gemm_bf16_dense, MmaBf16, DENSE)
KERNEL(grouped_gemm_bf16_mxfp4, MmaBf16, MXFP4)
KERNEL(grouped_gemm_bf16_tiled, MmaBf16, MXFP4_TILED)
KERNEL(grouped_gemm_f16_dense, MmaF16, DENSE)
KERNEL(grouped_gemm_f16_mxfp4, MmaF16, MXFP4)
KERNEL(grouped_gemm_f16_tiled, MmaF16, MXFP4_TILED)

extern "C" __global__ void __launch_bounds__(THREADS) grouped_finish(const __grid_constant__ GroupedGemmParams p) {
    finish_rows(p);
}
