// Keys of a token: two neighbouring pairs of a head, rotated, divided by the head's scale, and written.

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

// Pairs `i` and the next of all heads' ones. They are asked for before anything depends on the slot.
fn append_key(t: u32, slot: i32, position: i32, i: u32) {
    let twos = (p.half + 1u) / 2u;
    let head = i / twos;
    let first = i % twos * 2u;
    let count = min(p.half - first, 2u);
    var k = rotated(load_pairs(t, head * p.dim, first, count), position, first, count);
    if (SCALES == 1u) {
        let scale = load_k_scale(0u, head);
        k = Pairs(k.a / scale, k.b / scale);
    }
    if (slot < 0 || slot >= p.slots) { return; }
    let row = u32(slot);
    if (INTERLEAVED == 1u) {
        store_key(row, head, 2u * first, 2u, vec2<f32>(k.a.x, k.b.x));
        if (count == 2u) { store_key(row, head, 2u * first + 2u, 2u, vec2<f32>(k.a.y, k.b.y)); }
    } else {
        store_key(row, head, first, count, k.a);
        store_key(row, head, p.half + first, count, k.b);
    }
}
