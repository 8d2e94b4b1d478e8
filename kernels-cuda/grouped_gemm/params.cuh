#pragma once
#include "rows.cuh"
#include "swiglu.cuh"

constexpr unsigned DENSE = 0, MXFP4 = 1, MXFP4_GGUF = 2, MXFP4_TILED = 3;

// Mirrors `Params` in src/cuda/grouped_gemm.rs.
struct GroupedGemmParams {
    Rows a, w, bias;     // w: [local * N, K] where dense, else bytes; bias: base 0 where there is none
    Rows d;              // [R, N'], or scratch of that size in front of a combine
    Rows out;            // [T, N'], with a combine
    const unsigned char* w_scales;
    const int* offsets;  // null: all rows are expert 0's
    const int* row_index;
    const int* row_of;
    const float* combine_weight;
    unsigned* status;
    long long w_expert_bytes; // MXFP4_TILED: bytes of one expert
    long long input_rows;
    SwigluUnit unit;
    int experts, local_first, local_count;
    int rows, n, k;
    int divide;          // of row_index; 0: no gather
    int tokens, top_k;   // of the combine; top_k 0: none
    unsigned format;
    unsigned gated;
    unsigned unused;
};
static_assert(sizeof(GroupedGemmParams) == 248, "mirrored in Rust");
