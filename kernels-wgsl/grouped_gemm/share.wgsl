// The sums of a team of 32 invocations, as those of columns col to col + TEAMS.
const LINE: u32 = 33u; // padded against bank conflicts

var<workgroup> parts: array<Sum, TEAMS * LINE>;

fn share(sum: Sum, col: u32, lane: u32) {
    parts[lane / 32u * LINE + lane % 32u] = sum;
    workgroupBarrier();
    if (lane < TEAMS) {
        var all = Sum();
        for (var i = 0u; i < 32u; i++) { all += parts[lane * LINE + i]; }
        sums[col + lane] = all;
    }
    workgroupBarrier();
}
