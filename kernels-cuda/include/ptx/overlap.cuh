// Launches that overlap (sm_90): a kernel may start while the one before it in the stream still runs. Earlier devices launch one
// after the other, and there is nothing to wait for.
//
// Rows of variants.toml with `pdl = true` are launched so. Each of their kernels waits before it reads or writes memory; weights
// of few rows are the exception (docs/architecture.md), and go straight to registers: asking for them in L2 was slower than not asking.
#pragma once

// Until the kernels before this one are through and what they wrote is seen. Nothing of theirs may be touched earlier.
__device__ __forceinline__ void wait_for_predecessor() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

// The same behind loads of what the kernel before this one does not write: they are under way by then. `always` is true, which
// the assembler must not know: within a basic block it moves loads behind the wait.
__device__ __forceinline__ void wait_behind_loads(bool always) {
#if __CUDA_ARCH__ >= 900
    asm volatile("{ .reg .pred p; setp.eq.u32 p, %0, 0; @p bra over_%=; griddepcontrol.wait; over_%=: }" ::"r"(unsigned(always)) : "memory");
#endif
}

// Lets the next kernel start once every block said so; it waits itself for what it reads. Said right behind the wait, or in front of
// it by small kernels, during which the next one's weights can come.
__device__ __forceinline__ void allow_successor() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}
