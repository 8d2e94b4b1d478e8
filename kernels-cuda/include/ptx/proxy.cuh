// Two ways into shared memory (sm_90): loads and stores on one side, the copy engine and wgmma on the other.
#pragma once

// What this thread stored to shared memory is seen by the other side after the next barrier.
__device__ __forceinline__ void fence_for_async() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }
