//! Random specs.

use dropless::DType;
use dropless::op::moe::{RouteSpec, Score};
use dropless::op::*;
use proptest::prelude::*;

pub fn float() -> impl Strategy<Value = DType> {
    prop::sample::select(&[DType::Bf16, DType::F16, DType::F32][..])
}

pub fn swiglu() -> impl Strategy<Value = Swiglu> {
    let layout = prop::sample::select(&[GateUp::Interleaved, GateUp::Halves][..]);
    (0.5f64..2.0, prop::option::of(0.5f64..8.0), -1.0f64..1.0, layout).prop_map(|(alpha, limit, up, layout)| Swiglu {
        alpha: alpha.into(),
        limit: limit.map(Into::into),
        up_offset: up.into(),
        layout,
    })
}

pub fn weights() -> impl Strategy<Value = WeightFormat> {
    prop_oneof![
        Just(WeightFormat::Mxfp4),
        Just(WeightFormat::Mxfp4Gguf),
        Just(WeightFormat::Mxfp4Tiled),
        float().prop_map(WeightFormat::Dense),
    ]
}

/// Sizes stay below these.
pub struct Most {
    pub experts: usize,
    pub rows: usize,
    /// Weight rows; twice as many before SwiGLU.
    pub columns: usize,
    /// MXFP4 blocks of K.
    pub blocks: usize,
    pub sequences: usize,
    pub queries: usize,
    pub keys: usize,
    /// Query heads of a key head.
    pub group: usize,
    pub tokens: usize,
    pub routed: usize,
}

/// What the reference does at once.
pub const SMALL: Most = Most {
    experts: 20,
    rows: 60,
    columns: 40,
    blocks: 4,
    sequences: 8,
    queries: 10,
    keys: 50,
    group: 4,
    tokens: 30,
    routed: 200,
};

pub fn grouped_gemm(most: &Most) -> impl Strategy<Value = GroupedGemmSpec> + use<> {
    let sizes = (1..most.experts, 0..most.rows, 1..most.columns, 1..most.blocks);
    let types = (float(), weights(), prop::option::of(float()), float());
    let gather = prop::option::of((1usize..20, 1usize..5));
    let combine = prop::option::of((1usize..20, 1usize..6));
    (sizes, types, prop::option::of(swiglu()), gather, combine, any::<[u8; 2]>()).prop_map(
        |((experts, rows, half, blocks), (a, weights, bias, d), swiglu, gather, combine, local)| {
            let first = usize::from(local[0]) % experts;
            // The oracle's f16 stays in range: sums of larger ones would not.
            let d = if d == DType::F16 { DType::F32 } else { d };
            GroupedGemmSpec {
                experts,
                local: LocalExperts { first, count: usize::from(local[1]) % (experts - first + 1) },
                rows,
                n: if swiglu.is_some() { 2 * half } else { half },
                k: 32 * blocks,
                a,
                weights,
                bias,
                d,
                epilogue: swiglu.map_or(Epilogue::None, Epilogue::Swiglu),
                grouped: true,
                gather: gather.map(|(input_rows, divide)| Gather { input_rows, divide }),
                combine: combine.map(|(tokens, top_k)| Combine { tokens, top_k, weight: DType::F32 }),
            }
        },
    )
}

pub fn mask() -> impl Strategy<Value = Mask> {
    prop_oneof![
        Just(Mask::Causal),
        Just(Mask::Bidirectional),
        (1usize..30).prop_map(|w| Mask::Sliding(Window::VisibleKeys(w))),
        (0usize..30).prop_map(|w| Mask::Sliding(Window::KeysBefore(w))),
    ]
}

#[derive(Clone, Copy, Debug)]
pub enum Place {
    Packed,
    Paged(usize, PageLayout, bool),
}

pub fn place() -> impl Strategy<Value = Place> {
    let layout = prop::sample::select(&[PageLayout::Nhd, PageLayout::Hnd, PageLayout::XSplit { x: 8 }][..]);
    prop_oneof![
        Just(Place::Packed),
        (3u32..9, layout, any::<bool>()).prop_map(|(log, layout, table)| Place::Paged(1 << log, layout, table)),
    ]
}

pub fn flash_attn(most: &Most) -> impl Strategy<Value = FlashAttnSpec> + use<> {
    let sizes = (0..most.sequences, 0..most.queries, 0..most.keys, 1usize..4, 1..most.group);
    let dims = prop::sample::select(&[16usize, 64, 128][..]);
    let lse = prop::sample::select(&[Lse::None, Lse::WithSink, Lse::WithoutSink][..]);
    (sizes, dims, (float(), float()), mask(), prop::option::of(float()), lse, place(), 0.01f64..0.3).prop_map(
        |((sequences, max_q_len, max_k_len, kv_heads, group), head_dim, (x, out), mask, sinks, lse, place, scale)| {
            let max_pages = |size: usize| max_k_len.div_ceil(size).max(1);
            let (store, index) = match place {
                Place::Packed => (KvStore::Packed { tokens: sequences * max_k_len + 2 }, KvIndex::CuSeqlens),
                Place::Paged(page_size, layout, table) => {
                    let (pages, entries) = (sequences * max_pages(page_size) + 1, sequences * max_pages(page_size));
                    let index = match table {
                        true => KvIndex::BlockTable { max_pages: max_pages(page_size) },
                        false => KvIndex::Indptr { entries },
                    };
                    (KvStore::Paged { pages, page_size, layout }, index)
                }
            };
            FlashAttnSpec {
                sequences,
                q_tokens: sequences * max_q_len,
                max_q_len,
                max_k_len,
                q_heads: kv_heads * group,
                kv_heads,
                head_dim,
                q: x,
                kv: x,
                kv_scales: false,
                out,
                sm_scale: scale.into(),
                mask,
                sinks,
                lse,
                store,
                index,
                splits: None,
            }
        },
    )
}

pub fn route(most: &Most) -> impl Strategy<Value = RouteSpec> + use<> {
    let score = prop_oneof![
        Just(Score::SoftmaxAfterTopK),
        any::<bool>().prop_map(|renormalize| Score::SoftmaxBeforeTopK { renormalize }),
    ];
    (0..most.tokens, 1..most.routed, 1usize..17, float(), score).prop_map(|(tokens, experts, k, logits, score)| {
        RouteSpec { tokens, experts, top_k: k.min(experts), logits, weight: DType::F32, score }
    })
}
