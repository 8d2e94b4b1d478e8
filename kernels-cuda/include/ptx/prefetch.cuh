// Hints to the caches.
#pragma once
#include "tma.cuh"

__device__ __forceinline__ void prefetch_to_l2(const void* at) { asm volatile("prefetch.global.L2 [%0];" ::"l"(at)); }

__device__ __forceinline__ void prefetch_to_l1(const void* at) { asm volatile("prefetch.global.L1 [%0];" ::"l"(at)); }

__device__ __forceinline__ void prefetch_map(const TensorMap* map) {
    asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory");
}
