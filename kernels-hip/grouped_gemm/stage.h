// A step of K on its way from memory to LDS: BLOCK_M rows of `a` and BLOCK_N weight rows, 32 elements of each in 16 bits. A row
// is four chunks of 16 bytes, swizzled so that eight rows at one chunk, and eight threads that write, lie in different banks.
// MXFP4 comes without its scales, which are factors of whole blocks.
#pragma once
#include "../../kernels-cuda/grouped_gemm/expert_tile.cuh"
#include "codes.h"
#include "gcn/mfma.h"
#include "stored.h"

constexpr int THREADS = 32 * WARPS, WAVES = THREADS / 64, CHUNKS = BLOCK_K / 8, ROWS = THREADS / CHUNKS; // loaded at a time
constexpr int A_LOADS = BLOCK_M / ROWS, W_LOADS = BLOCK_N / ROWS;
static_assert(BLOCK_K == 32, "one block of MXFP4: its sum is scaled as a whole");
static_assert(BLOCK_M % ROWS == 0 && BLOCK_N % ROWS == 0, "threads share rows evenly");

// Do weights in LDS have the scales of MXFP4? In bf16 they may, where matrix units take subnormal numbers.
template <class Elements> constexpr bool SCALED = __is_same(Elements, Bf16s) && !MFMA_FLUSHES;

constexpr unsigned PREPACKED = 4; // MXFP4_GGUF and MXFP4_TILED, told apart at run time

struct Stage {
    uint4 a[BLOCK_M * CHUNKS], w[BLOCK_N * CHUNKS];
    float scales[BLOCK_N];
    int small[WAVES]; // has a wave stored elements that the matrix units flush?

    __device__ __forceinline__ bool has_small() const {
        bool any = false;
#pragma unroll
        for (int i = 0; MFMA_FLUSHES && i < WAVES; i++) any = any || __builtin_amdgcn_readfirstlane(small[i]) != 0;
        return any;
    }
};

__device__ __forceinline__ int chunk_at(int row, int chunk) { return row * CHUNKS + (chunk ^ (row / 2 % CHUNKS)); }

// Eights of codes, and the scale of each: of MXFP4 as it is stored its byte, so that whoever loads it waits for nothing.
template <int COUNT> struct Blocks {
    unsigned codes[COUNT], scale[COUNT];
};

// What a thread loads of every step: a chunk of A_LOADS rows and of W_LOADS weight rows.
template <class Elements, unsigned FORMAT> struct Loader {
    const GroupedGemmParams& p;
    const int expert, chunk;
    long long a_row[A_LOADS]; // -1: zeros
    int w_row[W_LOADS];
    const char *a_at[A_LOADS], *w_at[W_LOADS];
    const unsigned char* scale_at[W_LOADS];

    // Rows and columns past the tile's are others again: nobody stores what becomes of them.
    __device__ __forceinline__ Loader(const GroupedGemmParams& p, const Tile& tile, int column)
        : p(p), expert(tile.expert - p.local_first), chunk(threadIdx.x % CHUNKS) {
        const int first = threadIdx.x / CHUNKS;
#pragma unroll
        for (int i = 0; i < A_LOADS; i++) {
            a_row[i] = input_row(p, min(tile.first + first + i * ROWS, tile.last - 1));
            a_at[i] = address(p.a, max(a_row[i], 0ll), chunk * 8);
        }
#pragma unroll
        for (int i = 0; i < W_LOADS; i++) {
            w_row[i] = weight_row(p, min(column + first + i * ROWS, p.n - 1));
            const long long row = (long long)expert * p.n + w_row[i];
            w_at[i] = (const char*)p.w.base + (FORMAT == DENSE ? 2 * (row * p.k + chunk * 8) : row * (p.k / 2) + chunk * 4);
            scale_at[i] = p.w_scales + row * (p.k / 32);
        }
    }

    // May `load` be used for whole steps? Not where rows are not aligned or read as zeros.
    __device__ __forceinline__ bool plain() const {
        bool all = p.a_aligned && (FORMAT != DENSE || p.w_aligned);
#pragma unroll
        for (int i = 0; i < A_LOADS; i++) all = all && a_row[i] >= 0;
        return all;
    }

    uint4 a[A_LOADS], w[W_LOADS];
    Blocks<W_LOADS> loaded;

    // Elements k .. k + 32, which are all there.
    __device__ __forceinline__ void load(int k) {
#pragma unroll
        for (int i = 0; i < A_LOADS; i++) a[i] = *(const uint4*)(a_at[i] + 2ll * k);
#pragma unroll
        for (int i = 0; i < W_LOADS; i++) {
            if constexpr (FORMAT == DENSE) w[i] = *(const uint4*)(w_at[i] + 2ll * k);
            else load_block(i, k);
        }
    }

    // The same where rows are zeros, are not aligned or end.
    __device__ __forceinline__ void load_edge(int k) {
#pragma unroll
        for (int i = 0; i < A_LOADS; i++) a[i] = a_row[i] < 0 ? uint4{} : load_stored(p.a, a_row[i], k + chunk * 8, p.k);
#pragma unroll
        for (int i = 0; i < W_LOADS; i++) {
            if constexpr (FORMAT == DENSE) {
                w[i] = load_stored(p.w, (long long)expert * p.n + w_row[i], k + chunk * 8, p.k);
            } else {
                load_block(i, k);
            }
        }
    }

    __device__ __forceinline__ void load_block(int i, int k) {
        if constexpr (FORMAT == MXFP4) {
            loaded.codes[i] = *(const unsigned*)(w_at[i] + k / 2);
            loaded.scale[i] = scale_at[i][k / 32];
        } else {
            loaded.codes[i] = load_codes(p, expert, w_row[i], k + chunk * 8);
            loaded.scale[i] = __float_as_uint(load_scale(p, expert, w_row[i], k));
        }
    }

    // `a`, and weights of 16 bits.
    __device__ __forceinline__ void store(Stage& stage) {
        const int first = threadIdx.x / CHUNKS;
        bool small = false;
#pragma unroll
        for (int i = 0; i < A_LOADS; i++) {
            stage.a[chunk_at(first + i * ROWS, chunk)] = a[i];
#if defined(__gfx90a__)
            small = small || below(a[i], MFMA_LEAST<Elements>);
#endif
        }
#pragma unroll
        for (int i = 0; FORMAT == DENSE && i < W_LOADS; i++) {
            stage.w[chunk_at(first + i * ROWS, chunk)] = w[i];
#if defined(__gfx90a__)
            small = small || below(w[i], MFMA_LEAST<Elements>);
#endif
        }
        if constexpr (MFMA_FLUSHES) stage.small[threadIdx.x / 64] = __builtin_amdgcn_ballot_w64(small) != 0;
    }

    // Weights and scales of MXFP4 that `load` loaded, so that it may load others.
    __device__ __forceinline__ Blocks<W_LOADS> take() const {
        Blocks<W_LOADS> taken;
#pragma unroll
        for (int i = 0; FORMAT != DENSE && i < W_LOADS; i++) {
            // Here and not elsewhere: the compiler would move what is loaded next instead, and wait for it.
            asm volatile("v_mov_b32 %0, %1" : "=v"(taken.codes[i]) : "v"(loaded.codes[i]));
            asm volatile("v_mov_b32 %0, %1" : "=v"(taken.scale[i]) : "v"(loaded.scale[i]));
        }
        return taken;
    }

    __device__ __forceinline__ void store(Stage& stage, const Blocks<W_LOADS>& taken) {
#pragma unroll
        for (int i = 0; FORMAT != DENSE && i < W_LOADS; i++) {
            const int row = threadIdx.x / CHUNKS + i * ROWS;
            const float scale = FORMAT == MXFP4 ? e8m0(taken.scale[i]) : __uint_as_float(taken.scale[i]);
            const ByteTables unscaled = __is_same(Elements, F16s) ? OF_F16 : OF_BF16;
            const ByteTables tables = SCALED<Elements> ? scaled_tables(scale) : unscaled;
            stage.w[chunk_at(row, chunk)] = from_codes(tables, taken.codes[i]);
            if (!SCALED<Elements>) stage.scales[row] = scale; // four lanes write the same
        }
    }
};
