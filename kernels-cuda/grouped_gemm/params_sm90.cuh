// What the sm_90a kernels are given: the parameters of all variants and the tensor maps that the copy engine reads.
#pragma once
#include "params.cuh"
#include "ptx/tma.cuh"

// Boxes of `a` are 16 rows and multiples of that.
constexpr int HEIGHTS = 12;

// Mirrors `Sm90Params` in src/cuda/grouped_gemm/prefill.rs.
struct Sm90Params {
    TensorMap a[HEIGHTS]; // [rows, K], gathered already, in boxes of 16 (i + 1) rows by 64, up to BLOCK_M
    TensorMap w;          // [local, N / 16, K / 64, 544 bytes] in words, boxes of BLOCK_N rows by BLOCK_K
    GroupedGemmParams p;
    void* gathered;       // [R, K]: rows of `a` in their order; null: `a` is read where it is
    unsigned in_place;    // 0: no row can be fetched by the copy engine, all is done the exact way
    unsigned whole_steps; // K is a multiple of 64: `a` is [K / 64, rows, 64] and a box has all steps of a stage
    unsigned unused[12];
};
static_assert(sizeof(Sm90Params) == 1984, "mirrored in Rust");

// Mirrors `StagedParams` there.
struct StagedParams {
    Sm90Params s;
    TensorMap d; // [rows + 1, height, N'] from `height` rows before the first on, both kinds of rows equally far apart
};
static_assert(sizeof(StagedParams) == 2112, "mirrored in Rust");
