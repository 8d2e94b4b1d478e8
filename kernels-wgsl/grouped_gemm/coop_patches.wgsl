// Results of cooperative matrices on their way out: 16 x 16 for every 32 invocations.
var<workgroup> patches: array<f32, THREADS * 8u>;

// 16 rows and columns that lie in an invocation's patch: half a row each. `scaled` undoes what made them fit f16.
fn finish_patch(t: Tile, row: u32, col: u32, local: i32, lane: u32) {
    workgroupBarrier();
    let r = t.first + i32(row + lane % 32u / 2u);
    let at = lane / 32u * 256u + lane % 32u * 8u;
    if (r < t.last) {
        for (var i = 0u; i < 8u; i += 4u) {
            let y = vec4<f32>(patches[at + i], patches[at + i + 1u], patches[at + i + 2u], patches[at + i + 3u]);
            let first = col + lane % 2u * 8u + i;
            if (first < p.n) { finish(u32(r), first, scaled(u32(r), first, y), local, true); }
        }
    }
    workgroupBarrier();
}
