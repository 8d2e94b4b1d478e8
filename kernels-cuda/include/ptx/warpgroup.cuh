// Warpgroups: 128 threads that a wgmma needs, with registers of their own number (sm_90a).
#pragma once

// Registers a thread from here on; the whole warpgroup, a multiple of 8.
template <int COUNT>
__device__ __forceinline__ void take_registers() {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(COUNT));
}

template <int COUNT>
__device__ __forceinline__ void give_registers() {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(COUNT));
}

// Named barrier `id` (0 is __syncthreads) for `threads` threads.
__device__ __forceinline__ void sync_threads(int id, int threads) {
    asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}
