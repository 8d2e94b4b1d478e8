// Few rows an expert with weights of 16 bits in rows of whole 16 bytes, in f32: a workgroup takes BLOCK_M rows and BLOCK_N weight
// rows, a team of 32 invocations two of them, 16 bytes each at a time.
const FOURS: u32 = CHUNK / 4u; // of a chunk of CHUNK elements along K: the first of every two, then the second
const EIGHTS: u32 = CHUNK / 8u;
const TEAMS: u32 = THREADS / 32u;
const_assert BLOCK_N * 16 == THREADS && BLOCK_N % 8 == 0;

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

@compute @workgroup_size(THREADS)
fn grouped_gemm(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let item = item_of(group);
    if (item >= p.items) { return; }
    let col_first = item % p.columns * BLOCK_N;
    find_tile(i32(item / p.columns), lane, item == 0u);
    let t = workgroupUniformLoad(&tile);
    if (t.expert < 0) { return; }
    let local = t.expert - p.local_first;
    let here = local >= 0 && local < p.local_count;
    if (is_left_out(local, here)) { return; }
    if (lane < BLOCK_M) {
        let row = t.first + i32(lane);
        a_rows[lane] = -1;
        if (here && row < t.last) { a_rows[lane] = input_row(row, col_first == 0u); }
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
    var sum = Sum();
    var other = Sum();
    for (var chunk = 0u; chunk < eights; chunk += EIGHTS) {
        workgroupBarrier();
        let end = min(EIGHTS, eights - chunk);
        for (var f = lane; f < 2u * end; f += THREADS) {
            var four = array<vec4<f32>, BLOCK_M>();
            for (var m = 0u; m < BLOCK_M; m++) {
                if (a_rows[m] >= 0) { four[m] = load4_a(u32(a_rows[m]), chunk * 8u + f * 4u, 4u); }
            }
            stage(f / 2u + f % 2u * EIGHTS, four);
        }
        workgroupBarrier();
        let at = first + chunk;
        var v = l;
        for (; v + 32u < end; v += 64u) {
            let w = vec_w(at.x + v);
            let u = vec_w(at.y + v);
            let w_next = vec_w(at.x + v + 32u);
            let u_next = vec_w(at.y + v + 32u);
            sum = eight_products(sum, w, v);
            other = eight_products(other, u, v);
            sum = eight_products(sum, w_next, v + 32u);
            other = eight_products(other, u_next, v + 32u);
        }
        if (v < end) {
            sum = eight_products(sum, vec_w(at.x + v), v);
            other = eight_products(other, vec_w(at.y + v), v);
        }
    }
    share(sum, 0u, lane);
    share(other, TEAMS, lane);
    let m = lane / (BLOCK_N / 4u);
    let c = lane % (BLOCK_N / 4u) * 4u;
    if (m >= BLOCK_M || t.first + i32(m) >= t.last) { return; }
    let y = vec4<f32>(of_row(sums[c], m), of_row(sums[c + 1u], m), of_row(sums[c + 2u], m), of_row(sums[c + 3u], m));
    finish(u32(t.first) + m, col_first + c, y, local, here);
}
