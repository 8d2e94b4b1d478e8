// Which tile a block has. Blocks go to the eight dies of an MI300 in turn, each with its own L2: a die gets groups of tiles that
// share rows of `a` and weight rows.
#pragma once

constexpr int DIES = 8, GROUP = 4; // tiles of a group in either direction: `tiles` in src/hip/grouped_gemm.rs

struct Place {
    int row, column; // of tiles
};

__device__ __forceinline__ Place place_of(const GroupedGemmParams& p, unsigned block) {
    const unsigned slot = block / DIES, group = slot / (GROUP * GROUP) * DIES + block % DIES, inside = slot % (GROUP * GROUP);
    const unsigned across = (p.n + GROUP * BLOCK_N - 1) / (GROUP * BLOCK_N);
    return {int(group / across * GROUP + inside % GROUP), int(group % across * GROUP + inside / GROUP)};
}
