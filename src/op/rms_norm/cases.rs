//! Test cases of the norm.

use super::RmsNormSpec;
use crate::dtype::{DType, Scalar};
use crate::op::cases::{Case, Cases, Data, sum_of_products};

impl Cases for RmsNormSpec {
    fn cases() -> Vec<Case<Self>> {
        let mut cases = Vec::new();
        for (x, weight, out) in [
            (DType::Bf16, DType::Bf16, DType::Bf16),
            (DType::F16, DType::F16, DType::F16),
            (DType::F32, DType::F32, DType::F32),
            (DType::F32, DType::Bf16, DType::Bf16),
            (DType::Bf16, DType::Bf16, DType::F32),
        ] {
            for (rows, dim) in [(7, 128), (1, 7), (3, 2880), (0, 8)] {
                for residual in [false, true] {
                    let op = RmsNormSpec { rows, dim, eps: Scalar(1e-5), x, weight, out, residual };
                    let name = format!("r{rows}_h{dim}_{x}_{weight}_{out}{}", if residual { "_residual" } else { "" });
                    cases.push(Case::usual(format!("{name}_extreme"), op).on(Data::Extreme));
                    cases.push(Case::usual(name, op));
                }
            }
        }
        cases
    }

    fn accumulation(&self) -> f64 {
        sum_of_products(self.dim)
    }
}
