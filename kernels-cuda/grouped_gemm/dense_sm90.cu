// bf16 or f16 weights by rows of the same type on wgmma, both from shared memory as TMA brings them. Weights are the 64-row operand, up
// to BLOCK_M rows of `a` the other one.
constexpr bool STAGED = false;
#include "product_dense_sm90.cuh"

KERNEL(grouped_gemm_dense_bf16, MmaBf16, false, Dense<MmaBf16>::Product)
KERNEL(grouped_gemm_dense_bf16_gated, MmaBf16, true, Dense<MmaBf16>::Product)
KERNEL(grouped_gemm_dense_f16, MmaF16, false, Dense<MmaF16>::Product)
KERNEL(grouped_gemm_dense_f16_gated, MmaF16, true, Dense<MmaF16>::Product)
