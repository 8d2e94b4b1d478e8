//! `d[r] = epilogue(a[r] · W[e]ᵀ + bias[e])` for every row r of expert e.
//!
//! Rows of expert e are `offsets[e] .. offsets[e + 1]`, read on the device; a spec without `offsets` has one expert that owns
//! all rows (a linear layer). With a gather, row r reads `a[row_index[r] / divide]`. With a combine, the experts' rows are
//! summed into tokens: `d[t] = Σ_j weight[t, j] · y[row_of[t * k + j]]`, j ascending, no atomics. The rows y are not rounded in
//! between: the sum is, once, where it is stored.
//!
//! - Rows past `offsets[E]` belong to nobody: not written; in a combine they contribute zero.
//! - Rows of experts outside the local range are zero, in a combine contribute zero.
//! - Bad offsets, rows and indices: [`Fault::Offsets`](super::Fault::Offsets), [`Fault::RowIndex`](super::Fault::RowIndex).
//! - MXFP4: `W[e, n, k] = E2M1[code] · 2^(scale - 127)`, blocks of 32 along K. Scale 255 is NaN and makes its row's results NaN.

#[cfg(feature = "testing")]
mod cases;

use super::{Op, Operand, Operands, Swiglu, Work, args, check_sizes, need, need_count, need_float, product};
use crate::backend::Backend;
use crate::dtype::DType;
use crate::error::SpecError;
use crate::mxfp4;

/// Grouped matrix multiplication with everything that mixture-of-experts layers fuse into it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct GroupedGemmSpec {
    /// Experts E that `offsets` speaks of; 1 to 512.
    pub experts: usize,
    /// The experts whose weights are here (expert parallelism); all of them usually.
    pub local: LocalExperts,
    /// Rows R: the upper bound of `offsets[E]`.
    pub rows: usize,
    /// Weight rows N.
    pub n: usize,
    /// Contraction length K, a multiple of 32 for MXFP4.
    pub k: usize,
    /// Type of `a`.
    pub a: DType,
    /// Format of `w`.
    pub weights: WeightFormat,
    /// Type of `bias`, if there is one.
    pub bias: Option<DType>,
    /// Type of `d`.
    pub d: DType,
    /// What is done with a row before it is stored or combined.
    pub epilogue: Epilogue,
    /// With `offsets`; without, E is 1 and all rows are its own.
    pub grouped: bool,
    /// Rows of `a` by index.
    pub gather: Option<Gather>,
    /// Rows summed into tokens.
    pub combine: Option<Combine>,
}

/// Experts `first .. first + count` of E.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct LocalExperts {
    /// First local expert.
    pub first: usize,
    /// How many.
    pub count: usize,
}

/// Format of the weights.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum WeightFormat {
    /// `w` e2m1x2 \[local, N, K/32, 16\] and `w_scales` e8m0 \[local, N, K/32\]: the checkpoint's own layout.
    Mxfp4,
    /// `w` u8 \[local, N, K/32, 17\]: GGUF blocks.
    Mxfp4Gguf,
    /// `w` u8 \[local, bytes\]: prepacked at load time ([`mxfp4::Tiled`]).
    Mxfp4Tiled,
    /// `w` \[local, N, K\] in this floating-point type.
    Dense(DType),
}

/// What is done with a row `y` of N columns.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Epilogue {
    /// Nothing: N columns out.
    None,
    /// The gated unit: N/2 columns out.
    Swiglu(Swiglu),
}

/// Row r reads `a[row_index[r] / divide]`: with `sorted_assignment` and k, token rows in expert order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Gather {
    /// Rows of `a`.
    pub input_rows: usize,
    /// Divisor of the index: experts a token, or 1.
    pub divide: usize,
}

/// `d[t] = Σ_j weight[t, j] · y[row_of[t * k + j]]`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Combine {
    /// Tokens T: rows of `d`.
    pub tokens: usize,
    /// Summands a token k.
    pub top_k: usize,
    /// Type of `combine_weight`: f32 (f64 in the oracle).
    pub weight: DType,
}

args! {
    /// Operands of [`GroupedGemmSpec`]; N' is N, or N/2 after SwiGLU.
    GroupedGemmArgs {
        /// \[R, K\], or \[input_rows, K\] with a gather; rows may be strided.
        a: input,
        /// As [`WeightFormat`] says.
        w: input,
        /// e8m0 \[local, N, K/32\], for [`WeightFormat::Mxfp4`] only.
        w_scales: optional_input,
        /// \[local, N\].
        bias: optional_input,
        /// i32 \[E + 1\], ascending from 0.
        offsets: optional_input,
        /// i32 \[R\], with a gather.
        row_index: optional_input,
        /// i32 \[T * k\], with a combine; -1: nothing.
        row_of: optional_input,
        /// \[T, k\], with a combine.
        combine_weight: optional_input,
        /// \[R, N'\], or \[T, N'\] with a combine; rows may be strided.
        d: output,
        /// u32 \[1\], optional.
        status: optional_output,
    }
}

impl GroupedGemmSpec {
    /// `d = a · Wᵀ (+ bias)`: a linear layer, one expert.
    pub fn linear(rows: usize, n: usize, k: usize, a: DType, w: DType, bias: Option<DType>, d: DType) -> Self {
        GroupedGemmSpec {
            experts: 1,
            local: LocalExperts { first: 0, count: 1 },
            rows,
            n,
            k,
            a,
            weights: WeightFormat::Dense(w),
            bias,
            d,
            epilogue: Epilogue::None,
            grouped: false,
            gather: None,
            combine: None,
        }
    }

    /// Columns after the epilogue.
    pub fn n_out(&self) -> usize {
        match self.epilogue {
            Epilogue::None => self.n,
            Epilogue::Swiglu(_) => self.n / 2,
        }
    }

    /// Rows of `d`.
    pub fn out_rows(&self) -> usize {
        self.combine.map_or(self.rows, |c| c.tokens)
    }

    fn weight_operands(&self) -> (Operand, Option<Operand>) {
        let (e, n, k) = (self.local.count, self.n, self.k);
        let blocks = k / mxfp4::BLOCK;
        match self.weights {
            WeightFormat::Mxfp4 => (
                Operand::input("w", DType::E2m1x2, &[e, n, blocks, 16]),
                Some(Operand::input("w_scales", DType::E8m0, &[e, n, blocks])),
            ),
            WeightFormat::Mxfp4Gguf => (Operand::input("w", DType::U8, &[e, n, blocks, 17]), None),
            WeightFormat::Mxfp4Tiled => (Operand::input("w", DType::U8, &[e, mxfp4::Tiled::bytes(n, k)]), None),
            WeightFormat::Dense(dtype) => (Operand::input("w", dtype, &[e, n, k]), None),
        }
    }

    fn check_options(&self) -> Result<(), SpecError> {
        if let Epilogue::Swiglu(swiglu) = self.epilogue {
            need(Self::NAME, "n", self.n.is_multiple_of(2), "even for SwiGLU", self.n)?;
            swiglu.check(Self::NAME)?;
        }
        if let Some(gather) = self.gather {
            need_count(Self::NAME, "input_rows", gather.input_rows, 0)?;
            need_count(Self::NAME, "divide", gather.divide, 1)?;
        }
        if let Some(combine) = self.combine {
            need_count(Self::NAME, "top_k", combine.top_k, 1)?;
            need_count(Self::NAME, "tokens", combine.tokens.saturating_mul(combine.top_k), 0)?;
            let weight = matches!(combine.weight, DType::F32 | DType::F64);
            need(Self::NAME, "combine_weight", weight, "f32 or (cpu oracle) f64", combine.weight)?;
        }
        Ok(())
    }
}

impl Op for GroupedGemmSpec {
    const NAME: &'static str = "grouped_gemm";
    type Args<'a, B: Backend> = GroupedGemmArgs<'a, B>;

    fn check(&self) -> Result<(), SpecError> {
        let most = super::moe::MAX_EXPERTS;
        need(Self::NAME, "experts", (1..=most).contains(&self.experts), format!("1 to {most}"), self.experts)?;
        need(Self::NAME, "experts", self.grouped || self.experts == 1, "1 without offsets", self.experts)?;
        let LocalExperts { first, count } = self.local;
        let inside = first.checked_add(count).is_some_and(|end| end <= self.experts);
        need(Self::NAME, "local", inside, format!("within 0..{}", self.experts), format!("{first}..+{count}"))?;
        need_count(Self::NAME, "rows", self.rows, 0)?;
        need_count(Self::NAME, "n", self.n, 1)?;
        need_count(Self::NAME, "k", self.k, 1)?;
        match self.weights {
            WeightFormat::Dense(dtype) => need_float(Self::NAME, "w", dtype)?,
            _ => {
                need(Self::NAME, "k", self.k.is_multiple_of(mxfp4::BLOCK), "a multiple of the MXFP4 block, 32", self.k)?
            }
        }
        need_float(Self::NAME, "a", self.a)?;
        need_float(Self::NAME, "d", self.d)?;
        if let Some(bias) = self.bias {
            need_float(Self::NAME, "bias", bias)?;
        }
        self.check_options()?;
        check_sizes(Self::NAME, &self.operands())
    }

    fn operands(&self) -> Operands {
        let (w, w_scales) = self.weight_operands();
        let a_rows = self.gather.map_or(self.rows, |g| g.input_rows);
        let mut out = Operands::from_iter([
            Operand::input("a", self.a, &[a_rows, self.k]).strided(),
            w,
            Operand::output("d", self.d, &[self.out_rows(), self.n_out()]).strided(),
            Operand::status(),
        ]);
        out.extend(w_scales);
        out.extend(self.bias.map(|dtype| Operand::input("bias", dtype, &[self.local.count, self.n])));
        if self.grouped {
            out.push(Operand::input("offsets", DType::I32, &[self.experts.saturating_add(1)]));
        }
        if self.gather.is_some() {
            out.push(Operand::input("row_index", DType::I32, &[self.rows]));
        }
        if let Some(combine) = self.combine {
            out.push(Operand::input("row_of", DType::I32, &[combine.tokens.saturating_mul(combine.top_k)]));
            out.push(Operand::input("combine_weight", combine.weight, &[combine.tokens, combine.top_k]));
        }
        out
    }

    /// Weights of at most R experts are touched: a row reads one expert.
    fn work(&self) -> Work {
        let touched = self.rows.min(self.local.count) as u64;
        let bytes = self.operands().into_iter().map(|o| {
            let all = (o.shape.len() as u64).saturating_mul(o.dtype.bytes() as u64);
            let weight = matches!(o.name, "w" | "w_scales" | "bias") && self.local.count > 0;
            if weight { (all / self.local.count as u64).saturating_mul(touched) } else { all }
        });
        Work { flops: product(&[2, self.rows, self.n, self.k]), bytes: bytes.fold(0, u64::saturating_add) }
    }
}
