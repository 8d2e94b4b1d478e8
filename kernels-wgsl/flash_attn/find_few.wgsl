// Sequences and their tiles where there are few: each workgroup goes through all of them, which takes less than a launch before.

// The tile `index`, or where that is -1 the first tile of sequence `id`.
fn search(index: i32, id: u32) -> Tile {
    let q_zero = int_cu_seqlens_q(0u);
    var before = q_zero;
    var q_last = clamp(q_zero, 0, p.q_tokens);
    var tiles = 0;
    var found = Tile(Sequence(), -1, vec2<i32>());
    for (var s = 0u; s < p.sequences; s++) {
        // Asked for together: what reports lets no read pass.
        let q_raw = int_cu_seqlens_q(s + 1u);
        let len = int_k_len(s);
        let first = int_k_first(s);
        check_offset(q_raw, before, p.q_tokens);
        before = q_raw;
        let q_first = q_last;
        q_last = max(clamp(q_raw, 0, p.q_tokens), q_first);
        let q_len = limited(q_last - q_first, 0, p.max_q_len, FAULT_LENGTH);
        var k_first = 0;
        if (INDEX == START_LEN) { k_first = limited(first, 0, p.upper, FAULT_OFFSETS); }
        let here = Sequence(s, q_first, q_len, k_first, key_length(len, k_first, 0));
        let nth = index - tiles;
        tiles += (q_len * p.heads_each + BLOCK_M - 1) / BLOCK_M;
        if (nth >= 0 && index < tiles) { found = Tile(here, nth * BLOCK_M, vec2<i32>()); }
        if (index < 0 && s == id) { found = Tile(here, 0, vec2<i32>()); }
    }
    check_offset(q_zero, 0, p.q_tokens);
    return found;
}

fn find_tile(index: i32, reporting: bool) -> Tile {
    reports = reporting;
    return search(index, 0u);
}

fn sequence(s: u32) -> Sequence {
    reports = false;
    return search(-1, s).s;
}
