// Attention of few rows with many keys in f32, heads of 64 elements, any store whose fours are whole. A workgroup has BLOCK_M rows
// of one key head and a part of the keys they see, and walks them BLOCK_N at a time; split.wgsl puts parts together. Keys and
// values go from memory to registers, where every row uses them: LANES invocations share a key, each with its fours of all
// rows' scores; then GROUPS invocations share a four of all rows' output, each with its keys. In between, an invocation weighs
// keys of one row. A line with $m or $n stands for one line for each row, or for each four that an invocation loads.
const LANES: u32 = THREADS / BLOCK_N;
const GROUPS: u32 = THREADS / FOURS;
const TEAM: u32 = THREADS / BLOCK_M; // invocations that weigh keys of a row
const PLANE: u32 = BLOCK_N + 1u; // against bank conflicts
const_assert HEAD_DIM == 64 && THREADS == 256 && BLOCK_M == 8 && M_TILES == 8 && BLOCK_N == 64 && N_TILES == 4;

var<workgroup> q_tile: array<vec4<f32>, BLOCK_M * FOURS>;
var<workgroup> parts: array<vec4<f32>, LANES * 2u * PLANE>; // of scores, four rows together; then of the output
var<workgroup> weights: array<vec4<f32>, BLOCK_N * 2u>;
var<workgroup> team: array<vec4<f32>, THREADS / 4u>;
var<workgroup> slots: array<i32, 2u * BLOCK_N>; // of these keys and of the next
var<workgroup> carries: array<vec4<f32>, 2>;
var<workgroup> found: array<vec2<f32>, BLOCK_M>;

// Words as they are: whoever decodes them waits for memory. Of a key that is not there another's, and no weight: a branch around
// them would let one read wait for another.
fn key_words(slot: i32, head: u32, four: u32) -> vec4<u32> {
    let at = key_place(u32(max(slot, 0)), head, four * 4u);
    return words4_k(at.x, at.y);
}

fn value_words(slot: i32, head: u32, four: u32) -> vec4<u32> {
    let at = value_place(u32(max(slot, 0)), head, four * 4u);
    return words4_v(at.x, at.y);
}

fn put_slot(s: Sequence, at: u32, j: i32, end: i32) {
    var slot = -1;
    if (j < end) { slot = slot_of(s, j); }
    slots[at] = slot;
}

// A four of a row's output, with the largest score and the sum of weights: as the whole, or as a part.
fn put(t: Tile, row: i32, kv_head: u32, split: u32, four: u32, out: vec4<f32>, found: vec2<f32>) {
    let q_row = u32(t.s.q_first + row / p.heads_each);
    let head = kv_head * u32(p.heads_each) + u32(row % p.heads_each);
    if (SPLIT == 0u) {
        finish_four(q_row, head, four * 4u, out, found.x, found.y);
        if (four == 0u) { finish_lse(q_row, head, found.x, found.y); }
        return;
    }
    let at = (q_row * u32(p.heads_each) * p.kv_heads + head) * u32(p.splits) + split;
    store4_partials(at, four * 4u, 4u, out);
    if (four == 0u) { store4_partials(at, FOURS * 4u, 4u, vec4<f32>(found, 0.0, 0.0)); }
}

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
    let each = split_keys(range);
    range = vec2<i32>(range.x + split * each, min(range.y, range.x + (split + 1) * each));
    let rows = t.s.q_len * p.heads_each;
    if (range.x >= range.y) {
        let row = t.first + i32(lane / FOURS);
        if (SPLIT == 0u && lane < BLOCK_M * FOURS && row < rows) {
            put(t, row, kv_head, 0u, lane % FOURS, vec4<f32>(), vec2<f32>(bitcast<f32>(p.minus_infinity), 0.0));
        }
        return;
    }

    if (lane < BLOCK_N) { put_slot(t.s, lane, range.x + i32(lane), range.y); }
    if (lane < BLOCK_M * FOURS) {
        let row = t.first + i32(lane / FOURS);
        var q = vec4<f32>();
        if (row < rows) {
            let head = kv_head * u32(p.heads_each) + u32(row % p.heads_each);
            q = load4_q(u32(t.s.q_first + row / p.heads_each), head * p.dim + lane % FOURS * 4u, 4u);
        }
        q_tile[lane] = q;
    }
    let k_scale = scale_of(0u, kv_head);
    let v_scale = scale_of(1u, kv_head);
    let own_key = lane / LANES;
    let member = lane % LANES;
    let four = lane % FOURS;
    let first_key = lane / FOURS;
    let m = lane / TEAM;
    var seen = vec2<i32>();
    if (t.first + i32(m) < rows) { seen = visible(t.s, (t.first + i32(m)) / p.heads_each); }
    var most = bitcast<f32>(p.minus_infinity);
    var sum = 0.0;
    var out_$m = vec4<f32>();
    workgroupBarrier();
    var k_$n = key_words(slots[own_key], kv_head, member + $nu * LANES);
    var now = 0u;
    for (var j = range.x; j < range.y; j += i32(BLOCK_N)) {
        let next = BLOCK_N - now;
        if (lane < BLOCK_N) { put_slot(t.s, next + lane, j + i32(BLOCK_N + lane), range.y); }
        // Values are on their way while keys are scored, and the next keys while values are added up.
        let v_$n = value_words(slots[now + first_key + $nu * GROUPS], kv_head, four);
        var z_$m = 0.0;
        let key_$n = k_scale * decoded4_k(k_$n);
        z_$m += dot(q_tile[$mu * FOURS + $nu * LANES + member], key_$n);
        parts[member * 2u * PLANE + own_key] = vec4<f32>(z_0, z_1, z_2, z_3);
        parts[(member * 2u + 1u) * PLANE + own_key] = vec4<f32>(z_4, z_5, z_6, z_7);
        workgroupBarrier();
        k_$n = key_words(slots[next + own_key], kv_head, member + $nu * LANES);
        var scores = vec2<f32>();
        var there = vec2<bool>();
        var here = bitcast<f32>(p.minus_infinity);
        for (var i = 0u; i < 2u; i++) {
            let n = lane % TEAM + i * TEAM;
            var z = 0.0;
            for (var l = 0u; l < LANES; l++) { z += parts[(l * 2u + m / 4u) * PLANE + n][m % 4u]; }
            z *= p.sm_scale;
            scores[i] = z;
            there[i] = slots[now + n] >= 0 && j + i32(n) >= seen.x && j + i32(n) < seen.y;
            if (there[i] && z > here) { here = z; } // a NaN is no maximum
        }
        team[lane / 4u][lane % 4u] = here;
        workgroupBarrier();
        let before = most;
        for (var i = 0u; i < TEAM / 4u; i++) {
            let other = team[m * (TEAM / 4u) + i];
            if (other.x > most) { most = other.x; }
            if (other.y > most) { most = other.y; }
            if (other.z > most) { most = other.z; }
            if (other.w > most) { most = other.w; }
        }
        let none = is_minus_infinity(most);
        let carry = weight_of(before, most, none);
        sum *= carry;
        for (var i = 0u; i < 2u; i++) {
            var weight = UNSEEN;
            if (there[i]) {
                weight = weight_of(scores[i], most, none);
                sum += weight;
            }
            weights[(lane % TEAM + i * TEAM) * 2u + m / 4u][m % 4u] = weight;
        }
        if (lane % TEAM == 0u) { carries[m / 4u][m % 4u] = carry; }
        workgroupBarrier();
        out_$m *= carries[$mu / 4u][$mu % 4u];
        let value_$n = v_scale * decoded4_v(v_$n);
        let low_$n = weights[(first_key + $nu * GROUPS) * 2u];
        let high_$n = weights[(first_key + $nu * GROUPS) * 2u + 1u];
        let weight_$n = array<vec4<f32>, 2>(low_$n, high_$n);
        // What is not visible is not even multiplied by zero.
        if (weight_$n[$mu / 4u][$mu % 4u] != UNSEEN) { out_$m += weight_$n[$mu / 4u][$mu % 4u] * value_$n; }
        now = next;
    }

    workgroupBarrier();
    team[lane / 4u][lane % 4u] = sum;
    workgroupBarrier();
    if (lane % TEAM == 0u) {
        var all = vec4<f32>();
        for (var i = 0u; i < TEAM / 4u; i++) { all += team[m * (TEAM / 4u) + i]; }
        found[m] = vec2<f32>(most, all.x + all.y + all.z + all.w);
    }
    var outs = array<vec4<f32>, BLOCK_M>(out_0, out_1, out_2, out_3, out_4, out_5, out_6, out_7);
    // Two rows at a time, in the memory of the scores.
    for (var first = 0u; first < BLOCK_M; first += 2u) {
        workgroupBarrier();
        parts[first_key * 2u * FOURS + four] = outs[first];
        parts[(first_key * 2u + 1u) * FOURS + four] = outs[first + 1u];
        workgroupBarrier();
        let row = t.first + i32(first + lane / FOURS);
        if (lane < 2u * FOURS && row < rows) {
            var all = vec4<f32>();
            for (var i = 0u; i < GROUPS; i++) { all += parts[i * 2u * FOURS + lane]; }
            put(t, row, kv_head, u32(split), four, all, found[first + lane / FOURS]);
        }
    }
}
