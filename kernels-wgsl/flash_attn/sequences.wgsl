// Where each sequence's queries and keys are, and its first tile of rows: lengths and offsets clamped to what is there. One
// workgroup; a row of `seqs` a sequence, and one with the number of tiles behind them. Then the scales of keys and values: with
// those bound as well, the next kernel would have more operands than WebGPU binds by default.
var<workgroup> values: array<i32, THREADS>;

// The largest, or the sum, of the values of this lane and those before it. Values are never negative.
fn scan(value: i32, lane: u32, adding: bool) -> i32 {
    var sum = value;
    for (var step = 1u; step < THREADS; step *= 2u) {
        values[lane] = sum;
        workgroupBarrier();
        if (lane >= step) { sum = select(max(sum, values[lane - step]), sum + values[lane - step], adding); }
        workgroupBarrier();
    }
    values[lane] = sum;
    workgroupBarrier();
    return sum;
}

// Of what `scan` left: the value of the lane before, and of the last one.
fn before(lane: u32, carry: i32) -> i32 {
    if (lane == 0u) { return carry; }
    return values[lane - 1u];
}

@compute @workgroup_size(THREADS)
fn attention_sequences(@builtin(local_invocation_index) lane: u32) {
    let by_offsets = INDEX != START_LEN && INDEX != BLOCK_TABLE;
    let q_zero = int_cu_seqlens_q(0u);
    var q_carry = clamp(q_zero, 0, p.q_tokens);
    var k_carry = 0;
    if (lane == 0u) { check_offset(q_zero, 0, p.q_tokens); }
    if (by_offsets) {
        k_carry = clamp(int_k_first(0u), 0, p.upper);
        if (lane == 0u) { check_offset(int_k_first(0u), 0, p.upper); }
    }
    var tile_carry = 0;
    for (var start = 0u; start < p.sequences; start += THREADS) {
        let s = start + lane;
        let there = s < p.sequences;
        var q_raw = 0;
        var k_raw = 0;
        if (there) {
            q_raw = int_cu_seqlens_q(s + 1u);
            check_offset(q_raw, int_cu_seqlens_q(s), p.q_tokens);
            if (by_offsets) {
                k_raw = int_k_first(s + 1u);
                check_offset(k_raw, int_k_first(s), p.upper);
            }
        }
        let q_last = scan(max(clamp(q_raw, 0, p.q_tokens), q_carry), lane, false);
        let q_first = before(lane, q_carry);
        q_carry = values[THREADS - 1u];
        workgroupBarrier();
        var k_last = scan(max(clamp(k_raw, 0, p.upper), k_carry), lane, false);
        var k_first = before(lane, k_carry);
        k_carry = values[THREADS - 1u];
        workgroupBarrier();
        var q_len = 0;
        var k_len = 0;
        if (there) {
            q_len = limited(q_last - q_first, 0, p.max_q_len, FAULT_LENGTH);
            if (INDEX == START_LEN) { k_first = limited(int_k_first(s), 0, p.upper, FAULT_OFFSETS); }
            if (INDEX == BLOCK_TABLE) { k_first = 0; }
            k_len = key_length(int_k_len(s), k_first, k_last);
        }
        let tiles = (q_len * p.heads_each + BLOCK_M - 1) / BLOCK_M;
        let end = scan(tiles, lane, true) + tile_carry;
        if (there) {
            put_int_seqs(s * 8u, q_first);
            put_int_seqs(s * 8u + 1u, q_len);
            put_int_seqs(s * 8u + 2u, k_first);
            put_int_seqs(s * 8u + 3u, k_len);
            put_int_seqs(s * 8u + 4u, end - tiles);
        }
        tile_carry += values[THREADS - 1u];
        workgroupBarrier();
    }
    if (lane == 0u) { put_int_seqs(p.sequences * 8u + 4u, tile_carry); }
    if (SCALES == 0u) { return; }
    let scales = (p.sequences + 1u) * 8u;
    for (var head = lane; head < p.kv_heads; head += THREADS) {
        put_int_seqs(scales + head, bitcast<i32>(load_k_scale(0u, head)));
        put_int_seqs(scales + p.kv_heads + head, bitcast<i32>(load_v_scale(0u, head)));
    }
}
