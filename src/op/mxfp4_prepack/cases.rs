//! Test cases of prepacking.

use super::Mxfp4PrepackSpec;
use crate::op::cases::{Case, Cases};

impl Cases for Mxfp4PrepackSpec {
    fn cases() -> Vec<Case<Self>> {
        // Whole tiles, rows and blocks that fill none, more tiles than a block of threads has, no expert.
        let sizes = [(1, 16, 64), (3, 37, 96), (2, 1, 32), (1, 5, 160), (4, 130, 352), (2, 64, 2880), (0, 16, 64)];
        let case = |(experts, n, k)| Case::usual(format!("e{experts}_n{n}_k{k}"), Mxfp4PrepackSpec { experts, n, k });
        sizes.into_iter().map(case).collect()
    }

    /// Bytes are exact.
    fn accumulation(&self) -> f64 {
        0.0
    }
}
