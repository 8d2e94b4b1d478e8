//! Test cases of the embedding.

use super::EmbeddingSpec;
use crate::dtype::DType;
use crate::op::cases::{Case, Cases, Data};

impl Cases for EmbeddingSpec {
    fn cases() -> Vec<Case<Self>> {
        let mut cases = Vec::new();
        for (table, out) in [
            (DType::Bf16, DType::Bf16),
            (DType::F16, DType::F16),
            (DType::F32, DType::F32),
            (DType::Bf16, DType::F32),
            (DType::F32, DType::Bf16),
        ] {
            for (tokens, vocab, dim) in [(9, 40, 64), (1, 1, 7), (0, 5, 8)] {
                let op = EmbeddingSpec { tokens, vocab, dim, table, out };
                cases.push(Case::usual(format!("t{tokens}_v{vocab}_h{dim}_{table}_{out}"), op));
            }
        }
        let op = EmbeddingSpec { tokens: 9, vocab: 40, dim: 64, table: DType::Bf16, out: DType::Bf16 };
        cases.push(Case::usual("faulty", op).on(Data::Faulty));
        cases
    }

    /// Copies are exact.
    fn accumulation(&self) -> f64 {
        0.0
    }
}
