//! Test cases of argmax.

use super::ArgmaxSpec;
use crate::dtype::DType;
use crate::op::cases::{Case, Cases, Data};

impl Cases for ArgmaxSpec {
    fn cases() -> Vec<Case<Self>> {
        let mut cases = Vec::new();
        for x in [DType::F32, DType::Bf16, DType::F16] {
            for (rows, columns) in [(5, 1000), (1, 70_001), (3, 1), (0, 8), (70, 33)] {
                let case = Case::usual(format!("r{rows}_v{columns}_{x}"), ArgmaxSpec { rows, columns, x });
                let extreme = Case { name: format!("{}_extreme", case.name), ..case.clone() };
                cases.extend([case, extreme.on(Data::Extreme)]);
            }
        }
        cases
    }

    /// Indices are exact.
    fn accumulation(&self) -> f64 {
        0.0
    }
}
