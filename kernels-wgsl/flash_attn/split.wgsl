// Puts together what workgroups found of the keys that a row sees. A workgroup a row; GROUPS invocations share four elements.
const GROUPS: u32 = THREADS / FOURS;
const MAX_SPLITS: u32 = 128u;

var<workgroup> found: array<vec2<f32>, MAX_SPLITS>; // the largest score, the sum of weights relative to it
var<workgroup> weights: array<f32, MAX_SPLITS>;
var<workgroup> fours: array<vec4<f32>, THREADS>;

@compute @workgroup_size(THREADS)
fn attention_combine(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let item = item_of(group);
    if (item >= p.items) { return; }
    let kv_head = item / BLOCK_M % p.kv_heads;
    if (lane == 0u) { tile = find_tile(i32(item / BLOCK_M / p.kv_heads), false); }
    let t = workgroupUniformLoad(&tile);
    let row = t.first + i32(item % BLOCK_M);
    if (t.first < 0 || row >= t.s.q_len * p.heads_each) { return; }
    let q_row = u32(t.s.q_first + row / p.heads_each);
    let head = kv_head * u32(p.heads_each) + u32(row % p.heads_each);
    let seen = seen_by(t);
    let each = split_keys(seen);
    let splits = u32(max(seen.y - seen.x, 0) + each - 1) / u32(each);
    let at = (q_row * u32(p.heads_each) * p.kv_heads + head) * u32(p.splits);

    if (lane < splits) { found[lane] = load4_partials(at + lane, FOURS * 4u, 4u).xy; }
    workgroupBarrier();
    var most = bitcast<f32>(p.minus_infinity);
    for (var s = 0u; s < splits; s++) {
        if (found[s].x > most) { most = found[s].x; }
    }
    if (lane < splits) { weights[lane] = weight_of(found[lane].x, most, is_minus_infinity(most)); }
    workgroupBarrier();
    var four = vec4<f32>();
    if (lane < GROUPS * FOURS) {
        for (var s = lane / FOURS; s < splits; s += GROUPS) {
            four += weights[s] * load4_partials(at + s, lane % FOURS * 4u, 4u);
        }
    }
    fours[lane] = four;
    workgroupBarrier();
    var sum = 0.0;
    for (var s = 0u; s < splits; s++) { sum += weights[s] * found[s].y; }
    if (lane < FOURS) {
        var out = vec4<f32>();
        for (var i = 0u; i < GROUPS; i++) { out += fours[i * FOURS + lane]; }
        finish_four(q_row, head, lane * 4u, out, most, sum);
    }
    if (lane == 0u) { finish_lse(q_row, head, most, sum); }
}
