//! Dropless dispatch, MegaBlocks style: route every token to k experts, sort the assignments by expert, and bring the
//! experts' rows back. No capacity, nothing padded, nothing dropped.
//!
//! An *assignment* is a token and one of its k slots: `a = t * k + slot`. A *row* is an assignment's place in expert order.
//!
//! - [`RouteSpec`]: logits -> experts and weights;
//! - [`SortSpec`]: experts -> counts, offsets, `sorted_assignment` (row -> assignment) and its inverse;
//! - [`DispatchSpec`]: both at once, the fewest launches;
//! - [`PermuteSpec`]: token rows -> expert rows (a grouped GEMM can gather instead);
//! - [`CombineSpec`]: expert rows -> weighted token sums (a grouped GEMM can combine instead).

#[cfg(feature = "testing")]
mod cases;
mod rows;

pub use rows::{CombineArgs, CombineSpec, PermuteArgs, PermuteSpec};

use super::{Op, Operand, Operands, Work, args, check_sizes, need, need_count, need_float, product};
use crate::backend::Backend;
use crate::dtype::DType;
use crate::error::SpecError;

/// Most experts a token is routed to.
pub const MAX_TOP_K: usize = 16;
/// Most experts.
pub const MAX_EXPERTS: usize = 512;

/// How weights come from logits. Ranking is always by logit, descending, equal logits by lower expert; NaN ranks last.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Score {
    /// Softmax over the k chosen logits (gpt-oss).
    SoftmaxAfterTopK,
    /// Softmax over all E, then the chosen ones (Qwen, Mixtral).
    SoftmaxBeforeTopK {
        /// Divide the chosen ones by their sum.
        renormalize: bool,
    },
}

/// Top-k experts of each token and their weights.
///
/// A NaN logit counts as -inf: it is chosen only where fewer than k others are left, and then weighs zero. Where all
/// logits of a token are NaN or -inf its weights are NaN: the fault shows instead of passing for a result.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RouteSpec {
    /// Tokens T.
    pub tokens: usize,
    /// Experts E.
    pub experts: usize,
    /// Experts a token k.
    pub top_k: usize,
    /// Type of `logits`.
    pub logits: DType,
    /// Type of `topk_weight`: f32 (f64 in the oracle).
    pub weight: DType,
    /// How weights come from logits.
    pub score: Score,
}

args! {
    /// Operands of [`RouteSpec`].
    RouteArgs {
        /// \[T, E\], tokens may be strided.
        logits: input,
        /// i32 \[T, k\]: experts by descending logit.
        topk_idx: output,
        /// \[T, k\].
        topk_weight: output,
    }
}

/// Assignments in expert order: a stable counting sort.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SortSpec {
    /// Tokens T.
    pub tokens: usize,
    /// Experts E.
    pub experts: usize,
    /// Experts a token k.
    pub top_k: usize,
}

args! {
    /// Operands of [`SortSpec`].
    SortArgs {
        /// i32 \[T, k\]. An id outside 0..E belongs to no expert, is sorted behind all others and sets
        /// [`Fault::ExpertId`](crate::op::Fault::ExpertId).
        topk_idx: input,
        /// i32 \[E\]: rows of each expert.
        expert_count: output,
        /// i32 \[E + 1\]: exclusive prefix sum of the counts.
        expert_offset: output,
        /// i32 \[T * k\]: assignment of each row; ascending within an expert.
        sorted_assignment: output,
        /// i32 \[T * k\]: row of each assignment, the inverse permutation.
        assignment_to_row: output,
        /// u32 \[1\], optional.
        status: optional_output,
    }
}

/// [`RouteSpec`] and [`SortSpec`] in one: router logits to everything the grouped GEMMs need.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct DispatchSpec {
    /// The routing; its tokens, experts and k are those of the sort.
    pub route: RouteSpec,
}

args! {
    /// Operands of [`DispatchSpec`], as in [`RouteArgs`] and [`SortArgs`].
    DispatchArgs {
        /// \[T, E\], tokens may be strided.
        logits: input,
        /// i32 \[T, k\].
        topk_idx: output,
        /// \[T, k\].
        topk_weight: output,
        /// i32 \[E\].
        expert_count: output,
        /// i32 \[E + 1\].
        expert_offset: output,
        /// i32 \[T * k\].
        sorted_assignment: output,
        /// i32 \[T * k\].
        assignment_to_row: output,
    }
}

impl Op for RouteSpec {
    const NAME: &'static str = "moe_route";
    type Args<'a, B: Backend> = RouteArgs<'a, B>;

    fn check(&self) -> Result<(), SpecError> {
        check_counts(Self::NAME, self.tokens, self.experts, self.top_k)?;
        need_float(Self::NAME, "logits", self.logits)?;
        need_weight(Self::NAME, self.weight)?;
        check_sizes(Self::NAME, &self.operands())
    }

    fn operands(&self) -> Operands {
        let chosen = [self.tokens, self.top_k];
        Operands::from_iter([
            Operand::input("logits", self.logits, &[self.tokens, self.experts]).strided(),
            Operand::output("topk_idx", DType::I32, &chosen),
            Operand::output("topk_weight", self.weight, &chosen),
        ])
    }

    fn work(&self) -> Work {
        Work::with_operands(product(&[self.tokens, self.experts]), &self.operands())
    }
}

impl Op for SortSpec {
    const NAME: &'static str = "moe_sort";
    type Args<'a, B: Backend> = SortArgs<'a, B>;

    fn check(&self) -> Result<(), SpecError> {
        check_counts(Self::NAME, self.tokens, self.experts, self.top_k)
    }

    fn operands(&self) -> Operands {
        let mut out = Operands::from_iter([Operand::input("topk_idx", DType::I32, &[self.tokens, self.top_k])]);
        out.extend(sort_outputs(self.tokens, self.experts, self.top_k));
        out.push(Operand::status());
        out
    }

    fn work(&self) -> Work {
        Work::with_operands(0, &self.operands())
    }
}

impl DispatchSpec {
    /// The sorting half.
    pub fn sort(&self) -> SortSpec {
        SortSpec { tokens: self.route.tokens, experts: self.route.experts, top_k: self.route.top_k }
    }
}

impl Op for DispatchSpec {
    const NAME: &'static str = "moe_dispatch";
    type Args<'a, B: Backend> = DispatchArgs<'a, B>;

    fn check(&self) -> Result<(), SpecError> {
        self.route.check().and_then(|()| self.sort().check()).map_err(|e| SpecError { op: Self::NAME, ..e })
    }

    fn operands(&self) -> Operands {
        let mut out = self.route.operands();
        out.extend(sort_outputs(self.route.tokens, self.route.experts, self.route.top_k));
        out
    }

    fn work(&self) -> Work {
        Work::with_operands(self.route.work().flops, &self.operands())
    }
}

fn sort_outputs(tokens: usize, experts: usize, top_k: usize) -> [Operand; 4] {
    let assignments = tokens.saturating_mul(top_k);
    [
        Operand::output("expert_count", DType::I32, &[experts]),
        Operand::output("expert_offset", DType::I32, &[experts.saturating_add(1)]),
        Operand::output("sorted_assignment", DType::I32, &[assignments]),
        Operand::output("assignment_to_row", DType::I32, &[assignments]),
    ]
}

fn check_counts(op: &'static str, tokens: usize, experts: usize, top_k: usize) -> Result<(), SpecError> {
    need(op, "experts", (1..=MAX_EXPERTS).contains(&experts), format!("1 to {MAX_EXPERTS}"), experts)?;
    let most = MAX_TOP_K.min(experts);
    need(op, "top_k", (1..=most).contains(&top_k), format!("1 to {most}"), top_k)?;
    need_count(op, "tokens", tokens.saturating_mul(top_k), 0)
}

fn need_weight(op: &'static str, dtype: DType) -> Result<(), SpecError> {
    need(op, "topk_weight", matches!(dtype, DType::F32 | DType::F64), "f32 or (cpu oracle) f64", dtype)
}
