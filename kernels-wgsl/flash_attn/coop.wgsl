// Attention with sinks on cooperative matrices of SIDE x SIDE, f16 into f32, for heads of 64 elements. A workgroup has BLOCK_M rows
// of one key head and walks the keys they see 64 at a time. Rows, keys and values become f16, each tile divided by a power of two of its
// own; products with a tile that does not fit are computed in f32 instead, and so is what depends on weights below 2^-29 of the
// largest: those beside values that may be zero where it is. Four invocations share a row: each weighs 16 of the keys, then owns 16
// elements of the output. Every subgroup of 32 multiplies 16 rows with 32 keys, or with 32 elements of values; a line with $m or $n
// stands for one line for each of its matrices.
const HALF_LINE: u32 = 72u;
const REAL_LINE: u32 = 68u;
const ROW_EACH: u32 = 4u; // fours of its tile that an invocation loads of rows, and has of the output
const EACH: u32 = BLOCK_N * 16u / THREADS; // fours that it loads of keys and of values
const WEIGHT_EXPONENT: i32 = 15; // of weights as f16: small ones keep their bits
const LEAST_WEIGHT: f32 = 0x1p-29; // which has all of its bits then
const SMALL_WEIGHTS: u32 = 1u; // of `odd`
const ZERO_VALUES: u32 = 2u;
const ROWS: u32 = 0u;
const KEYS: u32 = 1u;
const VALUES: u32 = 2u;
const_assert THREADS == BLOCK_M * 4 && BLOCK_N == 64 && HEAD_DIM == 64 && M_TILES * SIDE == 16 && N_TILES * SIDE == 32;

var<workgroup> weights: array<f16, BLOCK_M * HALF_LINE>; // by elements: neighbours write neighbours
var<workgroup> products: array<f32, BLOCK_M * REAL_LINE>; // scores, then weighted values
var<workgroup> team: array<f32, THREADS>;
var<workgroup> slots: array<i32, 2u * BLOCK_N>; // of these keys and of the next
// Of rows, keys and values; and of the two behind, the first: whole 16 bytes.
var<workgroup> largest: array<atomic<u32>, 4>;
var<workgroup> smallest: array<atomic<u32>, 4>;
var<workgroup> odd: array<atomic<u32>, 4>;
var<workgroup> exact: vec4<u32>;

// Leaves what fits `which` to `fit_of_all`.
fn note(which: u32, fours: array<vec4<f32>, EACH>) {
    var extremes = Extremes(0u, 0xffffffffu);
    var all = fours;
    for (var i = 0u; i < EACH; i++) { extremes = widened(extremes, all[i]); }
    atomicMax(&largest[which], extremes.most);
    atomicMin(&smallest[which], extremes.least);
}

fn fit_of_all(which: u32) -> Fit {
    return fit_of(Extremes(atomicLoad(&largest[which]), atomicLoad(&smallest[which])));
}

fn forget(which: u32) {
    atomicStore(&largest[which], 0u);
    atomicStore(&smallest[which], 0xffffffffu);
}

// Row and four of what an invocation loads.
fn place_of(lane: u32, i: u32) -> vec2<u32> {
    let at = lane + i * THREADS;
    return vec2<u32>(at / 16u, at % 16u);
}

fn row_four(t: Tile, kv_head: u32, m: u32, d: u32) -> vec4<f32> {
    let row = t.first + i32(m);
    if (row >= t.s.q_len * p.heads_each) { return vec4<f32>(); }
    let head = kv_head * u32(p.heads_each) + u32(row % p.heads_each);
    return load4_q(u32(t.s.q_first + row / p.heads_each), head * p.dim + d, 4u);
}

fn kv_four(which: u32, n: u32, kv_head: u32, d: u32) -> vec4<f32> {
    let slot = slots[n];
    if (slot < 0) { return vec4<f32>(); }
    if (which == KEYS) { return key4(u32(slot), kv_head, d); }
    return value4(u32(slot), kv_head, d);
}

// What an invocation loads of keys or values, as it lies in memory: whoever decodes it waits for it. Of a key that is not there
// another's: a branch around a read would let it wait for the one before.
fn kv_words(which: u32, first: u32, kv_head: u32, lane: u32) -> array<vec4<u32>, EACH> {
    var words = array<vec4<u32>, EACH>();
    for (var i = 0u; i < EACH; i++) {
        let place = place_of(lane, i);
        let slot = u32(max(slots[first + place.x], 0));
        if (LAYOUT == PAGED_X_SPLIT && which == KEYS) {
            words[i] = bitcast<vec4<u32>>(key4(slot, kv_head, place.y * 4u));
        } else if (LAYOUT == PAGED_X_SPLIT) {
            words[i] = bitcast<vec4<u32>>(value4(slot, kv_head, place.y * 4u));
        } else {
            let at = key_place(slot, kv_head, place.y * 4u);
            if (which == KEYS) { words[i] = words4_k(at.x, at.y); } else { words[i] = words4_v(at.x, at.y); }
        }
    }
    return words;
}

fn kv_fours(which: u32, first: u32, words: array<vec4<u32>, EACH>, lane: u32) -> array<vec4<f32>, EACH> {
    var all = words;
    var fours = array<vec4<f32>, EACH>();
    for (var i = 0u; i < EACH; i++) {
        var four = bitcast<vec4<f32>>(all[i]);
        if (LAYOUT != PAGED_X_SPLIT) {
            if (which == KEYS) { four = decoded4_k(all[i]); } else { four = decoded4_v(all[i]); }
        }
        fours[i] = select(vec4<f32>(), four, slots[first + place_of(lane, i).x] >= 0);
    }
    return fours;
}

fn put_slot(s: Sequence, at: u32, j: i32, end: i32) {
    var slot = -1;
    if (j < end) { slot = slot_of(s, j); }
    slots[at] = slot;
}

fn note_zeros(fours: array<vec4<f32>, EACH>, first: u32, lane: u32) {
    var all = fours;
    for (var i = 0u; i < EACH; i++) {
        if (any(all[i] == vec4<f32>()) && slots[first + place_of(lane, i).x] >= 0) { atomicOr(&odd[0], ZERO_VALUES); }
    }
}

// 64 weights that f16 loses beside the largest come to less than a value's last bit.
fn values_are_alike() -> bool {
    let range = (atomicLoad(&largest[VALUES]) >> 23u) - ((atomicLoad(&smallest[VALUES]) + 1u) >> 23u);
    return range <= 24u;
}

fn put_kv(fours: array<vec4<f32>, EACH>, down: f32, lane: u32) {
    var all = fours;
    for (var i = 0u; i < EACH; i++) {
        let place = place_of(lane, i);
        put_right(place.x, place.y, vec4<f16>(all[i] * down));
    }
}

// Does a key, the n-th of the tile that begins at `first` and j, count for a row that sees keys `seen`?
fn is_there(first: u32, n: u32, j: i32, seen: vec2<i32>) -> bool {
    return slots[first + n] >= 0 && j + i32(n) >= seen.x && j + i32(n) < seen.y;
}

@compute @workgroup_size(THREADS)
fn flash_attn(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    // Not item_of: naga does not take results of calls for uniform.
    let item = group.y * MAX_GROUPS + group.x;
    if (item >= p.items) { return; }
    let kv_head = item % p.kv_heads;
    if (lane == 0u) { tile = find_tile(i32(item / p.kv_heads), item == 0u); }
    let t = workgroupUniformLoad(&tile);
    if (t.first < 0) { return; }
    let range = seen_by(t);
    if (lane < 3u) { forget(lane); }
    workgroupBarrier();
    var fours = array<vec4<f32>, EACH>();
    for (var i = 0u; i < ROW_EACH; i++) {
        let place = place_of(lane, i);
        fours[i] = row_four(t, kv_head, place.x, place.y * 4u);
    }
    note(ROWS, fours);
    workgroupBarrier();
    let q_fit = fit_of_all(ROWS);
    for (var i = 0u; i < ROW_EACH; i++) {
        let place = place_of(lane, i);
        put_left(place.x, place.y, vec4<f16>(fours[i] * power_of_two(-q_fit.exponent)));
    }

    let k_scale = scale_of(0u, kv_head) * p.sm_scale;
    let v_scale = scale_of(1u, kv_head);
    let m = lane / 4u;
    let member = lane % 4u;
    let row = t.first + i32(m);
    let mine = row < t.s.q_len * p.heads_each;
    let r = row / p.heads_each;
    var seen = vec2<i32>();
    if (mine) { seen = visible(t.s, r); }
    let subgroup = lane / 32u;
    let first_m = subgroup / 2u * 16u;
    let first_n = subgroup % 2u * 32u;
    var most = bitcast<f32>(p.minus_infinity);
    var sum = 0.0;
    var out = array<vec4<f32>, ROW_EACH>();
    if (lane < BLOCK_N) { put_slot(t.s, lane, range.x + i32(lane), range.y); }
    workgroupBarrier();
    var keys = kv_words(KEYS, 0u, kv_head, lane);
    var now = 0u;
    for (var j = range.x; j < range.y; j += i32(BLOCK_N)) {
        let next = BLOCK_N - now;
        workgroupBarrier();
        // Values are on their way while keys are multiplied, and the next keys while values are.
        let values = kv_words(VALUES, now, kv_head, lane);
        if (lane < BLOCK_N) { put_slot(t.s, next + lane, j + i32(BLOCK_N + lane), range.y); }
        if (lane == KEYS || lane == VALUES) { forget(lane); }
        if (lane == 0u) { atomicStore(&odd[0], 0u); }
        workgroupBarrier();
        fours = kv_fours(KEYS, now, keys, lane);
        note(KEYS, fours);
        workgroupBarrier();
        let k_fit = fit_of_all(KEYS);
        put_kv(fours, power_of_two(-k_fit.exponent), lane);
        if (lane == 0u) { exact.x = select(1u, 0u, q_fit.fits && k_fit.fits); }
        let exact_scores = workgroupUniformLoad(&exact).x != 0u;
        if (exact_scores) {
            for (var i = 0u; i < 16u; i++) {
                let n = member + 4u * i;
                var z = 0.0;
                for (var d = 0u; d < 64u; d += 4u) { z += dot(row_four(t, kv_head, m, d), kv_four(KEYS, now + n, kv_head, d)); }
                products[m * REAL_LINE + n] = z;
            }
        } else {
            var z_$m$n = Product();
            for (var v = 0u; v < 16u * FOUR; v += SIDE / 4u * FOUR) {
                let a_$m = coopLoadT<Left>(&left[(first_m + $mu * SIDE) * LINE + v], LINE);
                let b_$n = coopLoad<Right>(&right[(first_n + $nu * SIDE) * LINE + v], LINE);
                z_$m$n = coopMultiplyAdd(a_$m, b_$n, z_$m$n);
            }
            let z_at_$m$n = (first_m + $mu * SIDE) * REAL_LINE + first_n + $nu * SIDE;
            coopStoreT(z_$m$n, &products[z_at_$m$n], REAL_LINE);
        }
        fours = kv_fours(VALUES, now, values, lane);
        note(VALUES, fours);
        note_zeros(fours, now, lane);
        workgroupBarrier();
        // Values take the place of the keys.
        let v_fit = fit_of_all(VALUES);
        put_kv(fours, power_of_two(-v_fit.exponent), lane);
        keys = kv_words(KEYS, next, kv_head, lane);
        var up = vec2<f32>(power_of_two(q_fit.exponent), power_of_two(k_fit.exponent));
        if (exact_scores) { up = vec2<f32>(1.0); }
        // Weights are relative to the largest of the tile, so that f16 holds those that count beside values of another magnitude.
        var here = bitcast<f32>(p.minus_infinity);
        var scores = array<f32, 16>();
        var there = 0u; // a bit for each
        for (var i = 0u; i < 16u; i++) {
            let n = member + 4u * i;
            // The smaller one first: nothing overflows in between.
            let z = products[m * REAL_LINE + n] * min(up.x, up.y) * max(up.x, up.y) * k_scale;
            scores[i] = z;
            if (is_there(now, n, j, seen)) {
                there |= 1u << i;
                if (z > here) { here = z; } // a NaN is no maximum
            }
        }
        team[lane] = here;
        workgroupBarrier();
        for (var i = 0u; i < 4u; i++) {
            let other = team[m * 4u + i];
            if (other > here) { here = other; }
        }
        let before = most;
        most = select(most, here, here > most);
        let none = is_minus_infinity(most);
        let carry = weight_of(before, most, none);
        let share = weight_of(here, most, none);
        sum *= carry;
        for (var i = 0u; i < 16u; i++) {
            let n = member + 4u * i;
            var weight = 0.0;
            if ((there >> i & 1u) != 0u) { weight = weight_of(scores[i], here, is_minus_infinity(here)); }
            if (weight > 0.0 && weight < LEAST_WEIGHT) { atomicOr(&odd[0], SMALL_WEIGHTS); }
            weights[m * HALF_LINE + n] = f16(weight * power_of_two(WEIGHT_EXPONENT));
            scores[i] = weight;
            sum += weight * share;
        }
        workgroupBarrier();
        if (lane == 0u) {
            let all = atomicLoad(&odd[0]);
            let lost = (all & SMALL_WEIGHTS) != 0u && ((all & ZERO_VALUES) != 0u || !values_are_alike());
            exact.x = select(0u, 1u, lost || !v_fit.fits);
        }
        let exact_values = workgroupUniformLoad(&exact).x != 0u;
        if (exact_values) {
            for (var i = 0u; i < 16u; i++) { products[m * REAL_LINE + member + 4u * i] = scores[i]; }
            workgroupBarrier();
            fours = array<vec4<f32>, EACH>();
            for (var n = 0u; n < BLOCK_N; n++) {
                // What is not visible is not even multiplied by zero.
                if (!is_there(now, n, j, seen)) { continue; }
                let weight = products[m * REAL_LINE + n];
                // Written out: lavapipe leaves loops for good after 65535 turns of all of them.
                fours[0] += weight * kv_four(VALUES, now + n, kv_head, member * 4u);
                fours[1] += weight * kv_four(VALUES, now + n, kv_head, member * 4u + 16u);
                fours[2] += weight * kv_four(VALUES, now + n, kv_head, member * 4u + 32u);
                fours[3] += weight * kv_four(VALUES, now + n, kv_head, member * 4u + 48u);
            }
            workgroupBarrier();
            for (var i = 0u; i < ROW_EACH; i++) {
                let at = m * REAL_LINE + (member + i * 4u) * 4u;
                for (var c = 0u; c < 4u; c++) { products[at + c] = fours[i][c]; }
            }
        } else {
            var y_$m$n = Product();
            for (var k = 0u; k < BLOCK_N; k += SIDE) {
                let a_$m = coopLoadT<Left>(&weights[(first_m + $mu * SIDE) * HALF_LINE + k], HALF_LINE);
                let b_$n = coopLoadT<Right>(&right[k * LINE + (first_n + $nu * SIDE) / 4u * FOUR], LINE);
                y_$m$n = coopMultiplyAdd(a_$m, b_$n, y_$m$n);
            }
            let y_at_$m$n = (first_m + $mu * SIDE) * REAL_LINE + first_n + $nu * SIDE;
            coopStoreT(y_$m$n, &products[y_at_$m$n], REAL_LINE);
        }
        workgroupBarrier();
        var value_up = v_scale * share;
        if (!exact_values) { value_up *= power_of_two(-WEIGHT_EXPONENT) * power_of_two(v_fit.exponent); }
        for (var i = 0u; i < ROW_EACH; i++) {
            let at = m * REAL_LINE + (member + i * 4u) * 4u;
            let four = vec4<f32>(products[at], products[at + 1u], products[at + 2u], products[at + 3u]);
            out[i] = out[i] * carry + four * value_up;
        }
        now = next;
    }

    workgroupBarrier();
    team[lane] = sum;
    workgroupBarrier();
    if (!mine) { return; }
    sum = team[m * 4u] + team[m * 4u + 1u] + team[m * 4u + 2u] + team[m * 4u + 3u];
    let head = kv_head * u32(p.heads_each) + u32(row % p.heads_each);
    let q_row = u32(t.s.q_first + r);
    for (var i = 0u; i < ROW_EACH; i++) { finish_four(q_row, head, (member + i * 4u) * 4u, out[i], most, sum); }
    if (member == 0u) { finish_lse(q_row, head, most, sum); }
}
