// What row r's entry of a gather's index says, where there is one.
fn asked_row(r: i32) -> i32 {
    if (GATHER == 0u) { return r; }
    return int_row_index(u32(r));
}

// Row of `a` that such an entry stands for, -1 where it points outside.
fn checked_row(index: i32, reports: bool) -> i32 {
    if (GATHER == 0u) { return index; }
    if (index >= 0 && u32(index) / p.divide < p.input_rows) { return i32(u32(index) / p.divide); }
    if (reports) { report(FAULT_ROW_INDEX); }
    return -1;
}

// Row of `a` that row r reads.
fn input_row(r: i32, reports: bool) -> i32 {
    return checked_row(asked_row(r), reports);
}
