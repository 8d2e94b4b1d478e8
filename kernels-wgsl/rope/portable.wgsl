// Rotary position embedding. A workgroup a token.

@compute @workgroup_size(THREADS)
fn rope(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let t = item_of(group);
    if (t >= p.items) { return; }
    let position = int_positions(t);
    if (lane == 0u && (position < 0 || position >= p.positions)) { report(FAULT_POSITION); }
    let twos = (p.half + 1u) / 2u;
    for (var i = lane; i < p.heads * twos; i += THREADS) {
        let head = i / twos * 2u * p.half;
        let first = i % twos * 2u;
        let count = min(p.half - first, 2u);
        let y = rotated(load_pairs(t, head, first, count), position, first, count);
        if (INTERLEAVED == 1u) {
            store4_y(t, head + 2u * first, 2u * count, vec4<f32>(y.a.x, y.b.x, y.a.y, y.b.y));
        } else {
            store2_y(t, head + first, count, y.a);
            store2_y(t, head + p.half + first, count, y.b);
        }
    }
}
