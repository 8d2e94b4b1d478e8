//! The experts' rows: brought into their order, and summed back into tokens.

use super::{check_counts, need_weight};
use crate::backend::Backend;
use crate::dtype::DType;
use crate::error::SpecError;
use crate::op::{Op, Operand, Operands, Work, args, check_sizes, need, need_count, need_float, product};

/// `y[r] = x[sorted_assignment[r] / k]`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct PermuteSpec {
    /// Tokens T.
    pub tokens: usize,
    /// Experts a token k.
    pub top_k: usize,
    /// Columns H.
    pub dim: usize,
    /// Type of `x` and `y`.
    pub x: DType,
}

args! {
    /// Operands of [`PermuteSpec`].
    PermuteArgs {
        /// \[T, H\], rows may be strided.
        x: input,
        /// i32 \[T * k\]. One outside 0..T*k reads as zeros and sets [`Fault::RowIndex`](crate::op::Fault::RowIndex).
        sorted_assignment: input,
        /// \[T * k, H\], rows may be strided.
        y: output,
        /// u32 \[1\], optional.
        status: optional_output,
    }
}

/// `out[t] = Σ_j topk_weight[t, j] · y[assignment_to_row[t * k + j]]`, j ascending, no atomics.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CombineSpec {
    /// Tokens T.
    pub tokens: usize,
    /// Rows of `y`.
    pub rows: usize,
    /// Summands a token k.
    pub top_k: usize,
    /// Columns H.
    pub dim: usize,
    /// Type of `y`.
    pub y: DType,
    /// Type of `topk_weight`: f32 (f64 in the oracle).
    pub weight: DType,
    /// Type of `out`.
    pub out: DType,
}

args! {
    /// Operands of [`CombineSpec`].
    CombineArgs {
        /// \[rows, H\], rows may be strided.
        y: input,
        /// i32 \[T * k\]; -1: nothing. Another one outside 0..rows adds nothing and sets
        /// [`Fault::RowIndex`](crate::op::Fault::RowIndex).
        assignment_to_row: input,
        /// \[T, k\].
        topk_weight: input,
        /// \[T, H\], rows may be strided.
        out: output,
        /// u32 \[1\], optional.
        status: optional_output,
    }
}

impl Op for PermuteSpec {
    const NAME: &'static str = "moe_permute";
    type Args<'a, B: Backend> = PermuteArgs<'a, B>;

    fn check(&self) -> Result<(), SpecError> {
        check_counts(Self::NAME, self.tokens, self.top_k, self.top_k)?;
        need_float(Self::NAME, "x", self.x)?;
        check_sizes(Self::NAME, &self.operands())
    }

    fn operands(&self) -> Operands {
        let rows = self.tokens.saturating_mul(self.top_k);
        Operands::from_iter([
            Operand::input("x", self.x, &[self.tokens, self.dim]).strided(),
            Operand::input("sorted_assignment", DType::I32, &[rows]),
            Operand::output("y", self.x, &[rows, self.dim]).strided(),
            Operand::status(),
        ])
    }

    fn work(&self) -> Work {
        Work::with_operands(0, &self.operands())
    }
}

impl Op for CombineSpec {
    const NAME: &'static str = "moe_combine";
    type Args<'a, B: Backend> = CombineArgs<'a, B>;

    fn check(&self) -> Result<(), SpecError> {
        need_count(Self::NAME, "rows", self.rows, 0)?;
        need(Self::NAME, "top_k", self.top_k > 0, "above zero", self.top_k)?;
        need_count(Self::NAME, "tokens", self.tokens.saturating_mul(self.top_k), 0)?;
        for (name, dtype) in [("y", self.y), ("out", self.out)] {
            need_float(Self::NAME, name, dtype)?;
        }
        need_weight(Self::NAME, self.weight)?;
        check_sizes(Self::NAME, &self.operands())
    }

    fn operands(&self) -> Operands {
        Operands::from_iter([
            Operand::input("y", self.y, &[self.rows, self.dim]).strided(),
            Operand::input("assignment_to_row", DType::I32, &[self.tokens.saturating_mul(self.top_k)]),
            Operand::input("topk_weight", self.weight, &[self.tokens, self.top_k]),
            Operand::output("out", self.out, &[self.tokens, self.dim]).strided(),
            Operand::status(),
        ])
    }

    fn work(&self) -> Work {
        Work::with_operands(product(&[2, self.tokens, self.top_k, self.dim]), &self.operands())
    }
}
