//! MXFP4 weights as checkpoints have them, in the tiles of [`mxfp4::Tiled`]: the same codes and scales in other places, byte for byte
//! what [`mxfp4::to_tiled`] makes of each expert. Bytes are moved and not judged: whether a scale is NaN is the loader's question
//! ([`mxfp4::check_scales`]).

#[cfg(feature = "testing")]
mod cases;

use super::{Op, Operand, Operands, Work, args, check_sizes, need, need_count};
use crate::backend::Backend;
use crate::dtype::DType;
use crate::error::SpecError;
use crate::mxfp4;

/// Experts of one matrix in tiles.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Mxfp4PrepackSpec {
    /// Experts E.
    pub experts: usize,
    /// Rows of an expert N.
    pub n: usize,
    /// Elements of a row K, a multiple of 32.
    pub k: usize,
}

args! {
    /// Operands of [`Mxfp4PrepackSpec`].
    Mxfp4PrepackArgs {
        /// e2m1x2 \[E, N, K/32, 16\], of alignment 4.
        w: input,
        /// e8m0 \[E, N, K/32\].
        w_scales: input,
        /// u8 \[E, [bytes](mxfp4::Tiled::bytes)\], of alignment 16.
        tiles: output,
    }
}

impl Op for Mxfp4PrepackSpec {
    const NAME: &'static str = "mxfp4_prepack";
    type Args<'a, B: Backend> = Mxfp4PrepackArgs<'a, B>;

    fn check(&self) -> Result<(), SpecError> {
        need_count(Self::NAME, "experts", self.experts, 0)?;
        need_count(Self::NAME, "n", self.n, 1)?;
        need_count(Self::NAME, "k", self.k, 1)?;
        need(Self::NAME, "k", self.k.is_multiple_of(mxfp4::BLOCK), "a multiple of the MXFP4 block, 32", self.k)?;
        check_sizes(Self::NAME, &self.operands())
    }

    fn operands(&self) -> Operands {
        let (e, n, blocks) = (self.experts, self.n, self.k / mxfp4::BLOCK);
        Operands::from_iter([
            Operand::input("w", DType::E2m1x2, &[e, n, blocks, 16]),
            Operand::input("w_scales", DType::E8m0, &[e, n, blocks]),
            Operand::output("tiles", DType::U8, &[e, mxfp4::Tiled::bytes(n, self.k)]),
        ])
    }

    fn work(&self) -> Work {
        Work::with_operands(0, &self.operands())
    }
}
