// Routing alone: a warp a token.
#include "route.cuh"

extern "C" __global__ void __launch_bounds__(32 * WARPS) moe_route(const __grid_constant__ Route r) {
    const long long step = (long long)gridDim.x * WARPS;
    for (long long t = (long long)blockIdx.x * WARPS + threadIdx.x / LANES; t < r.tokens; t += step) route_token(r, t);
}
