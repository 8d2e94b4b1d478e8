// Loads of what is read once.
#pragma once

// The most that L2 can be asked to fetch from memory.
#if __CUDA_ARCH__ >= 800
constexpr int MOST_FETCH = 256;
#else
constexpr int MOST_FETCH = 128;
#endif

// 16 bytes at a multiple of 16, past the L1 cache; L2 fetches FETCH bytes from memory.
template <int FETCH>
__device__ __forceinline__ uint4 load_once_128(const void* from) {
    static_assert(FETCH == 128 || FETCH == 256, "what L2 can be asked for");
    uint4 words;
    if constexpr (FETCH == 128) {
        asm volatile("ld.global.nc.L1::no_allocate.L2::128B.v4.u32 {%0, %1, %2, %3}, [%4];"
                     : "=r"(words.x), "=r"(words.y), "=r"(words.z), "=r"(words.w)
                     : "l"(from));
    } else {
        asm volatile("ld.global.nc.L1::no_allocate.L2::256B.v4.u32 {%0, %1, %2, %3}, [%4];"
                     : "=r"(words.x), "=r"(words.y), "=r"(words.z), "=r"(words.w)
                     : "l"(from));
    }
    return words;
}

__device__ __forceinline__ void load_once(const void* from, uint4& words) { words = load_once_128<128>(from); }

// 8 bytes at a multiple of 8.
__device__ __forceinline__ void load_once(const void* from, uint2& words) {
    asm volatile("ld.global.nc.L1::no_allocate.L2::128B.v2.u32 {%0, %1}, [%2];" : "=r"(words.x), "=r"(words.y) : "l"(from));
}

// 4 bytes at a multiple of 4.
__device__ __forceinline__ void load_once(const void* from, unsigned& word) {
    asm volatile("ld.global.nc.L1::no_allocate.L2::128B.u32 %0, [%1];" : "=r"(word) : "l"(from));
}
