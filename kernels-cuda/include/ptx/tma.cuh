// Copies by the bulk copy engine from global to shared memory, counted in bytes by an mbarrier there (sm_90).
#pragma once

// The driver's CUtensorMap, made on the host.
struct alignas(64) TensorMap {
    unsigned long long words[16];
};
static_assert(sizeof(TensorMap) == 128, "as the driver has it");

__device__ __forceinline__ void tma_load(unsigned to, const TensorMap* map, int x, int y, unsigned barrier) {
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];" ::"r"(to),
                 "l"(map), "r"(x), "r"(y), "r"(barrier)
                 : "memory");
}

__device__ __forceinline__ void tma_load(unsigned to, const TensorMap* map, int x, int y, int z, unsigned barrier) {
    asm volatile("cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3, %4}], [%5];" ::"r"(to),
                 "l"(map), "r"(x), "r"(y), "r"(z), "r"(barrier)
                 : "memory");
}

__device__ __forceinline__ void tma_load(unsigned to, const TensorMap* map, int x, int y, int z, int w, unsigned barrier) {
    asm volatile("cp.async.bulk.tensor.4d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3, %4, %5}], [%6];" ::"r"(to),
                 "l"(map), "r"(x), "r"(y), "r"(z), "r"(w), "r"(barrier)
                 : "memory");
}

// `bytes` in a row, a multiple of 16 as both addresses are.
__device__ __forceinline__ void bulk_load(unsigned to, const void* from, unsigned bytes, unsigned barrier) {
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(to), "l"(from),
                 "r"(bytes), "r"(barrier)
                 : "memory");
}

// From shared memory, of which `wait_stores` says when it has been read. Written before by threads that fenced for the copy engine.
__device__ __forceinline__ void tma_store(const TensorMap* map, int x, int y, int z, int w, unsigned from) {
    asm volatile("cp.async.bulk.tensor.4d.global.shared::cta.tile.bulk_group [%0, {%1, %2, %3, %4}], [%5];" ::"l"(map), "r"(x), "r"(y),
                 "r"(z), "r"(w), "r"(from)
                 : "memory");
}

__device__ __forceinline__ void tma_store(const TensorMap* map, int x, int y, int z, unsigned from) {
    asm volatile("cp.async.bulk.tensor.3d.global.shared::cta.tile.bulk_group [%0, {%1, %2, %3}], [%4];" ::"l"(map), "r"(x), "r"(y), "r"(z),
                 "r"(from)
                 : "memory");
}

__device__ __forceinline__ void commit_stores() { asm volatile("cp.async.bulk.commit_group;" ::: "memory"); }

// Until what this thread's stores read has been read, those of its last PENDING groups aside.
template <int PENDING = 0>
__device__ __forceinline__ void wait_stores() {
    asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(PENDING) : "memory");
}

// Until what they write is there.
__device__ __forceinline__ void finish_stores() { asm volatile("cp.async.bulk.wait_group 0;" ::: "memory"); }
