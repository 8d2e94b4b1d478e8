// The sum over a workgroup: of each subgroup, whatever its size, then of those again. A subgroup's invocations follow each
// other, as the probe `subgroups` has seen. Whoever calls it again waits before.
var<workgroup> summands: array<f32, THREADS>;

fn workgroup_sum(value: f32, lane: u32) -> f32 {
    let size = subgroupAdd(1u);
    let own = subgroupAdd(value);
    if (lane % size == 0u) { summands[lane / size] = own; }
    workgroupBarrier();
    var some = 0.0;
    for (var i = lane % size; i < THREADS / size; i += size) { some += summands[i]; }
    return subgroupAdd(some);
}
