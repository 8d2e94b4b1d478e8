// What a row of a decode needs before its first keys, asked for together: memory's latency passes once. Between these loads
// there is no branch, no loop and no use of what they bring, and the compiler may not move them: they are volatile. Where there is
// nothing to ask for, the first offset is read, which is always there.
#pragma once
#include "sequence.cuh"

__device__ __forceinline__ int ask(const int* from) {
    int word;
    asm volatile("ld.global.nc.u32 %0, [%1];" : "=r"(word) : "l"(from));
    return word;
}

__device__ __forceinline__ unsigned short ask(const unsigned short* from) {
    unsigned short half;
    asm volatile("ld.global.nc.u16 %0, [%1];" : "=h"(half) : "l"(from));
    return half;
}

// At a multiple of 16.
__device__ __forceinline__ uint4 ask(const uint4* from) {
    uint4 words;
    asm volatile("ld.global.nc.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(words.x), "=r"(words.y), "=r"(words.z), "=r"(words.w)
                 : "l"(from));
    return words;
}

// The sink of a head, of any type: its bits in two halves, of which a type of 16 bits has one.
struct RawSink {
    unsigned short low, high;

    RawSink() = default;
    __device__ __forceinline__ RawSink(const FlashAttnParams& p, int head) {
        const bool wide = p.sinks.dtype == F32;
        const void* at = p.sinks.base ? (const char*)p.sinks.base + head * (wide ? 4 : 2) : (const char*)p.cu_seqlens_q;
        low = ask((const unsigned short*)at), high = ask((const unsigned short*)at + (wide ? 1 : 0));
    }
    __device__ __forceinline__ float value(const FlashAttnParams& p) const {
        if (!p.sinks.base) return -INFINITY;
        return p.sinks.dtype == F32 ? __uint_as_float(low | unsigned(high) << 16) : widen(p.sinks.dtype, low);
    }
};

// Of sequence s, by a warp.
struct Asked {
    int low, high, next; // raw offsets: two of those up to s a lane, which are all of few sequences; and s + 1
    int len, first;      // raw, as p.index has them
    RawSink sink;        // of this thread's head of the key head

    __device__ __forceinline__ Asked(const FlashAttnParams& p, int s)
        : sink(p, blockIdx.y * p.group + min(int(threadIdx.x), p.group - 1)) {
        const int* raw = p.cu_seqlens_q;
        const int lane = threadIdx.x % 32;
        next = ask(raw + s + 1), low = ask(raw + min(lane, s)), high = ask(raw + min(lane + 32, s));
        len = ask(p.index == CU_SEQLENS ? raw : p.k_len + s);
        first = ask(p.index == START_LEN ? p.k_first + s : raw);
    }

    // The row of the sequence's query, -1 where it has none.
    __device__ __forceinline__ int row(const FlashAttnParams& p, int s) const {
        const int upper = p.q_tokens;
        int most = max(clamped(low, upper), clamped(high, upper));
#pragma unroll 1
        for (int i = threadIdx.x % 32 + 64; i <= s; i += 32) most = max(most, clamped(p.cu_seqlens_q[i], upper));
        most = warp_max(most);
        return most < clamped(next, upper) ? most : -1;
    }
};
