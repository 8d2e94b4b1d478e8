// Row of `a` that row r reads, -1 where a gather points outside.
fn input_row(r: i32, reports: bool) -> i32 {
    if (GATHER == 0u) { return r; }
    let index = int_row_index(u32(r));
    if (index >= 0 && u32(index) / p.divide < p.input_rows) { return i32(u32(index) / p.divide); }
    if (reports) { report(FAULT_ROW_INDEX); }
    return -1;
}
