// Values of a token: two neighbouring elements of a head, divided by the head's scale, and written.

fn append_value(t: u32, slot: i32, i: u32) {
    let half = p.dim / 2u;
    let head = i / half;
    let d = i % half * 2u;
    var v = vec2<f32>(load_v(t, head * p.dim + d), load_v(t, head * p.dim + d + 1u));
    if (SCALES == 1u) { v /= load_v_scale(0u, head); }
    if (slot < 0 || slot >= p.slots) { return; }
    let at = value_place(u32(slot), head, d);
    if (LAYOUT == PAGED_X_SPLIT) {
        // Neighbours lie a page apart, side by side with other tokens'.
        store_v_cache(at.x, at.y, v.x);
        store_v_cache(at.x, at.y + p.page_size, v.y);
    } else {
        store2_v_cache(at.x, at.y, 2u, v);
    }
}
