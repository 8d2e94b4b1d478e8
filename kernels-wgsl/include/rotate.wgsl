// Rotation of pairs: a' = a cos - b sin, b' = b cos + a sin. An invocation owns two neighbouring pairs of a head.

struct Pairs {
    a: vec2<f32>,
    b: vec2<f32>,
}

// Zeros where the table does not have the position: not a product with zero, an element may be infinite. The first pair stands in for
// a second that is not there: a loop over those that are would let one read wait for another.
fn rotated(pairs: Pairs, position: i32, first: u32, count: u32) -> Pairs {
    if (position < 0 || position >= p.positions) { return Pairs(); }
    let row = u32(position);
    let next = first + count - 1u;
    let c = vec2<f32>(load_cos(row, first), load_cos(row, next));
    let s = vec2<f32>(load_sin(row, first), load_sin(row, next));
    return Pairs(pairs.a * c - pairs.b * s, pairs.b * c + pairs.a * s);
}

// Columns of both elements of pair `n` of the head that starts at column `head`.
fn pair_at(head: u32, n: u32) -> vec2<u32> {
    if (INTERLEAVED == 1u) { return vec2<u32>(head + 2u * n, head + 2u * n + 1u); }
    return vec2<u32>(head + n, head + n + p.half);
}

// Pairs first .. first + count of that head.
fn load_pairs(row: u32, head: u32, first: u32, count: u32) -> Pairs {
    let at = pair_at(head, first);
    let next = pair_at(head, first + count - 1u);
    return Pairs(vec2<f32>(load_x(row, at.x), load_x(row, next.x)), vec2<f32>(load_x(row, at.y), load_x(row, next.y)));
}
