// Route and sort, or sort alone, over many blocks: any number of tokens.
#include "dispatch.cuh"

extern "C" __global__ void __launch_bounds__(32 * WARPS) moe_count(const __grid_constant__ Dispatch d) {
    count_block(d.sort, warp_assignments(d, d.with_route));
}

extern "C" __global__ void __launch_bounds__(32 * WARPS) moe_place(const __grid_constant__ Dispatch d) {
    place_block(d.sort, warp_assignments(d, false));
}
