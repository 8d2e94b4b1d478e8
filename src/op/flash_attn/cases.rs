//! Test cases of attention.

use super::{FlashAttnSpec, KvIndex, Lse, Mask, Window};
use crate::dtype::{DType, Scalar};
use crate::op::cases::{Case, Cases, Data, sum_of_products};
use crate::op::{KvStore, PageLayout};

const BASE: FlashAttnSpec = FlashAttnSpec {
    sequences: 5,
    q_tokens: 31,
    max_q_len: 12,
    max_k_len: 40,
    q_heads: 4,
    kv_heads: 2,
    head_dim: 64,
    q: DType::Bf16,
    kv: DType::Bf16,
    kv_scales: false,
    out: DType::Bf16,
    sm_scale: Scalar(0.125),
    mask: Mask::Causal,
    sinks: Some(DType::Bf16),
    lse: Lse::WithSink,
    store: KvStore::Packed { tokens: 150 },
    index: KvIndex::CuSeqlens,
    splits: None,
};

/// The base on pages of `page_size`: room for every sequence at its longest, and three pages that nobody owns.
fn paged(page_size: usize, layout: PageLayout, by_table: bool) -> FlashAttnSpec {
    let max_pages = BASE.max_k_len.div_ceil(page_size);
    let index = match by_table {
        true => KvIndex::BlockTable { max_pages },
        false => KvIndex::Indptr { entries: BASE.sequences * max_pages },
    };
    let pages = BASE.sequences * max_pages + 3;
    FlashAttnSpec { store: KvStore::Paged { pages, page_size, layout }, index, ..BASE }
}

impl Cases for FlashAttnSpec {
    fn cases() -> Vec<Case<Self>> {
        let mut cases = masks_and_sinks();
        cases.extend(stores());
        cases.extend(types_and_shapes());
        cases.extend(many_keys());
        cases
    }

    /// A score: D products, times the scale.
    fn accumulation(&self) -> f64 {
        sum_of_products(self.head_dim + 1)
    }
}

fn masks_and_sinks() -> Vec<Case<FlashAttnSpec>> {
    let masks = [
        ("causal", Mask::Causal),
        ("bidirectional", Mask::Bidirectional),
        ("window_1", Mask::Sliding(Window::VisibleKeys(1))),
        ("window_8", Mask::Sliding(Window::VisibleKeys(8))),
        ("before_0", Mask::Sliding(Window::KeysBefore(0))),
        ("before_12", Mask::Sliding(Window::KeysBefore(12))),
        ("window_wide", Mask::Sliding(Window::VisibleKeys(1000))),
    ];
    let mut cases = Vec::new();
    for (name, mask) in masks {
        for (with, sinks) in [("sinks", Some(DType::Bf16)), ("no_sinks", None)] {
            cases.push(Case::usual(format!("{name}_{with}"), FlashAttnSpec { mask, sinks, ..BASE }));
            let op = FlashAttnSpec { mask, sinks, ..paged(16, PageLayout::Nhd, true) };
            cases.push(Case::usual(format!("{name}_{with}_paged"), op));
        }
        cases.push(Case::usual(format!("{name}_extreme"), FlashAttnSpec { mask, ..BASE }).on(Data::Extreme));
    }
    for (name, lse) in [("none", Lse::None), ("without_sink", Lse::WithoutSink)] {
        cases.push(Case::usual(format!("lse_{name}"), FlashAttnSpec { lse, ..BASE }));
        cases.push(Case::usual(format!("lse_{name}_no_sinks"), FlashAttnSpec { lse, sinks: None, ..BASE }));
    }
    cases.push(Case::usual("sinks_f32", FlashAttnSpec { sinks: Some(DType::F32), ..BASE }));
    // As long as a tile's keys, so that the copy engine takes them; beginning inside a page.
    let tiles = FlashAttnSpec {
        sequences: 4,
        q_tokens: 400,
        max_q_len: 300,
        max_k_len: 350,
        q_heads: 8,
        kv_heads: 1,
        mask: Mask::Sliding(Window::VisibleKeys(128)),
        store: KvStore::Packed { tokens: 720 },
        ..BASE
    };
    cases.push(Case::usual("tiles_window", tiles));
    let store = KvStore::Paged { pages: 91, page_size: 16, layout: PageLayout::Nhd };
    let paged_tiles = FlashAttnSpec { store, index: KvIndex::BlockTable { max_pages: 22 }, ..tiles };
    cases.push(Case::usual("tiles_window_paged", paged_tiles));
    cases.push(Case::usual("tiles_paged", FlashAttnSpec { mask: Mask::Causal, ..paged_tiles }));
    // Sequences of several large pages.
    for (page_size, head_dim) in [(64, 128), (128, 64), (256, 64)] {
        let pages = 350usize.div_ceil(page_size);
        let store = KvStore::Paged { pages: 4 * pages + 3, page_size, layout: PageLayout::Hnd };
        let index = KvIndex::BlockTable { max_pages: pages };
        let op = FlashAttnSpec { mask: Mask::Causal, q_heads: 2, head_dim, store, index, ..tiles };
        cases.push(Case::usual(format!("tiles_paged_{page_size}_dim_{head_dim}"), op));
    }
    cases
}

fn stores() -> Vec<Case<FlashAttnSpec>> {
    let mut cases = vec![Case::usual("start_len", FlashAttnSpec { index: KvIndex::StartLen, ..BASE })];
    for page_size in [8, 16, 32, 64, 128, 256] {
        for (name, layout) in
            [("nhd", PageLayout::Nhd), ("hnd", PageLayout::Hnd), ("xsplit", PageLayout::XSplit { x: 8 })]
        {
            for (how, by_table) in [("table", true), ("indptr", false)] {
                cases.push(Case::usual(format!("{name}_{page_size}_{how}"), paged(page_size, layout, by_table)));
            }
        }
    }
    for by_table in [true, false] {
        let name = if by_table { "table" } else { "indptr" };
        cases.push(Case::usual(format!("faulty_{name}"), paged(16, PageLayout::Hnd, by_table)).on(Data::Faulty));
    }
    cases.push(Case::usual("faulty_start_len", FlashAttnSpec { index: KvIndex::StartLen, ..BASE }).on(Data::Faulty));
    cases.push(Case::usual("faulty_cu_seqlens", BASE).on(Data::Faulty));
    cases
}

fn types_and_shapes() -> Vec<Case<FlashAttnSpec>> {
    let mut cases = Vec::new();
    for dtype in [DType::F16, DType::F32] {
        let op = FlashAttnSpec { q: dtype, kv: dtype, out: dtype, ..BASE };
        cases.push(Case::usual(format!("{dtype}"), op));
        let paged = FlashAttnSpec { q: dtype, kv: dtype, out: dtype, ..paged(32, PageLayout::Hnd, true) };
        cases.push(Case::usual(format!("{dtype}_paged"), paged));
    }
    cases.push(Case::usual("out_f32", FlashAttnSpec { out: DType::F32, ..BASE }));
    for (q_heads, kv_heads) in [(1, 1), (4, 4), (8, 1), (6, 2), (16, 2)] {
        cases.push(Case::usual(format!("heads_{q_heads}_{kv_heads}"), FlashAttnSpec { q_heads, kv_heads, ..BASE }));
    }
    let wide = FlashAttnSpec { head_dim: 128, sm_scale: Scalar(0.08838834764831845), ..BASE };
    cases.push(Case::usual("dim_128", wide));
    cases.push(Case::usual("dim_128_window", FlashAttnSpec { mask: Mask::Sliding(Window::VisibleKeys(5)), ..wide }));
    let decode = FlashAttnSpec { max_q_len: 1, q_tokens: 5, ..paged(16, PageLayout::Nhd, true) };
    cases.push(Case::usual("decode", decode));
    cases.push(Case::usual("decode_window", FlashAttnSpec { mask: Mask::Sliding(Window::VisibleKeys(8)), ..decode }));
    for (dtype, head_dim) in [(DType::Bf16, 128), (DType::F16, 64), (DType::F16, 128)] {
        let op = FlashAttnSpec { q: dtype, kv: dtype, out: dtype, head_dim, ..decode };
        let window = FlashAttnSpec { mask: Mask::Sliding(Window::VisibleKeys(8)), ..op };
        cases.push(Case::usual(format!("decode_{dtype}_{head_dim}"), op));
        cases.push(Case::usual(format!("decode_{dtype}_{head_dim}_window"), window));
    }
    for splits in [1, 3, 100] {
        let op = FlashAttnSpec { splits: Some(splits), ..decode };
        cases.push(Case::usual(format!("decode_splits_{splits}"), op));
    }
    let scaled = FlashAttnSpec { kv: DType::F8E4m3, kv_scales: true, ..decode };
    let window = Mask::Sliding(Window::VisibleKeys(8));
    cases.push(Case::usual("f8e4m3_decode", scaled));
    cases.push(Case::usual("f8e4m3_decode_extreme", scaled).on(Data::Extreme));
    cases.push(Case::usual("f8e4m3_decode_faulty", scaled).on(Data::Faulty));
    cases.push(Case::usual("f8e4m3_decode_window", FlashAttnSpec { mask: window, ..scaled }));
    cases.push(Case::usual("f8e4m3_decode_no_scales", FlashAttnSpec { kv_scales: false, ..scaled }));
    cases.push(Case::usual("f8e4m3_decode_f16", FlashAttnSpec { q: DType::F16, out: DType::F16, ..scaled }));
    let (store, index) = (BASE.store, KvIndex::StartLen);
    cases.push(Case::usual("f8e4m3_decode_packed", FlashAttnSpec { store, index, ..scaled }));
    cases.push(Case::usual("f8e4m3_decode_dim_128", FlashAttnSpec { head_dim: 128, ..scaled }));
    cases.push(Case::usual("f8e4m3_queries", FlashAttnSpec { kv: DType::F8E4m3, kv_scales: true, ..BASE }));
    cases.push(Case::usual("scales", FlashAttnSpec { kv_scales: true, ..BASE }));
    cases.push(Case::usual("no_sequences", FlashAttnSpec { sequences: 0, q_tokens: 0, ..BASE }));
    cases.push(Case::usual("no_queries", FlashAttnSpec { q_tokens: 0, max_q_len: 0, ..BASE }));
    let long = FlashAttnSpec { sequences: 1, q_tokens: 150, max_q_len: 150, max_k_len: 150, ..BASE };
    cases.push(Case::usual("long", long));
    cases.push(Case::usual("long_window", FlashAttnSpec { mask: Mask::Sliding(Window::VisibleKeys(33)), ..long }));
    cases
}

/// One query over more and more keys, whose sums must not lose more than plain bf16 loses; sinks from -inf to 60. A batch of
/// very different lengths.
fn many_keys() -> Vec<Case<FlashAttnSpec>> {
    let decode = |sequences, keys| FlashAttnSpec {
        sequences,
        q_tokens: sequences,
        max_q_len: 1,
        max_k_len: keys,
        q_heads: 8,
        kv_heads: 1,
        store: KvStore::Packed { tokens: keys + (sequences - 1) * 100 },
        index: KvIndex::StartLen,
        ..BASE
    };
    let mut cases = Vec::new();
    for keys in [128, 1024, 8192] {
        cases.push(Case::usual(format!("keys_{keys}"), decode(1, keys)));
        cases.push(Case::usual(format!("keys_{keys}_extreme"), decode(1, keys)).on(Data::Extreme));
    }
    cases.push(Case::usual("mixed_lengths", decode(7, 4096)));
    cases
}
