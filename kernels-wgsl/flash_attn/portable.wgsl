// Attention with sinks in f32, any types, any store. A workgroup has BLOCK_M rows of one key head, a row being a query and one of
// the heads that share it, and walks the keys they see BLOCK_N at a time. TEAM invocations share a row: each scores some of the
// keys, then owns EACH fours of the output.
const FOURS: u32 = (HEAD_DIM + 3u) / 4u;
const LINE: u32 = FOURS + 1u; // padded against bank conflicts
const TEAM: u32 = THREADS / BLOCK_M;
const EACH: u32 = (FOURS + TEAM - 1u) / TEAM;
const UNSEEN: f32 = -1.0; // in place of a probability, which is never negative
const LSE_NONE: u32 = 0u;
const LSE_WITH_SINK: u32 = 1u;

struct Tile {
    s: Sequence,
    first: i32, // row; -1: behind the last tile
}

var<workgroup> tile: Tile;
var<workgroup> q_tile: array<vec4<f32>, BLOCK_M * LINE>;
var<workgroup> kv_tile: array<vec4<f32>, BLOCK_N * LINE>;
var<workgroup> slots: array<i32, BLOCK_N>;
var<workgroup> scores: array<f32, BLOCK_M * BLOCK_N>;

fn find_tile(index: i32) -> Tile {
    var s = 0u;
    for (var step = p.first_step; step > 0u; step /= 2u) {
        if (s + step < p.sequences && int_seqs((s + step) * 8u + 4u) <= index) { s += step; }
    }
    let first = (index - int_seqs(s * 8u + 4u)) * i32(BLOCK_M);
    return Tile(sequence(s), select(-1, first, index < int_seqs(p.sequences * 8u + 4u)));
}

fn slot_of(s: Sequence, j: i32) -> i32 {
    if (LAYOUT == PACKED) { return s.k_first + j; }
    let page = page_of(s, u32(j) / p.page_size);
    return select(-1, page * i32(p.page_size) + j % i32(p.page_size), page >= 0);
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

@compute @workgroup_size(THREADS)
fn flash_attn(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let item = item_of(group);
    if (item >= p.items) { return; }
    let kv_head = item % p.kv_heads;
    if (lane == 0u) { tile = find_tile(i32(item / p.kv_heads)); }
    let t = workgroupUniformLoad(&tile);
    if (t.first < 0) { return; }
    let rows = t.s.q_len * p.heads_each;

    for (var i = lane; i < BLOCK_M * FOURS; i += THREADS) {
        let row = t.first + i32(i / FOURS);
        let d = i % FOURS * 4u;
        var q = vec4<f32>();
        if (row < rows) {
            let head = kv_head * u32(p.heads_each) + u32(row % p.heads_each);
            q = load4_q(u32(t.s.q_first + row / p.heads_each), head * p.dim + d, min(p.dim - d, 4u));
        }
        q_tile[i / FOURS * LINE + i % FOURS] = q;
    }

    let m = lane / TEAM;
    let member = lane % TEAM;
    let row = t.first + i32(m);
    let mine = row < rows;
    let r = row / p.heads_each;
    let head = kv_head * u32(p.heads_each) + u32(row % p.heads_each);
    var seen = vec2<i32>();
    if (mine) { seen = visible(t.s, r); }
    // What some row of the tile sees.
    let last_row = min(t.first + i32(BLOCK_M), rows) - 1;
    let begin = visible(t.s, t.first / p.heads_each).x;
    let end = visible(t.s, last_row / p.heads_each).y;

    var most = bitcast<f32>(p.minus_infinity);
    var sum = 0.0;
    var out = array<vec4<f32>, EACH>();
    for (var j = begin; j < end; j += i32(BLOCK_N)) {
        if (lane < BLOCK_N) {
            slots[lane] = -1;
            if (j + i32(lane) < end) { slots[lane] = slot_of(t.s, j + i32(lane)); }
        }
        workgroupBarrier();
        for (var i = lane; i < BLOCK_N * FOURS; i += THREADS) {
            let slot = slots[i / FOURS];
            var k = vec4<f32>();
            if (slot >= 0) { k = key4(u32(slot), kv_head, i % FOURS * 4u); }
            kv_tile[i / FOURS * LINE + i % FOURS] = k;
        }
        workgroupBarrier();
        for (var n = member; n < BLOCK_N; n += TEAM) {
            var z = 0.0;
            for (var d = 0u; d < FOURS; d++) { z += dot(q_tile[m * LINE + d], kv_tile[n * LINE + d]); }
            scores[m * BLOCK_N + n] = z * p.sm_scale;
        }
        workgroupBarrier();
        // Values take the place of the keys.
        for (var i = lane; i < BLOCK_N * FOURS; i += THREADS) {
            let slot = slots[i / FOURS];
            var v = vec4<f32>();
            if (slot >= 0) { v = value4(u32(slot), kv_head, i % FOURS * 4u); }
            kv_tile[i / FOURS * LINE + i % FOURS] = v;
        }
        let before = most;
        for (var n = 0u; n < BLOCK_N; n++) {
            let z = scores[m * BLOCK_N + n];
            let there = slots[n] >= 0 && j + i32(n) >= seen.x && j + i32(n) < seen.y;
            if (there && z > most) { most = z; } // a NaN is no maximum
        }
        workgroupBarrier();
        let none = is_minus_infinity(most);
        for (var n = member; n < BLOCK_N; n += TEAM) {
            let there = slots[n] >= 0 && j + i32(n) >= seen.x && j + i32(n) < seen.y;
            var weight = UNSEEN;
            if (there) { weight = weight_of(scores[m * BLOCK_N + n], most, none); }
            scores[m * BLOCK_N + n] = weight;
        }
        workgroupBarrier();
        let carry = weight_of(before, most, none);
        sum *= carry;
        for (var i = 0u; i < EACH; i++) { out[i] *= carry; }
        for (var n = 0u; n < BLOCK_N; n++) {
            let weight = scores[m * BLOCK_N + n];
            // What is not visible is not even multiplied by zero.
            if (weight == UNSEEN) { continue; }
            sum += weight;
            for (var i = 0u; i < EACH; i++) {
                if (i * TEAM + member < FOURS) { out[i] += weight * kv_tile[n * LINE + i * TEAM + member]; }
            }
        }
        workgroupBarrier();
    }

    if (!mine) { return; }
    var sink = bitcast<f32>(p.minus_infinity);
    // A sum of zero: no visible key, or only scores of -inf. The largest adds 1 otherwise.
    let empty = sum == 0.0;
    var total = sum;
    if (SINKS == 1u) {
        sink = load_sinks(0u, head);
        total += exp(sink - most);
    }
    let q_row = u32(t.s.q_first + r);
    for (var i = 0u; i < EACH; i++) {
        let d = (i * TEAM + member) * 4u;
        if (d < p.dim) { store4_out(q_row, head * p.dim + d, min(p.dim - d, 4u), select(out[i] / total, vec4<f32>(), empty)); }
    }
    if (LSE != LSE_NONE && member == 0u) {
        var keys = most + log(sum);
        if (empty) { keys = bitcast<f32>(p.minus_infinity); }
        if (LSE == LSE_WITH_SINK && SINKS == 1u) { keys = log_add_exp(keys, sink); }
        store_lse(q_row, head, keys);
    }
}
