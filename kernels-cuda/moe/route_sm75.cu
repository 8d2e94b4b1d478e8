// Routing alone.
#include "route.cuh"

extern "C" __global__ void __launch_bounds__(32 * WARPS) moe_route(const __grid_constant__ Route r) {
    route_tokens(r, warp_tokens(int(r.tokens)), [](int, int) {});
}
