// The best of a workgroup's ranks with their indices, for invocation 0.
var<workgroup> best: array<vec2<u32>, THREADS>;

fn best_of(mine: vec2<u32>, lane: u32) -> vec2<u32> {
    best[lane] = mine;
    for (var step = THREADS / 2u; step > 0u; step /= 2u) {
        workgroupBarrier();
        if (lane < step && better(best[lane + step], best[lane])) { best[lane] = best[lane + step]; }
    }
    return best[0];
}
