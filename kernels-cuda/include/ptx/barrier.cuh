// Barriers among some warps of a block.
#pragma once

// `id` 1 to 15; 0 is __syncthreads. `threads` of whole warps.
__device__ __forceinline__ void named_barrier(int id, int threads) {
    asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}
