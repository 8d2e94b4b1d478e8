// Rows of one expert, as the schedule has them.
struct Tile {
    expert: i32, // -1: behind the last
    first: i32,
    last: i32,
    whole: i32, // 16 bytes, as matrices_16.wgsl wants
}

var<workgroup> tile: Tile;

// Leaves the tile of this number in `tile`: the invocation that finds it writes it.
fn find_tile(index: i32, lane: u32, reports: bool) {
    if (GROUPED == 0u) {
        let first = index * i32(BLOCK_M);
        if (lane == 0u) { tile = Tile(select(-1, 0, first < p.rows), first, min(first + i32(BLOCK_M), p.rows), 0); }
        return;
    }
    if (lane == 0u && index >= tile_begin(p.experts)) { tile = Tile(-1, 0, 0, 0); }
    for (var e = lane; e < p.experts; e += THREADS) {
        let begin = tile_begin(e);
        if (begin <= index && index < tile_begin(e + 1u)) {
            let first = row_begin(e) + (index - begin) * i32(BLOCK_M);
            tile = Tile(i32(e), first, min(first + i32(BLOCK_M), row_begin(e + 1u)), 0);
        }
    }
}
