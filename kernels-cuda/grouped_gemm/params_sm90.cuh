// What the sm_90a kernels are given: the parameters of all variants and the tensor maps that the copy engine reads.
#pragma once
#include "params.cuh"
#include "ptx/tma.cuh"

// Heights of the boxes of `a`: 16 << i rows of 64 elements.
constexpr int HEIGHTS = 4;

// Mirrors `Sm90Params` in src/cuda/grouped_gemm/prefill.rs.
struct Sm90Params {
    TensorMap a[HEIGHTS]; // [rows, K], gathered already
    TensorMap w;          // [local, N / 16, K / 64, 544 bytes] in words, boxes of BLOCK_N rows by BLOCK_K
    GroupedGemmParams p;
    void* gathered;       // [R, K]: rows of `a` in their order; null: `a` is read where it is
    unsigned in_place;    // 0: no row can be fetched by the copy engine, all is done the exact way
    unsigned unused[13];
};
static_assert(sizeof(Sm90Params) == 960, "mirrored in Rust");
