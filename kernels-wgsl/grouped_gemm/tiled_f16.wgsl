// Eight rows an expert with prepacked weights: as tiled.wgsl, but of rows that a launch before made f16 of, each divided by a power of
// two, so that eight of them take the workgroup memory of four. Products and sums are of f32. A tile with a row that did not fit f16,
// or with a scale that would take sums of them out of f32, is computed from `a` itself.
alias Sum = mat2x4<f32>; // of rows 0 to 3 and 4 to 7
alias Four = array<Sum, 4>; // of elements
const LEAST_SCALE: u32 = 104u;
const MOST_SCALE: u32 = 140u;
const_assert BLOCK_M == 8;

// Of an element four rows, then, behind all of those, the other four.
var<workgroup> a_tile: array<vec4<f16>, FOURS * 8u>;
var<workgroup> a_rows: array<u32, BLOCK_M>; // where their halves begin
var<workgroup> beyond: atomic<u32>;

fn staged(at: u32) -> Four {
    var four: Four;
    for (var e = 0u; e < 4u; e++) {
        four[e] = Sum(vec4<f32>(a_tile[at + e * FOURS]), vec4<f32>(a_tile[at + (e + 4u) * FOURS]));
    }
    return four;
}

fn multiplied(sum: Sum, w: vec4<f32>, a: Four) -> Sum {
    return sum + w.x * a[0] + w.y * a[1] + w.z * a[2] + w.w * a[3];
}

fn of_row(sum: Sum, m: u32) -> f32 { return sum[m / 4u][m % 4u]; }

// Halves lie as a lane of the weights takes them: of every 64, fours of q = 0 first.
fn stage_chunk(kt_first: u32, lane: u32) {
    for (var i = lane; i < FOURS * 2u; i += THREADS) {
        let f = i % FOURS;
        let upper = i / FOURS * 4u;
        if (kt_first + f / 16u >= p.k_tiles) { continue; }
        let place = kt_first * 16u + f;
        let a = vec_halves(a_rows[upper] + place);
        let b = vec_halves(a_rows[upper + 1u] + place);
        let c = vec_halves(a_rows[upper + 2u] + place);
        let d = vec_halves(a_rows[upper + 3u] + place);
        let to = f / 16u * 16u + f % 4u * 4u + f % 16u / 4u + upper * FOURS;
        a_tile[to] = vec4<f16>(a.x, b.x, c.x, d.x);
        a_tile[to + FOURS] = vec4<f16>(a.y, b.y, c.y, d.y);
        a_tile[to + 2u * FOURS] = vec4<f16>(a.z, b.z, c.z, d.z);
        a_tile[to + 3u * FOURS] = vec4<f16>(a.w, b.w, c.w, d.w);
    }
    workgroupBarrier();
}

fn is_far(scales: u32) -> bool {
    let each = scales_of(scales);
    return any(each < vec4<u32>(LEAST_SCALE)) || any(each > vec4<u32>(MOST_SCALE));
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
    if (!here) {
        zero_tile(t, col_first, local, lane);
        return;
    }
    if (lane == 0u) { atomicStore(&beyond, 0u); }
    var far = false;
    if (lane < BLOCK_M) {
        // The last row stands in for those that are not there.
        let row = u32(min(t.first + i32(lane), t.last - 1));
        a_rows[lane] = halves_at(row, 0u);
        far = load_row_scale(row, 0u) == 0.0;
    }
    let l = lane % 32u;
    let team = lane / 32u;
    let weights = w_at(u32(local - p.bound_first), 0u);
    let first = weights + col_first / 16u * p.k_tiles * 34u;
    // The last tile stands in for one that is not there: its columns are not stored.
    let second = select(first, first + p.k_tiles * 34u, col_first + 16u < p.n);
    var next = Weights();
    if (team < p.k_tiles) { next = load_weights(first, second, team, l); }
    var sums_of = Sums();
    for (var chunk = 0u; chunk < p.k_tiles; chunk += CHUNK) {
        workgroupBarrier();
        stage_chunk(chunk, lane);
        for (var kt = team; kt < CHUNK && chunk + kt < p.k_tiles; kt += TEAMS) {
            let w = next;
            if (chunk + kt + TEAMS < p.k_tiles) { next = load_weights(first, second, chunk + kt + TEAMS, l); }
            far = far || is_far(w.scales.x) || is_far(w.scales.y);
            let at = kt * 16u + l % 4u;
            let low = block_products(w.first.xy, w.second.xy, at, vec4<f32>(1.0));
            let high = block_products(w.first.zw, w.second.zw, at + 8u, vec4<f32>(1.0));
            sums_of = added(added(sums_of, low, w.scales, 0u), high, w.scales, 1u);
        }
    }
    if (far) { atomicStore(&beyond, 1u); }
    workgroupBarrier();
    if (workgroupUniformLoad(&beyond) != 0u) {
        exact_tile(t, col_first, weights, local, lane);
        return;
    }
    collect(sums_of, team, l, lane);
    let m = lane / 8u;
    let c = lane % 8u * 4u;
    if (m >= BLOCK_M || t.first + i32(m) >= t.last) { return; }
    let y = vec4<f32>(of_row(sums[c], m), of_row(sums[c + 1u], m), of_row(sums[c + 2u], m), of_row(sums[c + 3u], m));
    finish(u32(t.first) + m, col_first + c, y * load_row_scale(u32(t.first) + m, 0u), local, true);
}
