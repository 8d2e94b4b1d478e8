// Any types without scales, any head size up to 256, in f32. What tensor cores cannot take runs here.
#include "simt.cuh"

struct PlainCache {
    __device__ __forceinline__ void key(const FlashAttnParams& p, int slot, int head, int d, int count, float (&out)[8]) const {
        load_key(p.store, p.k, slot, head, d, count, out);
    }
    __device__ __forceinline__ float value(const FlashAttnParams& p, KvPlace at) const { return load1(p.v, at.row, at.col); }
    __device__ __forceinline__ float score(float z, int) const { return z; }
    __device__ __forceinline__ float result(float x, int) const { return x; }
};

extern "C" __global__ void __launch_bounds__(32 * WARPS) flash_attn(const __grid_constant__ FlashAttnParams p) {
    flash_attn_rows(p, PlainCache{});
}
