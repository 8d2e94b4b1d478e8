// The best of a workgroup's ranks with their indices: of each subgroup, whatever its size, then of those.
var<workgroup> best: array<vec2<u32>, THREADS>;

fn best_of(mine: vec2<u32>, lane: u32) -> vec2<u32> {
    let size = subgroupAdd(1u);
    let rank = subgroupMax(mine.x);
    let index = subgroupMin(select(0xffffffffu, mine.y, mine.x == rank));
    if (lane % size == 0u) { best[lane / size] = vec2<u32>(rank, index); }
    workgroupBarrier();
    var most = best[0];
    for (var i = 1u; i < THREADS / size; i++) {
        if (better(best[i], most)) { most = best[i]; }
    }
    return most;
}
