// Copies from global to shared memory that pass no register (sm_80).
#pragma once
#include "shared.cuh"

// 16 bytes, both sides aligned to 16; zeros instead, and nothing read, unless `has`.
__device__ __forceinline__ void cp_async_16(unsigned to, const void* from, bool has) {
    asm volatile("{ .reg .pred none; setp.eq.u32 none, %2, 0; cp.async.cg.shared.global [%0], [%1], 16, none; }" ::"r"(to),
                 "l"(from), "r"(unsigned(has))
                 : "memory");
}

__device__ __forceinline__ void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Until at most PENDING of this thread's groups are under way.
template <int PENDING>
__device__ __forceinline__ void cp_async_wait() {
    asm volatile("cp.async.wait_group %0;" ::"n"(PENDING) : "memory");
}

// Arrives at an mbarrier, one of the arrivals it was made for, once this thread's copies so far have landed (sm_80).
__device__ __forceinline__ void cp_async_arrive(unsigned barrier) {
    asm volatile("cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%0];" ::"r"(barrier) : "memory");
}
