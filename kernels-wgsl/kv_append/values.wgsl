// v_cache[slot[t]] = v[t] / v_scale. A workgroup a token; bad slots were reported with the keys.

@compute @workgroup_size(THREADS)
fn kv_append_values(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let t = item_of(group);
    if (t >= p.items) { return; }
    let slot = int_slots(t);
    for (var i = lane; i < p.kv_heads * (p.dim / 2u); i += THREADS) { append_value(t, slot, i); }
}
