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

// Arrives without ordering memory.
__device__ __forceinline__ void cluster_arrive_relaxed() { asm volatile("barrier.cluster.arrive.relaxed;"); }

// The address, in block `rank` of the cluster, of what has shared address `at` in this one.
__device__ __forceinline__ unsigned shared_of_block(unsigned at, unsigned rank) {
    unsigned address;
    asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(address) : "r"(at), "r"(rank));
    return address;
}

__device__ __forceinline__ void store_cluster(unsigned at, float value) {
    asm volatile("st.shared::cluster.f32 [%0], %1;" ::"r"(at), "f"(value) : "memory");
}

__device__ __forceinline__ void store_cluster(unsigned at, float low, float high) {
    asm volatile("st.shared::cluster.v2.f32 [%0], {%1, %2};" ::"r"(at), "f"(low), "f"(high) : "memory");
}

// Four words of a block's shared memory, `at` as `shared_of_block` says.
__device__ __forceinline__ float4 load_cluster_128(unsigned at) {
    float4 words;
    asm volatile("ld.shared::cluster.v4.f32 {%0, %1, %2, %3}, [%4];"
                 : "=f"(words.x), "=f"(words.y), "=f"(words.z), "=f"(words.w)
                 : "r"(at)
                 : "memory");
    return words;
}
