//! Test cases of the rotation.

use super::{Pairing, RopeSpec};
use crate::dtype::DType;
use crate::op::cases::{Case, Cases, Data, sum_of_products};

impl Cases for RopeSpec {
    fn cases() -> Vec<Case<Self>> {
        let mut cases = Vec::new();
        for (x, out) in
            [(DType::Bf16, DType::Bf16), (DType::F16, DType::F16), (DType::F32, DType::F32), (DType::F32, DType::Bf16)]
        {
            for (tokens, heads, head_dim) in [(9, 3, 64), (4, 1, 128), (1, 8, 64), (3, 2, 6), (0, 2, 64)] {
                for (name, pairing) in [("half", Pairing::HalfSplit), ("interleaved", Pairing::Interleaved)] {
                    let op = RopeSpec { tokens, heads, head_dim, positions: 50, x, out, table: DType::F32, pairing };
                    cases.push(Case::usual(format!("t{tokens}_h{heads}_d{head_dim}_{name}_{x}_{out}"), op));
                }
            }
        }
        let (half, x) = (Pairing::HalfSplit, DType::Bf16);
        let op =
            RopeSpec { tokens: 9, heads: 3, head_dim: 64, positions: 50, x, out: x, table: DType::F32, pairing: half };
        cases.push(Case::usual("faulty", op).on(Data::Faulty));
        cases
    }

    fn accumulation(&self) -> f64 {
        sum_of_products(2)
    }
}
