// The largest element of a part of a row, as rank and index. A workgroup a part of p.each columns.

@compute @workgroup_size(THREADS)
fn argmax_parts(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let item = item_of(group);
    if (item >= p.items) { return; }
    let first = item % p.parts * p.each;
    var mine = vec2<u32>(0u, 0xffffffffu);
    for (var i = first + lane; i < min(first + p.each, p.columns); i += THREADS) {
        let rank = rank_of(load_x(item / p.parts, i));
        // NaN above everything, so that it is not lost.
        let other = vec2<u32>(select(rank, INFINITY, rank == 1u), i);
        if (better(other, mine)) { mine = other; }
    }
    let most = best_of(mine, lane);
    if (lane != 0u) { return; }
    put_int_found(2u * item, bitcast<i32>(most.x));
    put_int_found(2u * item + 1u, i32(most.y));
}
