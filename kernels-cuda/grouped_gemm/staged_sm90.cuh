// A warpgroup's sums, 64 weight rows by N rows of `a`, to memory by the copy engine: unit, bias and gate in registers, then part after part
// turned into shared memory, from where rows of 64 or 128 bytes leave while the next tile is multiplied. A row's own 16 columns,
// which a warp could store itself, are 32 bytes of it or 16: stores of many lines, which the tensor cores wait for.
#pragma once
#include "epilogue_sm90.cuh"
#include "ptx/proxy.cuh"
#include "ptx/store_matrices.cuh"
#include "ptx/tma.cuh"
#include "ptx/warpgroup.cuh"

constexpr int PART_BYTES = BLOCK_M * 32; // of a warpgroup

// Where parts of a warpgroup lie, BUFFERS of them used in turn.
template <int BUFFERS>
struct Parts {
    const TensorMap* map;
    unsigned shared, next = 0;

    __device__ __forceinline__ Parts(const TensorMap* map, unsigned shared) : map(map), shared(shared) {}

    // One thread of the warpgroup has the copy engine's groups.
    static __device__ __forceinline__ bool leads() { return threadIdx.x % 128 == 0; }
    static __device__ __forceinline__ void together() { sync_threads(threadIdx.x / 128, 128); }

    // A part that may be written.
    __device__ __forceinline__ unsigned take() {
        if (leads()) wait_stores<BUFFERS - 1>();
        together();
        return shared + next * PART_BYTES;
    }

    // It is written: `rows` of its `height` rows, the last of which is in front of row `end` of the result, leave in `panels` of
    // `columns` columns. The map counts rows twice, up to `height` from a row of the result on: what lies past it is cut off.
    __device__ __forceinline__ void leave(int rows, int height, int end, int col, int width, int columns, int panels) {
        fence_for_async();
        together();
        if (leads()) {
            const unsigned from = shared + next * PART_BYTES;
            for (int i = 0; i < panels && rows > 0; i++, col += columns) {
                if (col < width) tma_store(map, col, height - rows, end, from + i * (PART_BYTES / 2));
            }
            commit_stores();
        }
        __syncwarp(); // wgmma may be next
        next = next + 1 == BUFFERS ? 0 : next + 1;
    }
};

// Sums counted in `unit` to results in place; of a pair of gate and up the first half of `d`: of every 8 rows of `a` two results, of
// column g / 2 where g is even, else 4 + g / 2 of the warp's eight.
template <int N, bool GATED>
__device__ __forceinline__ void finish_sums(const GroupedGemmParams& p, float* d, float unit, const Bias& bias) {
    const bool gate = threadIdx.x % 32 / 4 % 2 == 0;
#pragma unroll
    for (int j = 0; j < N / 2; j += 4) {
        const float y[4] = {d[j] * unit + bias.low, d[j + 1] * unit + bias.low, d[j + 2] * unit + bias.high, d[j + 3] * unit + bias.high};
#pragma unroll
        for (int i = 0; i < 2; i++) {
            if constexpr (GATED) {
                const float other = __shfl_xor_sync(ALL_LANES, gate ? y[2 + i] : y[i], 4);
                d[j / 2 + i] = fast_swiglu(p.unit, gate ? y[i] : other, gate ? other : y[2 + i]);
            } else {
                d[j + i] = y[i], d[j + 2 + i] = y[2 + i];
            }
        }
    }
}

// 16-bit results, `at` a row of `a`: rows of 128 bytes, gated of 64, their chunks of 16 bytes exchanged as the map says.
template <class T, int N, bool GATED, int BUFFERS>
__device__ __forceinline__ void stage_halves(Parts<BUFFERS>& parts, const TokenTile& tile, int col, int width, const float* d) {
    constexpr int HEIGHT = GATED ? BLOCK_M / 2 : BLOCK_M / 4;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32 % 4, g = lane / 4;
    const int row = GATED ? lane : lane / 16 * 8 + lane % 8;
    const int chunk = GATED ? warp ^ row / 2 % 4 : (warp * 2 + lane / 8 % 2) ^ row % 8;
    const unsigned own = row * (GATED ? 64 : 128) + chunk * 16;
    const int sorted = (g < 4 ? 2 * g : 2 * g - 7) * 4 + lane % 4; // who has column g
#pragma unroll
    for (int at = 0; at < N; at += HEIGHT) {
        const unsigned to = parts.take() + own;
#pragma unroll
        for (int j = at; j < at + HEIGHT && j < N; j += GATED ? 32 : 16) {
            if constexpr (GATED) {
                unsigned w[4];
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    if (j + 8 * i < N) w[i] = __shfl_sync(ALL_LANES, pair(T{}, d[j / 4 + 2 * i], d[j / 4 + 2 * i + 1]), sorted);
                }
                if (j + 16 < N) store_turned_4(to + (j - at) * 64, w[0], w[1], w[2], w[3]);
                else store_turned_2(to + (j - at) * 64, w[0], w[1]);
            } else {
                const float* s = d + j / 2;
                store_turned_4(to + (j - at) * 128, pair(T{}, s[0], s[1]), pair(T{}, s[2], s[3]), pair(T{}, s[4], s[5]),
                               pair(T{}, s[6], s[7]));
            }
        }
        const int rows = min(tile.rows - at, HEIGHT);
        parts.leave(rows, HEIGHT, tile.row + at + rows, col, width, 64, 1);
    }
}

// Results in f32: rows of 128 bytes are 32 columns, so a part has two panels where it is not gated.
template <int N, bool GATED, int BUFFERS>
__device__ __forceinline__ void stage_floats(Parts<BUFFERS>& parts, const TokenTile& tile, int col, int width, const float* d) {
    constexpr int HEIGHT = GATED ? BLOCK_M / 4 : BLOCK_M / 8, COLUMNS = GATED ? 1 : 2; // of a thread
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32 % 4, g = lane / 4;
    unsigned own[COLUMNS][2];
#pragma unroll
    for (int c = 0; c < COLUMNS; c++) {
        const int column = GATED ? warp * 8 + g / 2 + g % 2 * 4 : warp % 2 * 16 + g + 8 * c;
#pragma unroll
        for (int i = 0; i < 2; i++) {
            const int row = lane % 4 * 2 + i;
            own[c][i] = (GATED ? 0 : warp / 2 * (PART_BYTES / 2)) + row * 128 + (column / 4 ^ row) * 16 + column % 4 * 4;
        }
    }
#pragma unroll
    for (int at = 0; at < N; at += HEIGHT) {
        const unsigned to = parts.take();
#pragma unroll
        for (int j = at; j < at + HEIGHT && j < N; j += 8) {
#pragma unroll
            for (int c = 0; c < COLUMNS; c++) {
#pragma unroll
                for (int i = 0; i < 2; i++) store_shared_32(to + own[c][i] + (j - at) * 128, __float_as_uint(d[j * COLUMNS / 4 + 2 * c + i]));
            }
        }
        const int rows = min(tile.rows - at, HEIGHT);
        parts.leave(rows, HEIGHT, tile.row + at + rows, col, width, 32, COLUMNS);
    }
}

// `row` is the warpgroup's first weight row.
template <class T, int N, bool GATED, int BUFFERS>
__device__ __forceinline__ void stage_sums(const GroupedGemmParams& p, Parts<BUFFERS>& parts, const TokenTile& tile, int row, float* d,
                                           float unit, const Bias& bias) {
    finish_sums<N, GATED>(p, d, unit, bias);
    const int col = GATED ? row / 2 : row, width = GATED ? p.n / 2 : p.n;
    if (p.d.dtype == F32) stage_floats<N, GATED>(parts, tile, col, width, d);
    else stage_halves<T, N, GATED>(parts, tile, col, width, d);
}
