// As simt.cu, for caches of e4m3 and for those with scales.
#include "e4m3.cuh"
#include "scaled.cuh"
#include "simt.cuh"

struct ScaledCache {
    const float *k_scale, *v_scale;

    static __device__ __forceinline__ float load(const Rows& rows, KvPlace at) {
        if (rows.dtype != E4M3) return load1(rows, at.row, at.col);
        return e4m3_to_f32(((const unsigned char*)rows.base)[at.row * rows.stride + at.col]);
    }

    // Little code: speed is for the kernels on tensor cores.
    __device__ __forceinline__ void key(const FlashAttnParams& p, int slot, int head, int d, int count, float (&out)[8]) const {
#pragma unroll 1
        for (int i = 0; i < 8; i++) shift_in(out, i < count ? load(p.k, key_place(p.store, slot, head, d + i)) : 0.0f);
    }
    __device__ __forceinline__ float value(const FlashAttnParams& p, KvPlace at) const { return load(p.v, at); }
    __device__ __forceinline__ float score(float z, int head) const { return k_scale ? z * k_scale[head] : z; }
    __device__ __forceinline__ float result(float x, int head) const { return v_scale ? x * v_scale[head] : x; }
};

extern "C" __global__ void __launch_bounds__(32 * WARPS) flash_attn(const __grid_constant__ ScaledParams x) {
    flash_attn_rows(x.p, ScaledCache{x.k_scale, x.v_scale});
}
