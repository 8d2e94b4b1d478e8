// The product of dense weights and rows of the same type on wgmma. Whether results are staged, STAGED, is said before this is included.
#pragma once
constexpr bool TILED = false;
#include "pipeline_sm90.cuh"
#include "ptx/wgmma.cuh"

template <class T>
struct Dense {
    template <int N>
    struct Product {
        // A tile's sums on a warpgroup, N rows of `a`. The wgmmas of a step are under way while the next one is waited for.
        static __device__ __forceinline__ bool multiply(float* d, Ring<STAGES>& ring, const Stages& stages, int steps) {
            const int lane = threadIdx.x % 32, group = __shfl_sync(ALL_LANES, threadIdx.x / 128 - 1, 0); // the same for a warp: keeps descriptors in uniform registers
            unsigned before = 0;
            const auto step = [&](unsigned add) {
                barrier_wait(stages.full(ring.stage), ring.parity);
                const unsigned long long w = matrix_descriptor(stages.weights(ring.stage) + group * 64 * 128);
                const unsigned long long rows = matrix_descriptor(stages.rows(ring.stage));
                wgmma_fence();
#pragma unroll
                for (int i = 0; i < 4; i++) Wgmma<N>::run(T{}, d, w + 2 * i, rows + 2 * i, i > 0 ? 1 : add);
                wgmma_commit();
            };
            step(0); // defines the sums
            before = ring.stage;
            ring.next();
#pragma unroll 1
            for (int left = steps - 1; left > 0; left--) {
                step(1);
                wgmma_wait<1>();
                if (lane == 0) barrier_arrive(stages.empty(before));
                before = ring.stage;
                ring.next();
            }
            wgmma_wait<0>();
            if (lane == 0) barrier_arrive(stages.empty(before));
            return true;
        }
    };
};
static_assert(STEPS == 1, "a stage is a step");
