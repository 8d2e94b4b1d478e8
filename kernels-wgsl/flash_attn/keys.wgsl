// Keys and values wherever they are kept.
fn slot_of(s: Sequence, j: i32) -> i32 {
    if (LAYOUT == PACKED) { return s.k_first + j; }
    let page = page_of(s, u32(j) / p.page_size);
    return select(-1, page * i32(p.page_size) + j % i32(p.page_size), page >= 0);
}

// Of keys (0) and of values (1).
fn scale_of(which: u32, head: u32) -> f32 {
    if (SCALES == 0u) { return 1.0; }
    return bitcast<f32>(int_seqs((p.sequences + 1u) * 8u + which * p.kv_heads + head));
}

fn key4(slot: u32, head: u32, d: u32) -> vec4<f32> {
    let at = key_place(slot, head, d);
    let count = min(p.dim - d, 4u);
    if (LAYOUT != PAGED_X_SPLIT || d % p.x_run + count <= p.x_run) { return load4_k(at.x, at.y, count); }
    var out = vec4<f32>();
    for (var i = 0u; i < count; i++) {
        let place = key_place(slot, head, d + i);
        out[i] = load_k(place.x, place.y);
    }
    return out;
}

fn value4(slot: u32, head: u32, d: u32) -> vec4<f32> {
    let at = value_place(slot, head, d);
    let count = min(p.dim - d, 4u);
    if (LAYOUT != PAGED_X_SPLIT) { return load4_v(at.x, at.y, count); }
    var out = vec4<f32>();
    for (var i = 0u; i < count; i++) { out[i] = load_v(at.x, at.y + i * p.page_size); }
    return out;
}
