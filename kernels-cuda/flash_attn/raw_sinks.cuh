// Sinks as they lie in memory: asked for before anything is waited for, turned into numbers later. One branch on their type for all of
// them, and no use of a value, stands between these loads and the ones behind: each would cost the latency of memory.
#pragma once
#include "params.cuh"

template <int COUNT> struct RawSinks {
    unsigned bits[COUNT];

    // Of heads `head(i)`; those below 0 are none.
    template <class Head> __device__ __forceinline__ RawSinks(const FlashAttnParams& p, const Head& head) {
        auto at = [&](int i) {
            const int h = head(i);
            return p.sinks.base && h >= 0 ? address(p.sinks, 0, h) : (const char*)p.cu_seqlens_q;
        };
        if (p.sinks.dtype == F32) {
#pragma unroll
            for (int i = 0; i < COUNT; i++) bits[i] = __ldg((const unsigned*)at(i));
        } else {
#pragma unroll
            for (int i = 0; i < COUNT; i++) bits[i] = __ldg((const unsigned short*)at(i));
        }
    }

    // Of one that is, or -infinity.
    __device__ __forceinline__ float value(const FlashAttnParams& p, int i, bool is) const {
        if (!is || !p.sinks.base) return -INFINITY;
        return p.sinks.dtype == F32 ? __uint_as_float(bits[i]) : widen(p.sinks.dtype, bits[i]);
    }
};
