// MXFP4 by bf16 on wgmma, for many rows an expert. Weights are the 64-row operand, made bf16 in registers; up to BLOCK_M rows
// of `a` are the other one.
constexpr bool STAGED = false;
#include "product_tiled_sm90.cuh"

KERNEL(grouped_gemm_prefill, MmaBf16, false, Product)
KERNEL(grouped_gemm_prefill_gated, MmaBf16, true, Product)
