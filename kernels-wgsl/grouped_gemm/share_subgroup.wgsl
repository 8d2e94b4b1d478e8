// The sums of a team of 32 invocations, as those of columns col to col + TEAMS: of the subgroups in a team, or of the team's part
// of a subgroup, by shuffles; then of those.
var<workgroup> parts: array<Sum, THREADS / 4u>;

fn share(sum: Sum, col: u32, lane: u32) {
    let size = min(subgroupAdd(1u), 32u);
    var own = sum;
    for (var step = 1u; step < size; step *= 2u) { own += subgroupShuffleXor(own, step); }
    if (lane % size == 0u) { parts[lane / size] = own; }
    workgroupBarrier();
    if (lane < TEAMS) {
        var all = Sum();
        for (var i = 0u; i < 32u / size; i++) { all += parts[lane * (32u / size) + i]; }
        sums[col + lane] = all;
    }
    workgroupBarrier();
}
