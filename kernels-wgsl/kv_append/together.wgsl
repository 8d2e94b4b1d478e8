// Queries, keys and values of a token in one launch, by as many workgroups as have an element for each invocation.
var<private> of_keys: bool;

fn load_x(row: u32, col: u32) -> f32 {
    if (of_keys) { return load_k(row, col); }
    return load_q(row, col);
}

@compute @workgroup_size(THREADS)
fn kv_append(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let item = item_of(group);
    if (item >= p.items) { return; }
    let t = item / p.blocks;
    let slot = int_slots(t);
    let position = int_positions(t);
    let twos = (p.half + 1u) / 2u;
    let queries = p.heads * twos;
    let keys = p.kv_heads * twos;
    let i = item % p.blocks * THREADS + lane;
    of_keys = i >= queries;
    if (i < queries) { rotate_pairs(t, position, i); }
    else if (i < queries + keys) { append_key(t, slot, position, i - queries); }
    else if (i < queries + keys + p.kv_heads * (p.dim / 2u)) { append_value(t, slot, i - queries - keys); }
    if (item % p.blocks != 0u || lane > 0u) { return; }
    let kept = slot >= 0 && slot < p.slots;
    if (!kept && slot != -1) { report(FAULT_SLOT); }
    if ((kept || p.heads > 0u) && (position < 0 || position >= p.positions)) { report(FAULT_POSITION); }
}
