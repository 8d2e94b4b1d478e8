// Route and sort, or sort alone, in one block: few tokens.
#include "dispatch.cuh"

extern "C" __global__ void __launch_bounds__(32 * WARPS) moe_dispatch(const __grid_constant__ Dispatch d) {
    sort_in_one_block(d.sort, warp_assignments(d, d.with_route));
}
