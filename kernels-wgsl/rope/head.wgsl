// Two neighbouring pairs of a head, rotated: pairs `i` and the next of all heads' ones.
fn rotate_pairs(t: u32, position: i32, i: u32) {
    let twos = (p.half + 1u) / 2u;
    let head = i / twos * 2u * p.half;
    let first = i % twos * 2u;
    let count = min(p.half - first, 2u);
    let y = rotated(load_pairs(t, head, first, count), position, first, count);
    if (INTERLEAVED == 1u) {
        store4_y(t, head + 2u * first, 2u * count, vec4<f32>(y.a.x, y.b.x, y.a.y, y.b.y));
    } else {
        store2_y(t, head + first, count, y.a);
        store2_y(t, head + p.half + first, count, y.b);
    }
}
