// One query a sequence, keys and values of 16 bits.
#include "decode_halves.cuh"
#include "decode_one_sm90.cuh"

#define HALVES(NAME, T, DIM, WHICH)                                                                                    \
    extern "C" __global__ void __launch_bounds__(32 * WARPS, BLOCKS(DIM)) NAME(                                        \
        const __grid_constant__ FlashAttnParams p) {                                                                   \
        decode<HalvesWarp<T, DIM>, DIM, WHICH>(p, nullptr, nullptr);                                                   \
    }

HALVES(one_bf16_64, MmaBf16, 64, ONE)
HALVES(one_f16_64, MmaF16, 64, ONE)
HALVES(window_bf16_64, MmaBf16, 64, WINDOW)
HALVES(window_f16_64, MmaF16, 64, WINDOW)
HALVES(any_bf16_64, MmaBf16, 64, ANY)
HALVES(any_f16_64, MmaF16, 64, ANY)
#if WARPS <= 8 // the others need more than 128 registers
HALVES(one_bf16_128, MmaBf16, 128, ONE)
HALVES(one_f16_128, MmaF16, 128, ONE)
HALVES(window_bf16_128, MmaBf16, 128, WINDOW)
HALVES(window_f16_128, MmaF16, 128, WINDOW)
HALVES(any_bf16_128, MmaBf16, 128, ANY)
HALVES(any_f16_128, MmaF16, 128, ANY)
#endif
