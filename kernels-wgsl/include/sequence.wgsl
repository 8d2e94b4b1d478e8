// A sequence: where its queries and keys are.
struct Sequence {
    id: u32,
    q_first: i32,
    q_len: i32,
    k_first: i32, // slot, or entry of kv_indices
    k_len: i32,
}

// BLOCK_M rows of it.
struct Tile {
    s: Sequence,
    first: i32, // row; -1: behind the last tile
    whole: vec2<i32>, // 16 bytes, as matrices_16.wgsl wants
}

// Keys that query row r sees: from the first to before the last.
fn visible(s: Sequence, r: i32) -> vec2<i32> {
    let position = s.k_len - s.q_len + r;
    var end = s.k_len;
    if (CAUSAL == 1u) { end = clamp(position + 1, 0, s.k_len); }
    var first = 0;
    if (p.window > 0) { first = clamp(position + 1 - p.window, 0, end); }
    return vec2<i32>(first, end);
}

// Page `nth` of the sequence, -1 where it is not in the cache.
fn page_of(s: Sequence, nth: u32) -> i32 {
    var page = -1;
    if (INDEX == 2u) { page = int2_pages(s.id, nth); } else { page = int_pages(u32(s.k_first) + nth); }
    return select(-1, page, page >= 0 && page < p.pages);
}
