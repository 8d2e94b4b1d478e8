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

constexpr unsigned PREPACKED = 4; // MXFP4_GGUF and MXFP4_TILED, told apart at run time

struct Stage {
    uint4 a[BLOCK_M * CHUNKS], w[BLOCK_N * CHUNKS];
    float scales[BLOCK_N];
    int small[WAVES]; // has a wave stored elements that the matrix units flush?
};

__device__ __forceinline__ int chunk_at(int row, int chunk) { return row * CHUNKS + (chunk ^ (row / 2 % CHUNKS)); }

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
    unsigned codes[W_LOADS], scale[W_LOADS]; // of MXFP4 the byte: `load` waits for nothing

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
            codes[i] = *(const unsigned*)(w_at[i] + k / 2);
            scale[i] = scale_at[i][k / 32];
        } else {
            codes[i] = load_codes(p, expert, w_row[i], k + chunk * 8);
            scale[i] = __float_as_uint(load_scale(p, expert, w_row[i], k));
        }
    }

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
        for (int i = 0; i < W_LOADS; i++) {
            const int row = first + i * ROWS;
            if constexpr (FORMAT == DENSE) {
                stage.w[chunk_at(row, chunk)] = w[i];
            } else {
                // Not before: the compiler would begin where they are loaded, and wait for them there.
                asm volatile("" : "+v"(codes[i]), "+v"(scale[i]));
                stage.w[chunk_at(row, chunk)] = from_codes(__is_same(Elements, F16s) ? OF_F16 : OF_BF16, codes[i]);
                // Four lanes write the same.
                stage.scales[row] = FORMAT == MXFP4 ? e8m0(scale[i]) : __uint_as_float(scale[i]);
            }
#if defined(__gfx90a__)
            if (FORMAT == DENSE) small = small || below(w[i], MFMA_LEAST<Elements>);
#endif
        }
        if constexpr (MFMA_FLUSHES) stage.small[threadIdx.x / 64] = __builtin_amdgcn_ballot_w64(small) != 0;
    }
};
