// A row as a tile of its own, which needs no schedule: its expert is the one before the first that begins behind it.
struct Tile {
    expert: i32, // -1: nobody's row
    first: i32,
    last: i32,
}

var<workgroup> tile: Tile;
var<workgroup> next_expert: atomic<u32>;
var<workgroup> begin: array<atomic<i32>, 2>; // of the first local expert and the one behind the last

// Leaves row `index` in `tile`. The first row's workgroup reports faults, and leaves what a combine has to know of offsets.
fn find_tile(index: i32, lane: u32, reports: bool) {
    if (GROUPED == 0u) {
        if (lane == 0u) { tile = Tile(select(-1, 0, index < p.rows), index, index + 1); }
        return;
    }
    if (lane == 0u) {
        atomicStore(&next_expert, p.experts + 1u);
        atomicStore(&begin[0], 0);
        atomicStore(&begin[1], 0);
    }
    workgroupBarrier();
    for (var e = lane; e <= p.experts; e += THREADS) {
        let raw = int_offsets(e);
        if (raw > index) { atomicMin(&next_expert, e); }
        if (!reports) { continue; }
        var before = 0;
        if (e > 0u) { before = max(int_offsets(e - 1u), 0); }
        if (raw < before || raw > p.rows) { report(FAULT_OFFSETS); }
        if (i32(e) <= p.local_first) { atomicMax(&begin[0], min(raw, p.rows)); }
        if (i32(e) <= p.local_first + p.local_count) { atomicMax(&begin[1], min(raw, p.rows)); }
    }
    workgroupBarrier();
    if (lane > 0u) { return; }
    let next = atomicLoad(&next_expert);
    tile = Tile(select(i32(next) - 1, -1, next > p.experts), index, index + 1);
    if (reports) {
        put_int_tables(u32(p.local_first), atomicLoad(&begin[0]));
        put_int_tables(u32(p.local_first + p.local_count), atomicLoad(&begin[1]));
    }
}
