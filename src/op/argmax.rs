//! `ids[r]` = the index of the largest element of row r of `x`, the lowest of equal ones: the greedy choice among logits. A
//! row that holds NaN or +inf has none: -1.

#[cfg(feature = "testing")]
mod cases;

use super::{Op, Operand, Operands, Work, args, check_sizes, need_count, need_float};
use crate::backend::Backend;
use crate::dtype::DType;
use crate::error::SpecError;

/// Index of the largest element of each row.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ArgmaxSpec {
    /// Rows R.
    pub rows: usize,
    /// Columns V.
    pub columns: usize,
    /// Type of `x`.
    pub x: DType,
}

args! {
    /// Operands of [`ArgmaxSpec`].
    ArgmaxArgs {
        /// \[R, V\], rows may be strided.
        x: input,
        /// i32 \[R\].
        ids: output,
    }
}

impl Op for ArgmaxSpec {
    const NAME: &'static str = "argmax";
    type Args<'a, B: Backend> = ArgmaxArgs<'a, B>;

    fn check(&self) -> Result<(), SpecError> {
        need_count(Self::NAME, "rows", self.rows, 0)?;
        need_count(Self::NAME, "columns", self.columns, 1)?;
        need_float(Self::NAME, "x", self.x)?;
        check_sizes(Self::NAME, &self.operands())
    }

    fn operands(&self) -> Operands {
        Operands::from_iter([
            Operand::input("x", self.x, &[self.rows, self.columns]).strided(),
            Operand::output("ids", DType::I32, &[self.rows]),
        ])
    }

    fn work(&self) -> Work {
        Work::with_operands(0, &self.operands())
    }
}
