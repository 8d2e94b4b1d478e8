// The product of prepacked MXFP4 and bf16 on wgmma. Whether results are staged, STAGED, is said before this is included.
#pragma once
constexpr bool TILED = true;
#include "pipeline_sm90.cuh"
#include "ptx/wgmma.cuh"

template <bool VALUE>
struct Bool {
    static constexpr bool value = VALUE;
};

// A tile's sums on a warpgroup, N rows of `a`. While two wgmmas of half a step are under way, the next half becomes bf16 in
// the other set of registers. Were all scales in range?
template <int N>
struct Product {
    static __device__ __forceinline__ bool multiply(float* d, Ring<STAGES>& ring, const Stages& stages, int steps) {
        constexpr int TOGETHER = BLOCK_M <= 128 ? STEPS : 1; // steps whose codes are loaded together, as registers permit
        const int thread = threadIdx.x % 128, lane = thread % 32, group = threadIdx.x / 128 - 1;
        const int tile = (group * 4 + thread / 32) * STEPS * TILE_BYTES;
        unsigned even[8], odd[8], before = 0, good = 0x80808080;
        const auto issue = [&](const unsigned* w, unsigned at, unsigned add) {
            const unsigned long long rows = matrix_descriptor(at);
            wgmma_fence();
            Wgmma<N>::run(MmaBf16{}, d, w, rows, add);
            Wgmma<N>::run(MmaBf16{}, d, w + 4, rows + 2, 1);
            wgmma_commit();
        };
        const auto stage = [&](auto first, int left) {
            constexpr bool FIRST = decltype(first)::value;
            barrier_wait(stages.full(ring.stage), ring.parity);
            uint4 codes[TOGETHER];
            unsigned scales[TOGETHER];
#pragma unroll
            for (int s = 0; s < STEPS; s++) {
                if (s % TOGETHER == 0) {
#pragma unroll
                    for (int j = 0; j < TOGETHER; j++) {
                        const unsigned at = stages.weights(ring.stage) + tile + (s + j) * TILE_BYTES;
                        codes[j] = load_shared_128(at + lane * 16);
                        scales[j] = load_shared_32(at + tile_scales(lane / 4));
                    }
                }
                const uint4 w = codes[s % TOGETHER];
                const unsigned scale = scales[s % TOGETHER], rows = stages.rows(ring.stage) + s * N * 128;
                good &= STEPS == 1 || s < left ? in_range(scale) : ~0u; // zeros behind the end of K
                const unsigned low = block_factor(scale, 0, 0), high = block_factor(scale, 1, 0);
                scaled_pairs(w.x, low, high, even), scaled_pairs(w.y, low, high, even + 4);
                issue(even, rows, FIRST && s == 0 ? 0 : 1);
                if (!(FIRST && s == 0)) wgmma_wait<1>();
                if (!FIRST && s == 0 && lane == 0) barrier_arrive(stages.empty(before));
                const unsigned low2 = block_factor(scale, 0, 1), high2 = block_factor(scale, 1, 1);
                scaled_pairs(w.z, low2, high2, odd), scaled_pairs(w.w, low2, high2, odd + 4);
                issue(odd, rows + 64, 1);
                wgmma_wait<1>();
            }
            before = ring.stage;
            ring.next();
        };
        // The first stage is peeled off: its first wgmma defines the sums.
        stage(Bool<true>{}, steps);
        for (int left = steps - STEPS; left > 0; left -= STEPS) stage(Bool<false>{}, left);
        wgmma_wait<0>();
        if (lane == 0) barrier_arrive(stages.empty(before));
        return (good & 0x80808080) == 0x80808080;
    }
};
