// Tiles of BLOCK_M rows of a sequence, a row being a query and one of the heads that share a key head; and the arithmetic of
// results that are put together from parts.
const FOURS: u32 = (HEAD_DIM + 3u) / 4u;
const UNSEEN: f32 = -1.0; // in place of a probability, which is never negative
const LSE_NONE: u32 = 0u;
const LSE_WITH_SINK: u32 = 1u;

var<workgroup> tile: Tile;

// Keys that some row of the tile sees.
fn seen_by(t: Tile) -> vec2<i32> {
    let rows = t.s.q_len * p.heads_each;
    let last_row = min(t.first + i32(BLOCK_M), rows) - 1;
    return vec2<i32>(visible(t.s, t.first / p.heads_each).x, visible(t.s, last_row / p.heads_each).y);
}

// How many of them a part of p.splits has.
fn split_keys(seen: vec2<i32>) -> i32 {
    let each = (seen.y - seen.x + p.splits - 1) / p.splits;
    return (max(each, 1) + BLOCK_N - 1) / BLOCK_N * BLOCK_N;
}

// exp(z - most); 0 where there is nothing yet, and NaN stays NaN.
fn weight_of(z: f32, most: f32, none: bool) -> f32 {
    return exp(z - select(most, 0.0, none));
}

fn is_minus_infinity(x: f32) -> bool {
    return bitcast<u32>(x) == 0xff800000u;
}

fn log_add_exp(a: f32, b: f32) -> f32 {
    let more = select(b, a, a > b);
    let less = select(a, b, a > b);
    if (is_minus_infinity(less)) { return more; }
    return more + log_1p(exp(less - more));
}

// ln(1 + x) for x from 0 to 1: the rounding of 1 + x is made good.
fn log_1p(x: f32) -> f32 {
    let y = 1.0 + x;
    return log(y) + (x - (y - 1.0)) / y;
}

// Divides the sum of weighted values by the sum of weights and the sink's, four elements from d on.
fn finish_four(q_row: u32, head: u32, d: u32, out: vec4<f32>, most: f32, sum: f32) {
    var total = sum;
    if (SINKS == 1u) { total += exp(load_sinks(0u, head) - most); }
    // A sum of zero: no visible key, or only scores of -inf. The largest adds 1 otherwise.
    store4_out(q_row, head * p.dim + d, min(p.dim - d, 4u), select(out / total, vec4<f32>(), sum == 0.0));
}

fn finish_lse(q_row: u32, head: u32, most: f32, sum: f32) {
    if (LSE == LSE_NONE) { return; }
    var keys = most + log(sum);
    if (sum == 0.0) { keys = bitcast<f32>(p.minus_infinity); }
    if (LSE == LSE_WITH_SINK && SINKS == 1u) { keys = log_add_exp(keys, load_sinks(0u, head)); }
    store_lse(q_row, head, keys);
}
