// Rotation of pairs: a' = a cos - b sin, b' = b cos + a sin. An invocation owns two neighbouring pairs of a head.

struct Pairs {
    a: vec2<f32>,
    b: vec2<f32>,
}

// Zeros where the table does not have the position: not a product with zero, an element may be infinite.
fn rotated(pairs: Pairs, position: i32, first: u32, count: u32) -> Pairs {
    var out = Pairs();
    if (position < 0 || position >= p.positions) { return out; }
    for (var i = 0u; i < count; i++) {
        let c = load_cos(u32(position), first + i);
        let s = load_sin(u32(position), first + i);
        out.a[i] = pairs.a[i] * c - pairs.b[i] * s;
        out.b[i] = pairs.b[i] * c + pairs.a[i] * s;
    }
    return out;
}

// Pairs first .. first + count of the head that starts at column `head`.
fn load_pairs(row: u32, head: u32, first: u32, count: u32) -> Pairs {
    var out = Pairs();
    for (var i = 0u; i < count; i++) {
        let n = first + i;
        out.a[i] = load_x(row, head + select(n, 2u * n, INTERLEAVED == 1u));
        out.b[i] = load_x(row, head + select(n + p.half, 2u * n + 1u, INTERLEAVED == 1u));
    }
    return out;
}
