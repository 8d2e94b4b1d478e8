// A tile by its number, among sequences that `attention_sequences` left and reported on.

fn find_tile(index: i32, reporting: bool) -> Tile {
    var s = 0u;
    for (var step = p.first_step; step > 0u; step /= 2u) {
        if (s + step < p.sequences && int_seqs((s + step) * 8u + 4u) <= index) { s += step; }
    }
    let first = (index - int_seqs(s * 8u + 4u)) * i32(BLOCK_M);
    return Tile(sequence(s), select(-1, first, index < int_seqs(p.sequences * 8u + 4u)), vec2<i32>());
}
