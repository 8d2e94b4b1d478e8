// MXFP4 by bf16 on wgmma as in prefill_sm90.cu, whose results leave through the copy engine while the next tile is multiplied.
constexpr bool STAGED = true;
#include "product_tiled_sm90.cuh"

KERNEL(grouped_gemm_prefill_staged, MmaBf16, false, Product)
KERNEL(grouped_gemm_prefill_staged_gated, MmaBf16, true, Product)
