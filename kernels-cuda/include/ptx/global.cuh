// Loads from global memory of what is read once: they leave no trace in L1 (sm_80).
#pragma once

__device__ __forceinline__ uint4 stream_128(const void* from) {
    uint4 words;
    asm volatile("ld.global.nc.L1::no_allocate.L2::256B.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(words.x), "=r"(words.y), "=r"(words.z), "=r"(words.w)
                 : "l"(from));
    return words;
}
