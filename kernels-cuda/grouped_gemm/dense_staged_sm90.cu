// Dense weights on wgmma as in dense_sm90.cu, whose results leave through the copy engine while the next tile is multiplied.
constexpr bool STAGED = true;
#include "product_dense_sm90.cuh"

KERNEL(grouped_gemm_dense_staged_bf16, MmaBf16, false, Dense<MmaBf16>::Product)
KERNEL(grouped_gemm_dense_staged_bf16_gated, MmaBf16, true, Dense<MmaBf16>::Product)
KERNEL(grouped_gemm_dense_staged_f16, MmaF16, false, Dense<MmaF16>::Product)
KERNEL(grouped_gemm_dense_staged_f16_gated, MmaF16, true, Dense<MmaF16>::Product)
