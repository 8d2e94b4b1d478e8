//! Test cases of the gated unit alone.

use super::{GateUp, Swiglu, SwigluSpec};
use crate::dtype::{DType, Scalar};
use crate::op::cases::{Case, Cases, Data};

impl Cases for SwigluSpec {
    fn cases() -> Vec<Case<Self>> {
        let halves = Swiglu { layout: GateUp::Halves, limit: Some(Scalar(2.0)), ..Swiglu::GPT_OSS };
        let mut cases = Vec::new();
        for (name, swiglu) in [("gpt_oss", Swiglu::GPT_OSS), ("silu", Swiglu::SILU), ("halves", halves)] {
            for (x, out) in [
                (DType::Bf16, DType::Bf16),
                (DType::F16, DType::F16),
                (DType::F32, DType::F32),
                (DType::F32, DType::Bf16),
            ] {
                for (rows, width) in [(9, 96), (1, 2), (0, 8), (3, 130)] {
                    let op = SwigluSpec { rows, width, x, out, swiglu };
                    let name = format!("r{rows}_w{width}_{name}_{x}_{out}");
                    if swiglu.limit.is_some() {
                        cases.push(Case::usual(format!("{name}_extreme"), op).on(Data::Extreme));
                    }
                    cases.push(Case::usual(name, op));
                }
            }
        }
        cases
    }

    /// Elementwise: nothing is accumulated.
    fn accumulation(&self) -> f64 {
        0.0
    }
}
