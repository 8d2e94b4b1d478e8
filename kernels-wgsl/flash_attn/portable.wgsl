// Attention with sinks in f32, any types, any store. A workgroup has BLOCK_M rows of one key head, a row being a query and one of
// the heads that share it, and walks the keys they see BLOCK_N at a time. TEAM invocations share a row: each scores some of the
// keys, then owns EACH fours of the output. With more splits than one, workgroups share the keys of a tile, and what they find is
// put together by split.wgsl.
const LINE: u32 = FOURS + 1u; // padded against bank conflicts
const TEAM: u32 = THREADS / BLOCK_M;
const EACH: u32 = (FOURS + TEAM - 1u) / TEAM;
const FETCHED: u32 = (BLOCK_N * FOURS + THREADS - 1u) / THREADS; // fours of a key or value that an invocation brings

var<workgroup> q_tile: array<vec4<f32>, BLOCK_M * LINE>;
var<workgroup> kv_tile: array<vec4<f32>, BLOCK_N * LINE>;
var<workgroup> slots: array<i32, BLOCK_N>;
var<workgroup> scores: array<f32, BLOCK_M * BLOCK_N>;

@compute @workgroup_size(THREADS)
fn flash_attn(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let item = item_of(group);
    if (item >= p.items) { return; }
    let split = i32(item) % p.splits;
    let kv_head = item / u32(p.splits) % p.kv_heads;
    if (lane == 0u) { tile = find_tile(i32(item / u32(p.splits) / p.kv_heads), item == 0u); }
    let t = workgroupUniformLoad(&tile);
    if (t.first < 0) { return; }
    var range = seen_by(t);
    if (SPLIT == 1u) {
        let each = split_keys(range);
        range = vec2<i32>(range.x + split * each, min(range.y, range.x + (split + 1) * each));
        if (range.x >= range.y) { return; }
    }
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

    let k_scale = scale_of(0u, kv_head);
    let v_scale = scale_of(1u, kv_head);
    let m = lane / TEAM;
    let member = lane % TEAM;
    let row = t.first + i32(m);
    let mine = row < rows;
    let r = row / p.heads_each;
    let head = kv_head * u32(p.heads_each) + u32(row % p.heads_each);
    var seen = vec2<i32>();
    if (mine) { seen = visible(t.s, r); }
    var most = bitcast<f32>(p.minus_infinity);
    var sum = 0.0;
    var out = array<vec4<f32>, EACH>();
    for (var j = range.x; j < range.y; j += i32(BLOCK_N)) {
        if (lane < BLOCK_N) {
            slots[lane] = -1;
            if (j + i32(lane) < range.y) { slots[lane] = slot_of(t.s, j + i32(lane)); }
        }
        workgroupBarrier();
        // Values are on their way while keys are scored.
        var values = array<vec4<f32>, FETCHED>();
        for (var n = 0u; n < FETCHED; n++) {
            let i = n * THREADS + lane;
            if (i >= BLOCK_N * FOURS) { break; }
            let slot = slots[i / FOURS];
            var k = vec4<f32>();
            if (slot >= 0) {
                k = k_scale * key4(u32(slot), kv_head, i % FOURS * 4u);
                values[n] = v_scale * value4(u32(slot), kv_head, i % FOURS * 4u);
            }
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
        for (var n = 0u; n < FETCHED; n++) {
            let i = n * THREADS + lane;
            if (i < BLOCK_N * FOURS) { kv_tile[i / FOURS * LINE + i % FOURS] = values[n]; }
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
    let q_row = u32(t.s.q_first + r);
    if (SPLIT == 1u) {
        let at = (q_row * u32(p.heads_each) * p.kv_heads + head) * u32(p.splits) + u32(split);
        for (var i = 0u; i < EACH; i++) {
            let four = i * TEAM + member;
            if (four < FOURS) { store4_partials(at, four * 4u, 4u, out[i]); }
        }
        if (member == 0u) { store4_partials(at, FOURS * 4u, 4u, vec4<f32>(most, sum, 0.0, 0.0)); }
        return;
    }
    for (var i = 0u; i < EACH; i++) {
        let d = (i * TEAM + member) * 4u;
        if (d < p.dim) { finish_four(q_row, head, d, out[i], most, sum); }
    }
    if (member == 0u) { finish_lse(q_row, head, most, sum); }
}
