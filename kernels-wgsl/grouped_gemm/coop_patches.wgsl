// Results of cooperative matrices on their way out: SIDE x SIDE for every 32 invocations.
var<workgroup> patches: array<f32, THREADS / 32 * SIDE * SIDE>;

// The rows and columns of a patch, by fours. `scaled` undoes what made them fit f16.
fn finish_patch(t: Tile, row: u32, col: u32, local: i32, lane: u32) {
    workgroupBarrier();
    for (var i = lane % 32u; i < SIDE * SIDE / 4u; i += 32u) {
        let r = t.first + i32(row + i / (SIDE / 4u));
        let first = col + i % (SIDE / 4u) * 4u;
        if (r < t.last && first < p.n) {
            let at = lane / 32u * SIDE * SIDE + i * 4u;
            let y = vec4<f32>(patches[at], patches[at + 1u], patches[at + 2u], patches[at + 3u]);
            finish(u32(r), first, scaled(u32(r), first, y), local, true);
        }
    }
    workgroupBarrier();
}
