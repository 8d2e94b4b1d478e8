// The sums of all teams, as those of the workgroup's columns: the upper half of the teams, then four invocations of a row and the
// other half.
const HALVES_OF_PARTS: u32 = TEAMS / 2u;

var<workgroup> parts: array<Sum, HALVES_OF_PARTS * 128u>;

fn collect(own: Sums, team: u32, l: u32, lane: u32) {
    let place = team % HALVES_OF_PARTS * 128u + l;
    if (team >= HALVES_OF_PARTS) {
        parts[place] = own.a;
        parts[place + 32u] = own.b;
        parts[place + 64u] = own.c;
        parts[place + 96u] = own.d;
    }
    workgroupBarrier();
    if (team < HALVES_OF_PARTS) {
        parts[place] += own.a;
        parts[place + 32u] += own.b;
        parts[place + 64u] += own.c;
        parts[place + 96u] += own.d;
    }
    workgroupBarrier();
    if (lane < BLOCK_N) {
        var sum = Sum();
        for (var i = 0u; i < HALVES_OF_PARTS; i++) {
            let at = i * 128u + lane * 4u;
            sum += parts[at] + parts[at + 1u] + parts[at + 2u] + parts[at + 3u];
        }
        sums[lane] = sum;
    }
    workgroupBarrier();
}
