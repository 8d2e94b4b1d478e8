// MXFP4 weights as OpenAI stores them by activations rounded to e4m3, with gfx950's scaled matrix instruction: 32 of a row share a
// power of two, the least by which the largest of them is at most 448. Nobody is given that rounding who has not asked for it. A
// wave has 32 rows, which it alone rounds, and all weight rows of the tile, straight from memory.
#include "../../kernels-cuda/grouped_gemm/expert_tile.cuh"
#include "../../kernels-cuda/grouped_gemm/finish.cuh"
#include "../../kernels-cuda/grouped_gemm/weights.cuh"
#include "gcn/mfma.h"
#include "stored.h"

constexpr int THREADS = 32 * WARPS, WAVES = THREADS / 64, TILES = BLOCK_N / 32;
static_assert(BLOCK_M == 32 * WAVES && BLOCK_N == 32 * TILES && BLOCK_K == 64, "a wave has 32 rows and two blocks of 32 in k");

typedef int Operand __attribute__((ext_vector_type(8))); // of MXFP4 the first four
typedef unsigned Words __attribute__((ext_vector_type(4), aligned(4))); // weights may be aligned to words only

constexpr unsigned ONE = 127; // as a scale

// 16 elements of each of two blocks as e4m3, and the scales of both. The other half of a block is with lane ^ 32.
struct Rounded {
    Operand values;
    unsigned scale[2];
};

__device__ __forceinline__ float wide_bf16(unsigned pair, int i) { return __uint_as_float(i ? pair & 0xffff0000 : pair << 16); }

__device__ __forceinline__ Rounded round_to_e4m3(const unsigned (&pairs)[2][8]) {
    Rounded out;
#pragma unroll
    for (int block = 0; block < 2; block++) {
        unsigned largest = 0;
#pragma unroll
        for (int i = 0; i < 8; i++) {
            const unsigned pair = pairs[block][i];
            largest = max(largest, max(pair << 16 & 0x7fff0000, pair & 0x7fff0000));
        }
        largest = max(largest, unsigned(__shfl_xor_sync(ALL_LANES, int(largest), 32)));
        // 448 is 1.75 * 2^8.
        const unsigned up = (largest + 0x1fffff) >> 23, scale = up > 8 ? up - 8 : 0;
        const float by = __uint_as_float((254 - scale) << 23);
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const unsigned first = pairs[block][2 * i], second = pairs[block][2 * i + 1];
            int four = __builtin_amdgcn_cvt_pk_fp8_f32(wide_bf16(first, 0) * by, wide_bf16(first, 1) * by, 0, false);
            four = __builtin_amdgcn_cvt_pk_fp8_f32(wide_bf16(second, 0) * by, wide_bf16(second, 1) * by, four, true);
            out.values[4 * block + i] = four;
        }
        out.scale[block] = scale;
    }
    return out;
}

// A lane's part of a step: of a row of `a` 16 elements of either block, of every 32 weight rows one block of one row.
__device__ __forceinline__ void add_step(const GroupedGemmParams& p, int expert, long long a_row, int column, int k,
                                         Sums (&sums)[TILES]) {
    const int half = wave_lane() / 32;
    unsigned pairs[2][8] = {};
#pragma unroll
    for (int i = 0; a_row >= 0 && i < 4; i++) { // rows that read as zeros stay so
        const uint4 eight = load_stored(p.a, a_row, k + 32 * (i / 2) + 16 * half + 8 * (i % 2), p.k);
        const unsigned words[4] = {eight.x, eight.y, eight.z, eight.w};
#pragma unroll
        for (int j = 0; j < 4; j++) pairs[i / 2][4 * (i % 2) + j] = words[j];
    }
    const Rounded a = round_to_e4m3(pairs);
    const int block = k / 32 + half;
#pragma unroll
    for (int n = 0; n < TILES; n++) {
        const int row = weight_row(p, min(column + 32 * n, p.n - 1));
        const bool there = block < p.k / 32;
        const long long at = ((long long)expert * p.n + row) * (p.k / 32) + block;
        const Words codes = there ? *(const Words*)((const unsigned char*)p.w.base + 16 * at) : Words{};
        const unsigned scale = there ? p.w_scales[at] : ONE;
        const Operand w = {int(codes[0]), int(codes[1]), int(codes[2]), int(codes[3]), 0, 0, 0, 0};
        sums[n] = __builtin_amdgcn_mfma_scale_f32_32x32x64_f8f6f4(a.values, w, sums[n], 0, 4, 0, half ? a.scale[1] : a.scale[0], 0, scale);
    }
}

extern "C" __global__ void __launch_bounds__(THREADS) mfma_bf16_mxfp4(const __grid_constant__ GroupedGemmParams p) {
    __shared__ Tile tile;
    if (threadIdx.x < 32) {
        const Tile found = find_tile(p, blockIdx.x);
        if (threadIdx.x == 0) tile = found;
        if (blockIdx.x == 0 && blockIdx.y == 0 && p.offsets) check_offsets(p.offsets, p.experts + 1, p.rows, p.status);
    }
    __syncthreads();
    if (tile.expert < 0) return;
    const int expert = tile.expert - p.local_first;
    const bool local = expert >= 0 && expert < p.local_count;
    if (!local && p.top_k) return; // the combine leaves them out

    const int lane = wave_lane(), first = tile.first + threadIdx.x / 64 * 32, column = blockIdx.y * BLOCK_N + lane % 32;
    Sums sums[TILES] = {};
    if (local) {
        // Rows past the tile's are others again: nobody stores what becomes of them.
        const long long a_row = input_row(p, min(first + lane % 32, tile.last - 1));
#pragma unroll 1
        for (int k = 0; k < p.k; k += BLOCK_K) add_step(p, expert, a_row, column, k, sums);
    }
#pragma unroll
    for (int n = 0; n < TILES; n++) {
        const int c = column + 32 * n;
        const float bias = local && p.bias.base && c < p.n ? load1(p.bias, expert, weight_row(p, c)) : 0.0f;
#pragma unroll
        for (int i = 0; i < 16; i++) {
            const float sum = sums[n][i] + bias;
            const float up = __shfl_xor_sync(ALL_LANES, sum, 1); // the next column, of those that keep theirs
            const int r = first + mfma_row(i);
            if (r >= tile.last || c >= p.n) continue;
            if (!p.gated) store1(p.d, r, c, sum);
            else if (c % 2 == 0) store1(p.d, r, c / 2, local ? swiglu(p.unit, sum, up) : 0.0f);
        }
    }
}

extern "C" __global__ void __launch_bounds__(THREADS) grouped_finish(const __grid_constant__ GroupedGemmParams p) {
    finish_rows(p);
}
