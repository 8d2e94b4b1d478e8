// Barriers in shared memory that count arrivals and bytes of bulk copies (sm_90). `parity` is that of the phase waited for:
// 0 the first one. A fresh barrier counts as having finished a phase of parity 1.
#pragma once

__device__ __forceinline__ void barrier_init(unsigned at, unsigned arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(at), "r"(arrivals) : "memory");
}

// Initialised barriers are seen by the other threads and by the copy engine after a block barrier.
__device__ __forceinline__ void barrier_init_fence() {
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

__device__ __forceinline__ void barrier_arrive(unsigned at) {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(at) : "memory");
}

// Arrives, and lets the phase wait for `bytes` more of bulk copies.
__device__ __forceinline__ void barrier_expect(unsigned at, unsigned bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(at), "r"(bytes) : "memory");
}

__device__ __forceinline__ bool barrier_done(unsigned at, unsigned parity) {
    unsigned done;
    asm volatile("{ .reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2; selp.u32 %0, 1, 0, p; }"
                 : "=r"(done)
                 : "r"(at), "r"(parity)
                 : "memory");
    return done;
}

// The loop is part of the instruction text: its edges keep the assembler from moving a wgmma wait over it.
__device__ __forceinline__ void barrier_wait(unsigned at, unsigned parity) {
    asm volatile("{ .reg .pred p;\n"
                 "again_%=: mbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1;\n"
                 "@!p bra again_%=; }" ::"r"(at),
                 "r"(parity)
                 : "memory");
}

// A ring of COUNT stages: where this thread stands and the parity of its round.
template <int COUNT>
struct Ring {
    unsigned stage = 0, parity = 0;
    __device__ __forceinline__ void next() {
        if (++stage == COUNT) stage = 0, parity ^= 1;
    }
};
