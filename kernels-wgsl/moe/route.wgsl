// A workgroup a token.

@compute @workgroup_size(THREADS)
fn moe_route(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let t = item_of(group);
    if (t >= p.items) { return; }
    route_token(t, lane);
}
