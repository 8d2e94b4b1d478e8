// The sums of all teams, as those of the workgroup's columns: of the four invocations of a row by shuffles, which every subgroup
// holds whole, then of the teams.
var<workgroup> parts: array<Sum, THREADS>;

fn of_four(own: Sum) -> Sum {
    let two = own + subgroupShuffleXor(own, 1u);
    return two + subgroupShuffleXor(two, 2u);
}

fn collect(own: Sums, team: u32, l: u32, lane: u32) {
    let whole = Sums(of_four(own.a), of_four(own.b), of_four(own.c), of_four(own.d));
    if (l % 4u == 0u) {
        let place = team * 32u + l / 4u;
        parts[place] = whole.a;
        parts[place + 8u] = whole.b;
        parts[place + 16u] = whole.c;
        parts[place + 24u] = whole.d;
    }
    workgroupBarrier();
    if (lane < BLOCK_N) {
        var sum = Sum();
        for (var i = 0u; i < TEAMS; i++) { sum += parts[i * 32u + lane]; }
        sums[lane] = sum;
    }
    workgroupBarrier();
}
