// What the schedule finds: where each expert's rows and tiles begin, and behind the last expert where they end.

fn row_begin(e: u32) -> i32 {
    return int_tables(e);
}

fn tile_begin(e: u32) -> i32 {
    return int_tables(p.experts + 1u + e);
}
