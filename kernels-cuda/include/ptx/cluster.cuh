// A cluster's barrier and its blocks' shared memory.
#pragma once

__device__ __forceinline__ void cluster_arrive() { asm volatile("barrier.cluster.arrive.release;" ::: "memory"); }

__device__ __forceinline__ void cluster_wait() { asm volatile("barrier.cluster.wait.acquire;" ::: "memory"); }

// The word at shared memory address `at` in block `rank` of the cluster.
__device__ __forceinline__ int load_cluster_32(unsigned at, unsigned rank) {
    int word;
    asm volatile("{ .reg .u32 there; mapa.shared::cluster.u32 there, %1, %2; ld.shared::cluster.u32 %0, [there]; }"
                 : "=r"(word)
                 : "r"(at), "r"(rank)
                 : "memory");
    return word;
}
