// ids[r] = the index of the largest element of row r, the lowest of equal ones; -1 for a row with NaN or +inf. A workgroup a row.
var<workgroup> best: array<vec2<u32>, THREADS>; // rank, index

@compute @workgroup_size(THREADS)
fn argmax(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = item_of(group);
    if (row >= p.items) { return; }
    var mine = vec2<u32>(0u, 0xffffffffu);
    for (var i = lane; i < p.columns; i += THREADS) {
        let rank = rank_of(load_x(row, i));
        // NaN above everything, so that it is not lost.
        let other = vec2<u32>(select(rank, INFINITY, rank == 1u), i);
        if (better(other, mine)) { mine = other; }
    }
    best[lane] = mine;
    for (var step = THREADS / 2u; step > 0u; step /= 2u) {
        workgroupBarrier();
        if (lane < step && better(best[lane + step], best[lane])) { best[lane] = best[lane + step]; }
    }
    if (lane == 0u) { put_int_ids(row, select(i32(best[0].y), -1, best[0].x >= INFINITY)); }
}
