// Rotary position embedding. A workgroup a token.

@compute @workgroup_size(THREADS)
fn rope(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let t = item_of(group);
    if (t >= p.items) { return; }
    let position = int_positions(t);
    if (lane == 0u && (position < 0 || position >= p.positions)) { report(FAULT_POSITION); }
    for (var i = lane; i < p.heads * ((p.half + 1u) / 2u); i += THREADS) { rotate_pairs(t, position, i); }
}
