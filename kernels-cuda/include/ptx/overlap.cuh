// Launches that overlap (sm_90): a kernel may start while the one before it in the stream still runs.
#pragma once

// Until the kernels before this one are through and what they wrote is seen. Nothing of theirs may be touched earlier.
__device__ __forceinline__ void wait_for_predecessor() { asm volatile("griddepcontrol.wait;" ::: "memory"); }

// Lets the next kernel start once every block said so; it waits itself for what it reads.
__device__ __forceinline__ void allow_successor() { asm volatile("griddepcontrol.launch_dependents;" ::: "memory"); }
