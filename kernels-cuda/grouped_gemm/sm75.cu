// Tensor cores of any type of 16 bits, as f16: mma.m16n8k8. bf16 is rebased block by block of 32, exactly (rebase.cuh); steps
// whose blocks do not fit are added in f32. Weights are the 16-row operand, rows of `a` the 8-column one.
#include "finish.cuh"
#include "ptx/mma_f16.cuh"
#include "stage_sm75.cuh"
#include "tile_loop.cuh"

// Dynamic shared memory: `Rebased` in src/cuda/grouped_gemm/rebased.rs.
using Layout = TileLayout<2 * STAGE_BYTES>;

// What a warp owns: 16 ROWS weight rows from `row` on by 8 COLUMNS rows of `a` from `column` on.
struct WarpTile {
    static constexpr int ROW_WARPS = BLOCK_M <= 16 ? WARPS : 2, COLUMN_WARPS = WARPS / ROW_WARPS;
    static constexpr int ROWS = BLOCK_N / ROW_WARPS / 16, COLUMNS = BLOCK_M / COLUMN_WARPS / 8;
    float sum[ROWS * COLUMNS * 4];

    static __device__ __forceinline__ int row() { return threadIdx.x / 32 % ROW_WARPS * ROWS * 16; }
    static __device__ __forceinline__ int column() { return threadIdx.x / 32 / ROW_WARPS * COLUMNS * 8; }

    __device__ __forceinline__ void multiply(unsigned stage, int rows) {
        const int lane = threadIdx.x % 32, g = lane / 4;
#pragma unroll
        for (int h = 0; h < 2; h++) {
            uint4 w[ROWS][2];
            float w_scale[ROWS][2];
#pragma unroll
            for (int m = 0; m < ROWS; m++) {
                const int first = BLOCK_M + row() + 16 * m;
#pragma unroll
                for (int i = 0; i < 2; i++) {
                    w[m][i] = load_matrices(row_at(stage, first + lane % 16, 4 * h + 2 * i + lane / 16));
                    w_scale[m][i] = __uint_as_float(load_shared_32(scale_at(stage, first + g + 8 * i, h)));
                }
            }
#pragma unroll
            for (int n = 0; n < COLUMNS; n++) {
                if (BLOCK_M <= 16 && n * 8 >= rows) break;
                const int first = column() + 8 * n;
                const uint4 b = load_matrices(row_at(stage, first + lane % 8, 4 * h + lane / 8));
                const uint2 scales = load_shared_64(scale_at(stage, first + lane % 4 * 2, h));
                const float a_scale[2] = {__uint_as_float(scales.x), __uint_as_float(scales.y)};
#pragma unroll
                for (int m = 0; m < ROWS; m++) {
                    float block[4] = {};
                    mma_1688(block, w[m][0].x, w[m][0].y, b.x);
                    mma_1688(block, w[m][0].z, w[m][0].w, b.y);
                    mma_1688(block, w[m][1].x, w[m][1].y, b.z);
                    mma_1688(block, w[m][1].z, w[m][1].w, b.w);
#pragma unroll
                    for (int i = 0; i < 4; i++) {
                        sum[(m * COLUMNS + n) * 4 + i] += w_scale[m][i / 2] * (block[i] * a_scale[i % 2]);
                    }
                }
            }
        }
    }

    // The same of elements k .. k + STEP_K, from where they are stored: slow and rare. The sums go round, one at a time.
    __device__ __forceinline__ void add_in_f32(const GroupedGemmParams& p, const Tile& tile, const char* const* rows,
                                               int k) {
        const int lane = threadIdx.x % 32, end = min(p.k, k + STEP_K);
#pragma unroll 1
        for (int index = 0; index < ROWS * COLUMNS * 4; index++) {
            const int m = index / (4 * COLUMNS), n = index / 4 % COLUMNS, i = index % 4;
            const int c = tile.col + row() + 16 * m + lane / 4 + i / 2 * 8;
            Rows a = p.a;
            a.base = (void*)rows[column() + 8 * n + lane % 4 * 2 + i % 2];
            float next = sum[0];
            for (int at = k; at < end && a.base && c < p.n; at += 32) {
                float block = 0.0f;
#pragma unroll 1
                for (int j = at; j < min(end, at + 32); j += 8) {
                    float x[8], y[8];
                    load8(a, 0, j, p.k - j, x);
                    load_weights(p, tile.expert, weight_row(p, c), j, y);
#pragma unroll
                    for (int e = 0; e < 8; e++) block += x[e] * y[e];
                }
                next += load_scale(p, tile.expert, weight_row(p, c), at) * block;
            }
#pragma unroll
            for (int j = 0; j + 1 < ROWS * COLUMNS * 4; j++) sum[j] = sum[j + 1];
            sum[ROWS * COLUMNS * 4 - 1] = next;
        }
    }

    template <unsigned FORMAT>
    __device__ __forceinline__ void run(const GroupedGemmParams& p, const Tile& tile, const char* const* rows, char* shared) {
#pragma unroll
        for (float& s : sum) s = 0.0f;
        const long long steps = (p.k + STEP_K - 1) / STEP_K;
        const int first = int(steps * tile.split / p.splits), last = int(steps * (tile.split + 1) / p.splits);
        unsigned stage = shared_address(shared), other = stage + STAGE_BYTES;
        Staged<FORMAT> next;
        if (first < last) next.load(p, tile, rows, first * STEP_K);
        bool fits = __syncthreads_and(first < last ? next.store(p, stage) : true);
#pragma unroll 1
        for (int step = first; step < last; step++) {
            const bool more = step + 1 < last;
            if (more) next.load(p, tile, rows, (step + 1) * STEP_K);
            if (fits) multiply(stage, tile.rows);
            else add_in_f32(p, tile, rows, step * STEP_K);
            fits = __syncthreads_and(more ? next.store(p, other) : true);
            const unsigned now = stage;
            stage = other, other = now;
        }
    }

    // Into the tile of the epilogue.
    template <unsigned FORMAT>
    __device__ __forceinline__ void put(float* results) const {
        constexpr float UNIT = FORMAT == DENSE ? 1.0f : E2M1_UNIT;
        const int lane = threadIdx.x % 32;
        results += (column() + lane % 4 * 2) * TILE_PITCH + row() + lane / 4;
#pragma unroll
        for (int index = 0; index < ROWS * COLUMNS * 4; index++) {
            const int m = index / (4 * COLUMNS), n = index / 4 % COLUMNS, i = index % 4;
            results[(n * 8 + i % 2) * TILE_PITCH + m * 16 + i / 2 * 8] = sum[index] * UNIT;
        }
    }
};

template <unsigned FORMAT>
__device__ __forceinline__ void grouped_gemm(const GroupedGemmParams& p) {
    extern __shared__ __align__(128) char shared[];
    each_tile<Layout>(p, shared, [&](const Tile& tile, const char* const* rows, float* results) {
        WarpTile warp;
        warp.run<FORMAT>(p, tile, rows, shared); // ends in a barrier: all have read the last stage
        warp.put<FORMAT>(results);
    });
}

constexpr int MIN_BLOCKS = BLOCK_M <= 16 ? 4 : 256 / THREADS;

#define KERNEL(NAME, FORMAT)                                                                                     \
    extern "C" __global__ void __launch_bounds__(THREADS, MIN_BLOCKS)                                                \
        NAME(const __grid_constant__ GroupedGemmParams p) {                                                      \
        grouped_gemm<FORMAT>(p);                                                                                 \
    }

KERNEL(grouped_gemm_dense, DENSE)
KERNEL(grouped_gemm_mxfp4, MXFP4)
KERNEL(grouped_gemm_gguf, MXFP4_GGUF)
KERNEL(grouped_gemm_tiled, MXFP4_TILED)

extern "C" __global__ void __launch_bounds__(THREADS) grouped_finish(const __grid_constant__ GroupedGemmParams p) {
    finish_rows(p);
}
