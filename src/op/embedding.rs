//! `y[t] = table[ids[t]]`. An id outside the vocabulary gives zeros and [`Fault::TokenId`](super::Fault::TokenId).

#[cfg(feature = "testing")]
mod cases;

use super::{Op, Operand, Operands, Work, args, check_sizes, need, need_count, need_float, product};
use crate::backend::Backend;
use crate::dtype::DType;
use crate::error::SpecError;

/// Rows of a table by token id.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct EmbeddingSpec {
    /// Tokens T.
    pub tokens: usize,
    /// Rows of the table V.
    pub vocab: usize,
    /// Columns H.
    pub dim: usize,
    /// Type of `table`.
    pub table: DType,
    /// Type of `y`.
    pub out: DType,
}

args! {
    /// Operands of [`EmbeddingSpec`].
    EmbeddingArgs {
        /// i32 \[T\].
        ids: input,
        /// \[V, H\].
        table: input,
        /// \[T, H\], rows may be strided.
        y: output,
        /// u32 \[1\], optional.
        status: optional_output,
    }
}

impl Op for EmbeddingSpec {
    const NAME: &'static str = "embedding";
    type Args<'a, B: Backend> = EmbeddingArgs<'a, B>;

    fn check(&self) -> Result<(), SpecError> {
        need_count(Self::NAME, "vocab", self.vocab, 1)?;
        need(Self::NAME, "dim", self.dim > 0, "above zero", self.dim)?;
        need_float(Self::NAME, "table", self.table)?;
        need_float(Self::NAME, "y", self.out)?;
        check_sizes(Self::NAME, &self.operands())
    }

    fn operands(&self) -> Operands {
        Operands::from_iter([
            Operand::input("ids", DType::I32, &[self.tokens]),
            Operand::input("table", self.table, &[self.vocab, self.dim]).strided(),
            Operand::output("y", self.out, &[self.tokens, self.dim]).strided(),
            Operand::status(),
        ])
    }

    fn work(&self) -> Work {
        let rows = product(&[self.tokens, self.dim, self.table.bytes() + self.out.bytes()]);
        Work { flops: 0, bytes: rows.saturating_add(product(&[self.tokens, DType::I32.bytes()])) }
    }
}
