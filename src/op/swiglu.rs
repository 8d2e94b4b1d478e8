//! `y = g · sigmoid(alpha · g) · (u + up_offset)`, the gated unit of gpt-oss, Mixtral and Qwen, alone. Fused into a GEMM it
//! is [`Epilogue::Swiglu`](crate::op::Epilogue).
//!
//! With a limit, `g` is clamped from above only and `u` on both sides: `g = min(g, limit)`, `u = clamp(u, -limit, limit)`.

#[cfg(feature = "testing")]
mod cases;

use super::{Op, Operand, Operands, Work, args, check_sizes, need, need_float, product};
use crate::backend::Backend;
use crate::dtype::{DType, Scalar};
use crate::error::SpecError;

/// The gated unit's parameters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Swiglu {
    /// Factor inside the sigmoid: 1.702 in gpt-oss, 1 elsewhere.
    pub alpha: Scalar,
    /// Clamp: 7 in gpt-oss.
    pub limit: Option<Scalar>,
    /// Added to `u`: 1 in gpt-oss, 0 elsewhere.
    pub up_offset: Scalar,
    /// Where gate and up stand in the 2I columns.
    pub layout: GateUp,
}

/// Order of gate and up among the 2I columns (weight rows).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum GateUp {
    /// Column 2i is gate i, 2i + 1 is up i (gpt-oss).
    Interleaved,
    /// Columns 0..I are gate, I..2I are up (Mixtral, Qwen).
    Halves,
}

impl Swiglu {
    /// gpt-oss: alpha 1.702, limit 7, offset 1, interleaved.
    pub const GPT_OSS: Swiglu =
        Swiglu { alpha: Scalar(1.702), limit: Some(Scalar(7.0)), up_offset: Scalar(1.0), layout: GateUp::Interleaved };
    /// Mixtral, Qwen: SiLU(gate) · up, halves.
    pub const SILU: Swiglu = Swiglu { alpha: Scalar(1.0), limit: None, up_offset: Scalar(0.0), layout: GateUp::Halves };

    pub(crate) fn check(&self, op: &'static str) -> Result<(), SpecError> {
        need(op, "alpha", self.alpha.0.is_finite(), "finite", self.alpha.0)?;
        need(op, "up_offset", self.up_offset.0.is_finite(), "finite", self.up_offset.0)?;
        let limit = self.limit.map_or(1.0, |l| l.0);
        need(op, "limit", limit > 0.0 && !limit.is_nan(), "above zero", limit)
    }

    /// Columns of gate and up of output column `i`, of `width` = 2I columns.
    pub fn columns(&self, i: usize, width: usize) -> (usize, usize) {
        match self.layout {
            GateUp::Interleaved => (2 * i, 2 * i + 1),
            GateUp::Halves => (i, width / 2 + i),
        }
    }
}

/// `y[r, i] = swiglu(gate_up[r, ..])`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SwigluSpec {
    /// Rows R.
    pub rows: usize,
    /// Input columns 2I, even.
    pub width: usize,
    /// Type of `gate_up`.
    pub x: DType,
    /// Type of `y`.
    pub out: DType,
    /// Parameters.
    pub swiglu: Swiglu,
}

args! {
    /// Operands of [`SwigluSpec`].
    SwigluArgs {
        /// \[R, 2I\], rows may be strided.
        gate_up: input,
        /// \[R, I\], rows may be strided.
        y: output,
    }
}

impl Op for SwigluSpec {
    const NAME: &'static str = "swiglu";
    type Args<'a, B: Backend> = SwigluArgs<'a, B>;

    fn check(&self) -> Result<(), SpecError> {
        need(Self::NAME, "width", self.width > 0 && self.width.is_multiple_of(2), "even and above zero", self.width)?;
        need_float(Self::NAME, "gate_up", self.x)?;
        need_float(Self::NAME, "y", self.out)?;
        self.swiglu.check(Self::NAME)?;
        check_sizes(Self::NAME, &self.operands())
    }

    fn operands(&self) -> Operands {
        Operands::from_iter([
            Operand::input("gate_up", self.x, &[self.rows, self.width]).strided(),
            Operand::output("y", self.out, &[self.rows, self.width / 2]).strided(),
        ])
    }

    fn work(&self) -> Work {
        Work::with_operands(product(&[self.rows, self.width / 2, 8]), &self.operands())
    }
}
