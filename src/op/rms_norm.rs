//! `y = s / sqrt(mean(s²) + eps) · weight` with `s = x`, or `s = x + residual` rounded to x's type and also written out.
//! All in the accumulation type; one rounding after the weight.

#[cfg(feature = "testing")]
mod cases;

use super::{Op, Operand, Operands, Work, args, check_sizes, need, need_float, product};
use crate::backend::Backend;
use crate::dtype::{DType, Scalar};
use crate::error::SpecError;

/// Root-mean-square norm over the last dimension, with an optional residual addition in front.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RmsNormSpec {
    /// Rows R.
    pub rows: usize,
    /// Columns H.
    pub dim: usize,
    /// Added to the mean square: 1e-5 in gpt-oss.
    pub eps: Scalar,
    /// Type of `x`, `residual` and `sum`.
    pub x: DType,
    /// Type of `weight`.
    pub weight: DType,
    /// Type of `y`.
    pub out: DType,
    /// With `residual` and `sum`.
    pub residual: bool,
}

args! {
    /// Operands of [`RmsNormSpec`].
    RmsNormArgs {
        /// \[R, H\], rows may be strided.
        x: input,
        /// \[R, H\], rows may be strided; with `residual` only.
        residual: optional_input,
        /// \[H\].
        weight: input,
        /// \[R, H\], x + residual; with `residual` only. May be exactly the memory of `x` or of `residual`.
        sum: optional_output,
        /// \[R, H\], rows may be strided.
        y: output,
    }
}

impl Op for RmsNormSpec {
    const NAME: &'static str = "rms_norm";
    type Args<'a, B: Backend> = RmsNormArgs<'a, B>;

    fn check(&self) -> Result<(), SpecError> {
        need(Self::NAME, "dim", self.dim > 0, "above zero", self.dim)?;
        need(Self::NAME, "eps", self.eps.0 >= 0.0 && self.eps.0.is_finite(), "zero or more", self.eps.0)?;
        for (name, dtype) in [("x", self.x), ("weight", self.weight), ("y", self.out)] {
            need_float(Self::NAME, name, dtype)?;
        }
        check_sizes(Self::NAME, &self.operands())
    }

    fn operands(&self) -> Operands {
        let rows = [self.rows, self.dim];
        let mut out = Operands::from_iter([
            Operand::input("x", self.x, &rows).strided(),
            Operand::input("weight", self.weight, &[self.dim]),
            Operand::output("y", self.out, &rows).strided(),
        ]);
        if self.residual {
            out.push(Operand::input("residual", self.x, &rows).strided());
            out.push(Operand::output("sum", self.x, &rows).strided());
        }
        out
    }

    fn work(&self) -> Work {
        Work::with_operands(product(&[4, self.rows, self.dim]), &self.operands())
    }
}
