// Where each expert's rows begin, and its tiles of BLOCK_M rows: offsets clamped to between the one before and R, and counted.
// One workgroup.
const MAX_ENTRIES: u32 = 513u;

var<workgroup> values: array<i32, MAX_ENTRIES>;
var<workgroup> others: array<i32, MAX_ENTRIES>;

fn joined(a: i32, b: i32, adding: bool) -> i32 {
    return select(max(a, b), a + b, adding);
}

// values[i] becomes the largest, or the sum, of values[0] to values[i]; a value is never negative.
fn scan(lane: u32, adding: bool) {
    for (var step = 1u; step <= p.experts; step *= 2u) {
        workgroupBarrier();
        for (var i = lane; i <= p.experts; i += THREADS) {
            others[i] = joined(values[i], select(0, values[max(i, step) - step], i >= step), adding);
        }
        workgroupBarrier();
        for (var i = lane; i <= p.experts; i += THREADS) { values[i] = others[i]; }
    }
    workgroupBarrier();
}

@compute @workgroup_size(THREADS)
fn grouped_schedule(@builtin(local_invocation_index) lane: u32) {
    for (var i = lane; i <= p.experts; i += THREADS) {
        let raw = int_offsets(i);
        var before = 0;
        if (i > 0u) { before = max(int_offsets(i - 1u), 0); }
        if (raw < before || raw > p.rows) { report(FAULT_OFFSETS); }
        values[i] = clamp(raw, 0, p.rows);
    }
    scan(lane, false);
    for (var i = lane; i <= p.experts; i += THREADS) { put_int_tables(i, values[i]); }
    for (var i = lane; i <= p.experts; i += THREADS) {
        var tiles = 0;
        if (i > 0u) {
            let local = i32(i) - 1 - p.local_first;
            // Rows of experts that are not here are zeroed by tiles of their own; a combine leaves them out.
            let mine = (local >= 0 && local < p.local_count) || ZEROS == 1u;
            tiles = select(0, (values[i] - values[i - 1u] + BLOCK_M - 1) / BLOCK_M, mine);
        }
        others[i] = tiles;
    }
    workgroupBarrier();
    for (var i = lane; i <= p.experts; i += THREADS) { values[i] = others[i]; }
    scan(lane, true);
    for (var i = lane; i <= p.experts; i += THREADS) { put_int_tables(p.experts + 1u + i, values[i]); }
}
