// Bulk stores that must be there before the next ones (sm_90).
#pragma once

// Until what this thread's bulk stores wrote is there.
__device__ __forceinline__ void finish_stores() { asm volatile("cp.async.bulk.wait_group 0;" ::: "memory"); }
