// Few rows an expert with weights of 16 bits in rows of whole 16 bytes, in f32: a workgroup takes BLOCK_M rows and BLOCK_N weight
// rows, a team of 32 invocations two of them, 16 bytes each at a time. The next turn's are always on their way, without a branch around
// them: what lies behind a row's end is asked for again instead.
const FOURS: u32 = CHUNK / 4u; // of a chunk of CHUNK elements along K: the first of every two, then the second
const EIGHTS: u32 = CHUNK / 8u;
const TEAMS: u32 = THREADS / 32u;
const TURNS: u32 = (FOURS + THREADS - 1u) / THREADS; // fours of a chunk that an invocation stages
const_assert BLOCK_N * 16 == THREADS && BLOCK_N % 8 == 0 && EIGHTS % 64u == 0u;

var<workgroup> a_rows: array<i32, BLOCK_M>;
var<workgroup> sums: array<Sum, BLOCK_N>;

fn two(word: u32) -> vec2<f32> {
    if (BF16 == 1u) { return bitcast<vec2<f32>>(vec2<u32>(word << 16u, word & 0xffff0000u)); }
    return vec2<f32>(f32_of_f16(word & 0xffffu), f32_of_f16(word >> 16u));
}

fn eight_products(sum: Sum, w: vec4<u32>, v: u32) -> Sum {
    let low = multiplied(sum, vec4<f32>(two(w.x), two(w.y)), staged(v));
    return multiplied(low, vec4<f32>(two(w.z), two(w.w)), staged(v + EIGHTS));
}

// Of two weight rows eight elements, and those 32 times eight further on.
struct Weights {
    w: vec4<u32>,
    u: vec4<u32>,
    w_next: vec4<u32>,
    u_next: vec4<u32>,
}

fn load_weights(first: vec2<u32>, v: u32, last: u32) -> Weights {
    let near = first + min(v, last);
    let far = first + min(v + 32u, last);
    return Weights(vec_w(near.x), vec_w(near.y), vec_w(far.x), vec_w(far.y));
}

// Elements `k` to `k + 8 * count` of all rows, whose words are asked for before the first is decoded.
fn stage_chunk(k: u32, count: u32, lane: u32) {
    var words = array<array<vec4<u32>, BLOCK_M>, TURNS>();
    for (var m = 0u; m < BLOCK_M; m++) {
        if (a_rows[m] < 0) { continue; }
        for (var i = 0u; i < TURNS; i++) {
            let f = min(lane + i * THREADS, 2u * count - 1u);
            words[i][m] = words4_a(u32(a_rows[m]), k + f * 4u);
        }
    }
    for (var i = 0u; i < TURNS; i++) {
        let f = lane + i * THREADS;
        if (f >= 2u * count) { break; }
        var four = array<vec4<f32>, BLOCK_M>();
        for (var m = 0u; m < BLOCK_M; m++) { four[m] = decoded4_a(words[i][m]); }
        stage(f / 2u + f % 2u * EIGHTS, four);
    }
}

@compute @workgroup_size(THREADS)
fn grouped_gemm(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let item = item_of(group);
    if (item >= p.items) { return; }
    let col_first = item % p.columns * BLOCK_N;
    // A row alone is known before its expert.
    var asked = 0;
    if (BLOCK_M == 1u) { asked = asked_row(i32(item / p.columns)); }
    find_tile(i32(item / p.columns), lane, item == 0u);
    let t = workgroupUniformLoad(&tile);
    if (t.expert < 0) { return; }
    let local = t.expert - p.local_first;
    let here = local >= 0 && local < p.local_count;
    if (is_left_out(local, here)) { return; }
    if (lane < BLOCK_M) {
        let row = t.first + i32(lane);
        a_rows[lane] = -1;
        if (here && row < t.last) {
            if (BLOCK_M > 1u) { asked = asked_row(row); }
            a_rows[lane] = checked_row(asked, col_first == 0u);
        }
    }
    let l = lane % 32u;
    let team = lane / 32u;
    let eights = select(0u, p.k / 8u, here);
    // The last row stands in for one that is not there: its column is not stored.
    var first = vec2<u32>();
    if (here) {
        let rows = vec2<u32>(weight_row(min(col_first + team, p.n - 1u)), weight_row(min(col_first + team + TEAMS, p.n - 1u)));
        first = w_at(u32(local - p.bound_first), 0u) + rows * eights;
    }
    var next = Weights();
    if (eights > 0u) { next = load_weights(first, l, eights - 1u); }
    let m = lane / (BLOCK_N / 4u);
    let c = lane % (BLOCK_N / 4u) * 4u;
    var bias = vec4<f32>();
    if (m < BLOCK_M) { bias = biases(col_first + c, local, here); }
    var sum = Sum();
    var other = Sum();
    for (var chunk = 0u; chunk < eights; chunk += EIGHTS) {
        workgroupBarrier();
        let end = min(EIGHTS, eights - chunk);
        stage_chunk(chunk * 8u, end, lane);
        workgroupBarrier();
        for (var v = l; v < end; v += 64u) {
            let now = next;
            next = load_weights(first, chunk + v + 64u, eights - 1u);
            sum = eight_products(sum, now.w, v);
            other = eight_products(other, now.u, v);
            if (v + 32u < end) {
                sum = eight_products(sum, now.w_next, v + 32u);
                other = eight_products(other, now.u_next, v + 32u);
            }
        }
    }
    share(sum, 0u, lane);
    share(other, TEAMS, lane);
    if (m >= BLOCK_M || t.first + i32(m) >= t.last) { return; }
    let y = vec4<f32>(of_row(sums[c], m), of_row(sums[c + 1u], m), of_row(sums[c + 2u], m), of_row(sums[c + 3u], m));
    finish_biased(u32(t.first) + m, col_first + c, y, bias, here);
}
