// Where a cache keeps a slot: `KvStore` in src/op/kv_store.rs. Row (page) and column of an element.
const PACKED: u32 = 0u;
const PAGED_NHD: u32 = 1u;
const PAGED_HND: u32 = 2u;
const PAGED_X_SPLIT: u32 = 3u;

fn key_place(slot: u32, head: u32, d: u32) -> vec2<u32> {
    if (LAYOUT == PACKED) { return vec2<u32>(slot, head * p.dim + d); }
    let page = slot / p.page_size;
    let n = slot % p.page_size;
    if (LAYOUT == PAGED_NHD) { return vec2<u32>(page, (n * p.kv_heads + head) * p.dim + d); }
    if (LAYOUT == PAGED_HND) { return vec2<u32>(page, (head * p.page_size + n) * p.dim + d); }
    return vec2<u32>(page, ((head * (p.dim / p.x_run) + d / p.x_run) * p.page_size + n) * p.x_run + d % p.x_run);
}

fn value_place(slot: u32, head: u32, d: u32) -> vec2<u32> {
    if (LAYOUT != PAGED_X_SPLIT) { return key_place(slot, head, d); }
    return vec2<u32>(slot / p.page_size, (head * p.dim + d) * p.page_size + slot % p.page_size);
}
