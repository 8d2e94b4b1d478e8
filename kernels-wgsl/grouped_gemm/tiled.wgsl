// Few rows an expert with prepacked weights, in f32: a workgroup takes BLOCK_M rows and two tiles of 16 weight rows.

// A code in the bits of f16 is its value divided by 2^14. Where `a` is within these bounds, no product leaves the normal numbers
// of f32 and none that counts is lost; elsewhere weights are made whole, half of their scale included, before they are multiplied.
const LEAST_PLAIN: u32 = 27u; // biased exponents
const MOST_PLAIN: u32 = 237u;
const TURNS: u32 = FOURS / THREADS; // fours of a chunk that an invocation stages
const_assert FOURS % THREADS == 0;

var<workgroup> a_rows: array<i32, BLOCK_M>;
var<workgroup> beyond: atomic<u32>; // some element or scale is out of bounds

// The scales in byte `i` and the one after the next of both words.
fn scales_of(scales: vec2<u32>, i: u32) -> vec4<u32> {
    return (scales.xxyy >> (vec4<u32>(0u, 16u, 0u, 16u) + 8u * i)) & vec4<u32>(255u);
}

// In two halves, the first one for the elements.
fn added_far(sums: Sums, first: vec2<u32>, second: vec2<u32>, at: u32, scales: vec4<u32>) -> Sums {
    let units = vec4<f32>(element_factor(scales.x), element_factor(scales.y), element_factor(scales.z), element_factor(scales.w));
    let block = block_products(first, second, at, 16384.0 * units);
    return Sums(sums.a + block.a * block_factor(scales.x), sums.b + block.b * block_factor(scales.y),
        sums.c + block.c * block_factor(scales.z), sums.d + block.d * block_factor(scales.w));
}

// Not 0 at a scale of the word above 240.
fn far_bits(scales: u32) -> u32 {
    return ((scales & 0x7f7f7f7fu) + 0x0f0f0f0fu) & scales & 0x80808080u;
}

// Elements of `a` in the order in which invocations take them: of 16, the four of q = 0, then those of q = 1, ... Their words are asked
// for before the first is decoded.
fn stage_chunk(k_first: u32, lane: u32) {
    workgroupBarrier();
    var words = array<array<vec4<u32>, BLOCK_M>, TURNS>();
    for (var m = 0u; m < BLOCK_M; m++) {
        if (a_rows[m] < 0) { continue; }
        for (var i = 0u; i < TURNS; i++) {
            words[i][m] = words4_a(u32(a_rows[m]), min(k_first + (lane + i * THREADS) * 4u, p.k - 4u));
        }
    }
    var far = false;
    for (var i = 0u; i < TURNS; i++) {
        let f = lane + i * THREADS;
        var four = array<vec4<f32>, BLOCK_M>();
        for (var m = 0u; m < BLOCK_M; m++) {
            if (k_first + f * 4u >= p.k) { continue; } // a tile may reach beyond K
            four[m] = decoded4_a(words[i][m]);
            let exponents = (bitcast<vec4<u32>>(four[m]) >> vec4<u32>(23u)) & vec4<u32>(255u);
            let plain = ((exponents >= vec4<u32>(LEAST_PLAIN)) & (exponents <= vec4<u32>(MOST_PLAIN))) | (four[m] == vec4<f32>());
            far = far || !all(plain);
        }
        // The first two elements lie beside those eight further on, and so do the others.
        let q = f / 4u * 4u + f % 2u * 2u;
        stage_two(q, f % 4u / 2u, four, 0u);
        stage_two(q + 1u, f % 4u / 2u, four, 2u);
    }
    if (far) { atomicStore(&beyond, 1u); }
    workgroupBarrier();
}

// All over again, for what is out of bounds.
fn far_sums(first: u32, second: u32, k_tiles: u32, lane: u32) -> Sums {
    let l = lane % 32u;
    var sums_of = Sums();
    for (var chunk = 0u; chunk < k_tiles; chunk += CHUNK) {
        stage_chunk(chunk * 64u, lane);
        for (var kt = chunk + lane / 32u; kt < min(chunk + CHUNK, k_tiles); kt += TEAMS) {
            let w = load_weights(first, second, kt, l);
            let at = (kt - chunk) * 16u + l % 4u;
            sums_of = added_far(sums_of, w.first.xy, w.second.xy, at, scales_of(w.scales, 0u));
            sums_of = added_far(sums_of, w.first.zw, w.second.zw, at + 8u, scales_of(w.scales, 1u));
        }
    }
    return sums_of;
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
    if (lane == 0u) { atomicStore(&beyond, 0u); }
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
    let k_tiles = select(0u, (p.k + 63u) / 64u, here);
    var first = 0u;
    var second = 0u;
    var next = Weights(); // always on their way, without a branch around them: the last tile's are asked for again
    if (here) {
        first = w_at(u32(local - p.bound_first), 0u) + col_first / 16u * k_tiles * 34u;
        // The last tile stands in for one that is not there: its columns are not stored.
        second = select(first, first + k_tiles * 34u, col_first + 16u < p.n);
        next = load_weights(first, second, min(team, k_tiles - 1u), l);
    }
    let m = lane / 8u;
    let c = lane % 8u * 4u;
    var bias = vec4<f32>();
    if (m < BLOCK_M) { bias = biases(col_first + c, local, here); }
    var sums_of = Sums();
    var far = 0u;
    for (var chunk = 0u; chunk < k_tiles; chunk += CHUNK) {
        stage_chunk(chunk * 64u, lane);
        for (var kt = chunk + team; kt < min(chunk + CHUNK, k_tiles); kt += TEAMS) {
            let w = next;
            next = load_weights(first, second, min(kt + TEAMS, k_tiles - 1u), l);
            far |= far_bits(w.scales.x) | far_bits(w.scales.y);
            let at = (kt - chunk) * 16u + l % 4u;
            let low = block_products(w.first.xy, w.second.xy, at, vec4<f32>(1.0));
            let high = block_products(w.first.zw, w.second.zw, at + 8u, vec4<f32>(1.0));
            sums_of = added(added(sums_of, low, w.scales, 0u), high, w.scales, 1u);
        }
    }
    if (far != 0u) { atomicStore(&beyond, 1u); }
    if (workgroupUniformLoad(&beyond) != 0u) { sums_of = far_sums(first, second, k_tiles, lane); }

    collect(sums_of, team, l, lane);
    if (m >= BLOCK_M || t.first + i32(m) >= t.last) { return; }
    let y = vec4<f32>(of_row(sums[c], m), of_row(sums[c + 1u], m), of_row(sums[c + 2u], m), of_row(sums[c + 3u], m));
    finish_biased(u32(t.first) + m, col_first + c, y, bias, here);
}
