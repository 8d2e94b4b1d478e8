// One query a sequence, keys and values of e4m3.
#include "decode_e4m3.cuh"
#include "decode_one_sm90.cuh"
#include "scaled.cuh"

#define SCALED(NAME, T, DIM, WHICH)                                                                                    \
    extern "C" __global__ void __launch_bounds__(32 * WARPS, BLOCKS(DIM)) NAME(                                        \
        const __grid_constant__ ScaledParams x) {                                                                      \
        decode<E4m3Warp<T, DIM>, DIM, WHICH>(x.p, x.k_scale, x.v_scale);                                               \
    }

SCALED(one_bf16_64, MmaBf16, 64, ONE)
SCALED(one_f16_64, MmaF16, 64, ONE)
SCALED(window_bf16_64, MmaBf16, 64, WINDOW)
SCALED(window_f16_64, MmaF16, 64, WINDOW)
SCALED(any_bf16_64, MmaBf16, 64, ANY)
SCALED(any_f16_64, MmaF16, 64, ANY)
#if WARPS <= 8 // the others need more than 128 registers
SCALED(one_bf16_128, MmaBf16, 128, ONE)
SCALED(one_f16_128, MmaF16, 128, ONE)
SCALED(window_bf16_128, MmaBf16, 128, WINDOW)
SCALED(window_f16_128, MmaF16, 128, WINDOW)
SCALED(any_bf16_128, MmaBf16, 128, ANY)
SCALED(any_f16_128, MmaF16, 128, ANY)
#endif
