// ids[r] = the index of the largest element of row r, the lowest of equal ones; -1 for a row with NaN or +inf. A workgroup a row
// of what argmax_parts found.

@compute @workgroup_size(THREADS)
fn argmax(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = item_of(group);
    if (row >= p.items) { return; }
    var mine = vec2<u32>(0u, 0xffffffffu);
    for (var part = lane; part < p.parts; part += THREADS) {
        let at = 2u * (row * p.parts + part);
        let other = vec2<u32>(bitcast<u32>(int_found(at)), u32(int_found(at + 1u)));
        if (better(other, mine)) { mine = other; }
    }
    let most = best_of(mine, lane);
    if (lane == 0u) { put_int_ids(row, select(i32(most.y), -1, most.x >= INFINITY)); }
}
