//! Rotary position embedding. `x` is rotated pair by pair: `a' = a cos - b sin`, `b' = b cos + a sin`, with cos and sin
//! from a table indexed by position.
//!
//! The table is made on the host in f64 ([`YarnRope::table`]): at position 131071 a table whose angles were multiplied out
//! in f32 is off by 3e-3, one rounded at the end by 6e-8. A position outside it gives zeros and
//! [`Fault::Position`](super::Fault::Position).

#[cfg(feature = "testing")]
mod cases;

use super::{Op, Operand, Operands, Work, args, check_sizes, need, need_count, need_float, product};
use crate::backend::Backend;
use crate::dtype::{DType, Scalar};
use crate::error::SpecError;
use crate::mutation::{Rule, wrong};

/// Which elements of a head form a pair.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Pairing {
    /// (i, i + D/2): gpt-oss, Llama in the HF layout.
    HalfSplit,
    /// (2i, 2i + 1): GPT-J, Llama in Meta's layout.
    Interleaved,
}

impl Pairing {
    /// Elements of pair `i` of a head of `dim`.
    pub fn pair(self, i: usize, dim: usize) -> (usize, usize) {
        match self {
            Pairing::HalfSplit => (i, i + dim / 2),
            Pairing::Interleaved => (2 * i, 2 * i + 1),
        }
    }
}

/// Frequencies with YaRN scaling (NTK by parts). `factor <= 1` is plain rope.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct YarnRope {
    /// Elements of a head, even.
    pub head_dim: usize,
    /// Base: 150000 in gpt-oss.
    pub theta: Scalar,
    /// Context extension: 32.
    pub factor: Scalar,
    /// Rotations over the original context above which a frequency is kept: 32.
    pub beta_fast: Scalar,
    /// Rotations under which it is interpolated: 1.
    pub beta_slow: Scalar,
    /// Context length before extension: 4096.
    pub original: usize,
    /// Round the ramp's ends outwards to whole indices (gpt-oss: false).
    pub truncate: bool,
}

/// Cosines and sines, each \[positions, head_dim / 2\], row-major, already times the concentration.
#[derive(Clone, Debug, PartialEq)]
pub struct RopeTable {
    /// Cosines.
    pub cos: Vec<f64>,
    /// Sines.
    pub sin: Vec<f64>,
}

impl YarnRope {
    /// Inverse frequency of each pair, \[head_dim / 2\], radians per position.
    pub fn inv_freq(&self) -> Vec<f64> {
        let dim = self.head_dim as f64;
        let frequency = |i: usize| self.theta.0.powf(2.0 * i as f64 / dim);
        let pairs = 0..self.head_dim / 2;
        if self.factor.0 <= 1.0 || wrong(Rule::NoYarn) {
            return pairs.map(|i| 1.0 / frequency(i)).collect();
        }
        let (low, high) = self.ramp();
        let blend = |i: usize| {
            let interpolated = ((i as f64 - low) / (high - low)).clamp(0.0, 1.0);
            (1.0 - interpolated) / frequency(i) + interpolated / (self.factor.0 * frequency(i))
        };
        pairs.map(blend).collect()
    }

    /// Factor on cosines and sines: 0.1 ln(factor) + 1, or 1 without scaling.
    pub fn concentration(&self) -> f64 {
        let scaled = self.factor.0 > 1.0 && !wrong(Rule::NoYarn) && !wrong(Rule::NoConcentration);
        if scaled { 0.1 * self.factor.0.ln() + 1.0 } else { 1.0 }
    }

    /// The table's rows for `positions`.
    pub fn table(&self, positions: impl IntoIterator<Item = i64>) -> RopeTable {
        let (inv_freq, concentration) = (self.inv_freq(), self.concentration());
        let mut table = RopeTable { cos: Vec::new(), sin: Vec::new() };
        for position in positions {
            for f in &inv_freq {
                let (sin, cos) = (position as f64 * f).sin_cos();
                table.cos.push(cos * concentration);
                table.sin.push(sin * concentration);
            }
        }
        table
    }

    /// Pair indices between which the frequencies go from kept to interpolated.
    fn ramp(&self) -> (f64, f64) {
        let dim = self.head_dim as f64;
        let pair_of = |rotations: f64| {
            dim * (self.original as f64 / (rotations * 2.0 * std::f64::consts::PI)).ln() / (2.0 * self.theta.0.ln())
        };
        let (mut low, mut high) = (pair_of(self.beta_fast.0), pair_of(self.beta_slow.0));
        if wrong(Rule::BetasSwapped) {
            std::mem::swap(&mut low, &mut high);
        }
        if self.truncate != wrong(Rule::TruncateFlipped) {
            (low, high) = (low.floor(), high.ceil());
        }
        (low.max(0.0), high.min(dim - 1.0))
    }
}

/// Rotates every head of every token.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RopeSpec {
    /// Tokens T.
    pub tokens: usize,
    /// Heads.
    pub heads: usize,
    /// Elements of a head D, even.
    pub head_dim: usize,
    /// Rows of the table.
    pub positions: usize,
    /// Type of `x`.
    pub x: DType,
    /// Type of `y`.
    pub out: DType,
    /// Type of `cos` and `sin`: f32 (f64 in the oracle).
    pub table: DType,
    /// Which elements form a pair.
    pub pairing: Pairing,
}

args! {
    /// Operands of [`RopeSpec`].
    RopeArgs {
        /// \[T, heads, D\], tokens may be strided.
        x: input,
        /// i32 \[T\].
        positions: input,
        /// \[positions, D/2\].
        cos: input,
        /// \[positions, D/2\].
        sin: input,
        /// \[T, heads, D\], tokens may be strided. May be exactly the memory of `x` where the types are the same.
        y: output,
        /// u32 \[1\], optional.
        status: optional_output,
    }
}

impl Op for RopeSpec {
    const NAME: &'static str = "rope";
    type Args<'a, B: Backend> = RopeArgs<'a, B>;

    fn check(&self) -> Result<(), SpecError> {
        check_table(Self::NAME, self.head_dim, self.positions, self.table)?;
        need_float(Self::NAME, "x", self.x)?;
        need_float(Self::NAME, "y", self.out)?;
        check_sizes(Self::NAME, &self.operands())
    }

    fn operands(&self) -> Operands {
        let (heads, table) = ([self.tokens, self.heads, self.head_dim], [self.positions, self.head_dim / 2]);
        Operands::from_iter([
            Operand::input("x", self.x, &heads).strided(),
            Operand::input("positions", DType::I32, &[self.tokens]),
            Operand::input("cos", self.table, &table),
            Operand::input("sin", self.table, &table),
            Operand::output("y", self.out, &heads).strided(),
            Operand::status(),
        ])
    }

    fn work(&self) -> Work {
        let row = self.heads.saturating_mul(self.head_dim);
        let heads = product(&[self.tokens, row, self.x.bytes() + self.out.bytes()]);
        let table = product(&[self.tokens, self.head_dim, self.table.bytes()]);
        Work { flops: product(&[3, self.tokens, row]), bytes: heads.saturating_add(table) }
    }
}

pub(super) fn check_table(op: &'static str, head_dim: usize, positions: usize, table: DType) -> Result<(), SpecError> {
    need(op, "head_dim", head_dim > 0 && head_dim.is_multiple_of(2), "even and above zero", head_dim)?;
    need_count(op, "positions", positions, 1)?;
    need(op, "cos", matches!(table, DType::F32 | DType::F64), "f32 or (cpu oracle) f64", table)
}
