// Launches that overlap (sm_90): a kernel may start while the one before it in the stream still runs. Earlier devices launch one
// after the other, and there is nothing to wait for.
//
// Rows of variants.toml with `pdl = true` are launched so. Each of their kernels waits before it reads or writes memory, weights
// too: the launch before may have written anything. Asking for weights in L2 before the wait was slower than not asking.
#pragma once

// Until the kernels before this one are through and what they wrote is seen. Nothing of theirs may be touched earlier.
__device__ __forceinline__ void wait_for_predecessor() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

// Lets the next kernel start once every block said so; it waits itself for what it reads. Said right behind the wait.
__device__ __forceinline__ void allow_successor() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}
