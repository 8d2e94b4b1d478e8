// Lengths and offsets of sequences, clamped to what is there, with a fault where that changes them.
const CU_SEQLENS: u32 = 0u;
const START_LEN: u32 = 1u;
const BLOCK_TABLE: u32 = 2u; // else INDPTR

// One of the workgroups that look at them reports.
var<private> reports: bool = true;

// `value` clamped to least .. most, with the fault where that changes it.
fn limited(value: i32, least: i32, most: i32, fault: u32) -> i32 {
    let kept = clamp(value, least, most);
    if (reports && kept != value) { report(fault); }
    return kept;
}

fn check_offset(raw: i32, earlier: i32, upper: i32) {
    if (reports && (raw < max(earlier, 0) || raw > upper)) { report(FAULT_OFFSETS); }
}

// Keys of a sequence whose length operand is `len`, between those offsets.
fn key_length(len: i32, first: i32, last: i32) -> i32 {
    if (INDEX == CU_SEQLENS) { return limited(last - first, 0, p.most_keys, FAULT_LENGTH); }
    if (INDEX == START_LEN) { return limited(len, 0, min(p.most_keys, p.upper - first), FAULT_LENGTH); }
    if (INDEX == BLOCK_TABLE) { return limited(len, 0, p.most_keys, FAULT_LENGTH); }
    let pages = last - first;
    if (pages == 0) { return 0; }
    let rest = limited(len, 1, i32(p.page_size), FAULT_LENGTH);
    // More whole pages than the most keys have: their product may leave 32 bits.
    if (pages - 1 > p.most_keys / i32(p.page_size)) {
        if (reports) { report(FAULT_LENGTH); }
        return p.most_keys;
    }
    return limited((pages - 1) * i32(p.page_size) + rest, 0, p.most_keys, FAULT_LENGTH);
}
