// k_cache[slot[t]] = rope(k[t], positions[t]) / k_scale. A workgroup a token.

fn store_key(slot: u32, head: u32, d: u32, count: u32, keys: vec2<f32>) {
    let at = key_place(slot, head, d);
    if (count == 2u && (LAYOUT != PAGED_X_SPLIT || d % p.x_run + 1u < p.x_run)) {
        store2_k_cache(at.x, at.y, 2u, keys);
        return;
    }
    store_k_cache(at.x, at.y, keys.x);
    if (count == 2u) {
        let next = key_place(slot, head, d + 1u);
        store_k_cache(next.x, next.y, keys.y);
    }
}

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
    let twos = (p.half + 1u) / 2u;
    for (var i = lane; i < p.kv_heads * twos; i += THREADS) {
        let head = i / twos;
        let first = i % twos * 2u;
        let count = min(p.half - first, 2u);
        var k = rotated(load_pairs(t, head * p.dim, first, count), position, first, count);
        if (SCALES == 1u) {
            let scale = load_k_scale(0u, head);
            k = Pairs(k.a / scale, k.b / scale);
        }
        if (INTERLEAVED == 1u) {
            store_key(u32(slot), head, 2u * first, 2u, vec2<f32>(k.a.x, k.b.x));
            if (count == 2u) { store_key(u32(slot), head, 2u * first + 2u, 2u, vec2<f32>(k.a.y, k.b.y)); }
        } else {
            store_key(u32(slot), head, first, count, k.a);
            store_key(u32(slot), head, p.half + first, count, k.b);
        }
    }
}
