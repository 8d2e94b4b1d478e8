// Numbers as integers that compare the same way: 0 for nothing, 1 for NaN, then -inf upwards; -0 equals 0. Exact whatever a
// driver makes of NaN and infinity.
const MINUS_INFINITY: u32 = 0x007fffffu;
const INFINITY: u32 = 0xff800000u;

fn rank_of(logit: f32) -> u32 {
    if (is_nan(logit)) { return 1u; }
    var bits = bitcast<u32>(logit);
    if (bits == 0x80000000u) { bits = 0u; }
    return select(bits | 0x80000000u, ~bits, (bits >> 31u) == 1u);
}

fn logit_of(rank: u32) -> f32 {
    return bitcast<f32>(select(~rank, rank & 0x7fffffffu, (rank >> 31u) == 1u));
}

// Of two ranks with their indices: the higher, the lower index where they are equal.
fn better(a: vec2<u32>, b: vec2<u32>) -> bool {
    return a.x > b.x || (a.x == b.x && a.y < b.y);
}
