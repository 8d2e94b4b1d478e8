// v_cache[slot[t]] = v[t] / v_scale. A workgroup a token; bad slots were reported with the keys.

@compute @workgroup_size(THREADS)
fn kv_append_values(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let t = item_of(group);
    if (t >= p.items) { return; }
    let slot = int_slots(t);
    if (slot < 0 || slot >= p.slots) { return; }
    let half = p.dim / 2u;
    for (var i = lane; i < p.kv_heads * half; i += THREADS) {
        let head = i / half;
        let d = i % half * 2u;
        var v = vec2<f32>(load_v(t, head * p.dim + d), load_v(t, head * p.dim + d + 1u));
        if (SCALES == 1u) { v /= load_v_scale(0u, head); }
        let at = value_place(u32(slot), head, d);
        if (LAYOUT == PAGED_X_SPLIT) {
            // Neighbours lie a page apart, side by side with other tokens'.
            store_v_cache(at.x, at.y, v.x);
            store_v_cache(at.x, at.y + p.page_size, v.y);
        } else {
            store2_v_cache(at.x, at.y, 2u, v);
        }
    }
}
