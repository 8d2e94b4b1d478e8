#pragma once
#include "faults.cuh"
#include "rows.cuh"
#include "swiglu.cuh"

constexpr unsigned DENSE = 0, MXFP4 = 1, MXFP4_GGUF = 2, MXFP4_TILED = 3;

// Mirrors `Params` in src/backend/params/grouped_gemm.rs.
struct GroupedGemmParams {
    Rows a, w, bias;     // w: [local * N, K] where dense, else bytes; bias: base 0 where there is none
    Rows d;              // [R, N']; scratch where `out` is made of it: [splits * R, N' (N if splits > 1)]
    Rows out;            // [T, N'] with a combine, [R, N'] where K is split without one
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
    int splits;          // of K: part s of row r is row s * R + r of `d`, not gated yet
    unsigned a_aligned, w_aligned; // every row (block) starts at a multiple of 16 bytes
};
static_assert(sizeof(GroupedGemmParams) == 256, "mirrored in Rust");

// Column c of a tile's row. With a gated epilogue gate and up alternate, however they are stored.
__device__ __forceinline__ int weight_row(const GroupedGemmParams& p, int c) {
    return p.gated && p.unit.halves ? c % 2 * (p.n / 2) + c / 2 : c;
}

// Row of `a` that row r reads, -1: zeros.
__device__ __forceinline__ long long input_row(const GroupedGemmParams& p, int r) {
    if (!p.divide) return r;
    const int index = p.row_index[r];
    if (index >= 0 && index / p.divide < p.input_rows) return index / p.divide;
    report(p.status, FAULT_ROW_INDEX);
    return -1;
}
