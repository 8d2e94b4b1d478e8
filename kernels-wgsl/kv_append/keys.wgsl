// k_cache[slot[t]] = rope(k[t], positions[t]) / k_scale. A workgroup a token.

@compute @workgroup_size(THREADS)
fn kv_append_keys(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let t = item_of(group);
    if (t >= p.items) { return; }
    let slot = int_slots(t);
    if (slot < 0 || slot >= p.slots) {
        if (lane == 0u && slot != -1) { report(FAULT_SLOT); }
        return;
    }
    let position = int_positions(t);
    if (lane == 0u && (position < 0 || position >= p.positions)) { report(FAULT_POSITION); }
    let count = p.kv_heads * ((p.half + 1u) / 2u);
    for (var i = lane; i < count; i += THREADS) { append_key(t, slot, position, i); }
}
