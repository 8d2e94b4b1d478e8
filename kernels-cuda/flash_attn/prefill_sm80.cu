// Many query rows, keys and values of their type.
#include "prefill_sm80.cuh"

struct Nothing {};

template <class T, int DIM> struct PlainWarp : Warp<T, DIM, TILES_OF<DIM>> {
    using Base = Warp<T, DIM, TILES_OF<DIM>>;
    __device__ __forceinline__ PlainWarp(const FlashAttnParams& p, const Tile& t, Nothing) : Base(p, t) {}
    __device__ __forceinline__ void store(const FlashAttnParams& p, const Tile& t, Nothing) { Base::store(p, t); }
};

template <int DIM> struct PlainRing : Ring<DIM> {
    static __device__ __forceinline__ KvHead head_of(const FlashAttnParams& p, const Tile& t) { return KvHead(p, t.s, t.kv_head); }
};

#define PREFILL(NAME, T, DIM)                                                                                          \
    extern "C" __global__ void __launch_bounds__(32 * WARPS, 2) NAME(const __grid_constant__ FlashAttnParams p) {      \
        prefill<PlainWarp<T, DIM>, PlainRing<DIM>, DIM>(p, Nothing{});                                                 \
    }
PREFILL(prefill_bf16_64, MmaBf16, 64)
PREFILL(prefill_bf16_128, MmaBf16, 128)
PREFILL(prefill_f16_64, MmaF16, 64)
PREFILL(prefill_f16_128, MmaF16, 128)
