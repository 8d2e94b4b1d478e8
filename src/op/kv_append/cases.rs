//! Test cases of the cache write.

use super::{KvAppendSpec, KvStore, Pairing};
use crate::dtype::DType;
use crate::op::PageLayout;
use crate::op::cases::{Case, Cases, Data, sum_of_products};

const BASE: KvAppendSpec = KvAppendSpec {
    tokens: 11,
    kv_heads: 2,
    q_heads: 4,
    head_dim: 64,
    x: DType::Bf16,
    q_out: DType::Bf16,
    cache: DType::Bf16,
    scales: false,
    store: KvStore::Packed { tokens: 20 },
    positions: 40,
    table: DType::F32,
    pairing: Pairing::HalfSplit,
};

impl Cases for KvAppendSpec {
    fn cases() -> Vec<Case<Self>> {
        let mut cases = vec![
            Case::usual("packed", BASE),
            Case::usual("keys_only", KvAppendSpec { q_heads: 0, ..BASE }),
            Case::usual("interleaved", KvAppendSpec { pairing: Pairing::Interleaved, ..BASE }),
            Case::usual("dim_128", KvAppendSpec { head_dim: 128, ..BASE }),
            Case::usual("one_token", KvAppendSpec { tokens: 1, ..BASE }),
            Case::usual("no_tokens", KvAppendSpec { tokens: 0, ..BASE }),
            Case::usual("faulty_packed", BASE).on(Data::Faulty),
        ];
        for page_size in [8, 16, 256] {
            for (name, layout) in
                [("nhd", PageLayout::Nhd), ("hnd", PageLayout::Hnd), ("xsplit", PageLayout::XSplit { x: 8 })]
            {
                let op = KvAppendSpec { store: KvStore::Paged { pages: 3, page_size, layout }, ..BASE };
                cases.push(Case::usual(format!("{name}_{page_size}"), op));
                cases.push(Case::usual(format!("{name}_{page_size}_faulty"), op).on(Data::Faulty));
            }
        }
        for (x, cache, q_out) in [
            (DType::F16, DType::F16, DType::F16),
            (DType::F32, DType::F32, DType::F32),
            (DType::F32, DType::Bf16, DType::F32),
            (DType::F32, DType::Bf16, DType::Bf16),
            (DType::F32, DType::F16, DType::F16),
        ] {
            cases.push(Case::usual(format!("{x}_{cache}_{q_out}"), KvAppendSpec { x, cache, q_out, ..BASE }));
        }
        for x in [DType::Bf16, DType::F32] {
            let op = KvAppendSpec { x, cache: DType::F8E4m3, ..BASE };
            cases.push(Case::usual(format!("{x}_f8e4m3"), op));
            cases.push(Case::usual(format!("{x}_f8e4m3_scales"), KvAppendSpec { scales: true, ..op }));
            for (name, layout) in
                [("nhd", PageLayout::Nhd), ("hnd", PageLayout::Hnd), ("xsplit", PageLayout::XSplit { x: 16 })]
            {
                let op = KvAppendSpec { scales: true, store: KvStore::Paged { pages: 3, page_size: 16, layout }, ..op };
                cases.push(Case::usual(format!("{x}_f8e4m3_{name}"), op));
            }
        }
        cases.push(Case::usual("scales", KvAppendSpec { scales: true, ..BASE }));
        cases
    }

    fn accumulation(&self) -> f64 {
        sum_of_products(2)
    }
}
