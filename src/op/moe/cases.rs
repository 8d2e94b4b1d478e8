//! Test cases of dispatch.

use super::{CombineSpec, DispatchSpec, PermuteSpec, RouteSpec, Score, SortSpec};
use crate::dtype::DType;
use crate::op::cases::{Case, Cases, Data, sum_of_products};

/// Tokens, experts, experts a token.
const SHAPES: [(usize, usize, usize); 7] =
    [(9, 8, 2), (5, 1, 1), (7, 128, 4), (3, 512, 16), (70, 32, 4), (16, 60, 8), (0, 8, 2)];
const SCORES: [(&str, Score); 3] = [
    ("after", Score::SoftmaxAfterTopK),
    ("before", Score::SoftmaxBeforeTopK { renormalize: false }),
    ("renormalized", Score::SoftmaxBeforeTopK { renormalize: true }),
];

fn routes() -> Vec<Case<RouteSpec>> {
    let mut cases = Vec::new();
    for (tokens, experts, top_k) in SHAPES {
        for (name, score) in SCORES {
            for logits in [DType::F32, DType::Bf16, DType::F16] {
                let op = RouteSpec { tokens, experts, top_k, logits, weight: DType::F32, score };
                let name = format!("t{tokens}_e{experts}_k{top_k}_{name}_{logits}");
                cases.push(Case::usual(name.clone(), op));
                if experts == 8 || experts == 512 {
                    cases.push(Case::usual(format!("{name}_extreme"), op).on(Data::Extreme));
                }
            }
        }
    }
    cases
}

impl Cases for RouteSpec {
    fn cases() -> Vec<Case<Self>> {
        routes()
    }

    /// Up to E exponentials: a few units each for the exponential and its rounded argument, one for each sum.
    fn accumulation(&self) -> f64 {
        sum_of_products(self.experts) + 16.0
    }
}

impl Cases for DispatchSpec {
    fn cases() -> Vec<Case<Self>> {
        routes().into_iter().map(|c| Case { name: c.name, op: DispatchSpec { route: c.op }, data: c.data }).collect()
    }

    fn accumulation(&self) -> f64 {
        self.route.accumulation()
    }
}

impl Cases for SortSpec {
    fn cases() -> Vec<Case<Self>> {
        let case = |(tokens, experts, top_k)| {
            let op = SortSpec { tokens, experts, top_k };
            let usual = Case::usual(format!("t{tokens}_e{experts}_k{top_k}"), op);
            [usual.clone(), Case { name: format!("{}_faulty", usual.name), ..usual.on(Data::Faulty) }]
        };
        SHAPES.into_iter().flat_map(case).collect()
    }

    /// Integers are exact.
    fn accumulation(&self) -> f64 {
        0.0
    }
}

impl Cases for PermuteSpec {
    fn cases() -> Vec<Case<Self>> {
        let mut cases = Vec::new();
        for x in [DType::Bf16, DType::F16, DType::F32] {
            for (tokens, top_k, dim) in [(9, 2, 64), (5, 1, 7), (3, 16, 33), (0, 4, 8)] {
                let op = PermuteSpec { tokens, top_k, dim, x };
                cases.push(Case::usual(format!("t{tokens}_k{top_k}_h{dim}_{x}"), op));
            }
        }
        let op = PermuteSpec { tokens: 9, top_k: 2, dim: 64, x: DType::Bf16 };
        cases.push(Case::usual("faulty", op).on(Data::Faulty));
        cases
    }

    /// Copies are exact.
    fn accumulation(&self) -> f64 {
        0.0
    }
}

impl Cases for CombineSpec {
    fn cases() -> Vec<Case<Self>> {
        let base = CombineSpec {
            tokens: 9,
            rows: 18,
            top_k: 2,
            dim: 64,
            y: DType::Bf16,
            weight: DType::F32,
            out: DType::Bf16,
        };
        let mut cases = vec![
            Case::usual("faulty", base).on(Data::Faulty),
            Case::usual("extreme", CombineSpec { y: DType::F32, out: DType::F32, ..base }).on(Data::Extreme),
            Case::usual("no_tokens", CombineSpec { tokens: 0, rows: 0, ..base }),
        ];
        for (tokens, top_k, dim) in [(9, 2, 64), (5, 1, 7), (3, 16, 33), (40, 4, 96)] {
            for (y, out) in [
                (DType::Bf16, DType::Bf16),
                (DType::F16, DType::F16),
                (DType::F32, DType::F32),
                (DType::Bf16, DType::F32),
            ] {
                let op = CombineSpec { tokens, rows: tokens * top_k, top_k, dim, y, out, ..base };
                cases.push(Case::usual(format!("t{tokens}_k{top_k}_h{dim}_{y}_{out}"), op));
            }
        }
        cases
    }

    fn accumulation(&self) -> f64 {
        sum_of_products(self.top_k)
    }
}
