//! Any op's spec, where a program handles them alike: command lines, catalogs, caches of plans.

use super::moe::{CombineSpec, DispatchSpec, PermuteSpec, RouteSpec, SortSpec};
use super::{
    ArgmaxSpec, EmbeddingSpec, FlashAttnSpec, GroupedGemmSpec, KvAppendSpec, Mxfp4PrepackSpec, Op, RmsNormSpec,
    RopeSpec, SwigluSpec, Work,
};
use crate::error::SpecError;

/// Applies a generic expression to the spec inside: `each!(any, op => Op::work(op))`.
#[macro_export]
macro_rules! each_spec {
    ($any:expr, $op:ident => $then:expr) => {
        match $any {
            $crate::op::AnySpec::GroupedGemm($op) => $then,
            $crate::op::AnySpec::Route($op) => $then,
            $crate::op::AnySpec::Sort($op) => $then,
            $crate::op::AnySpec::Dispatch($op) => $then,
            $crate::op::AnySpec::Permute($op) => $then,
            $crate::op::AnySpec::Combine($op) => $then,
            $crate::op::AnySpec::FlashAttn($op) => $then,
            $crate::op::AnySpec::KvAppend($op) => $then,
            $crate::op::AnySpec::Rope($op) => $then,
            $crate::op::AnySpec::RmsNorm($op) => $then,
            $crate::op::AnySpec::Swiglu($op) => $then,
            $crate::op::AnySpec::Embedding($op) => $then,
            $crate::op::AnySpec::Argmax($op) => $then,
            $crate::op::AnySpec::Mxfp4Prepack($op) => $then,
        }
    };
}

/// The spec of one op, whichever.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AnySpec {
    /// Grouped matrix multiplication.
    GroupedGemm(GroupedGemmSpec),
    /// Top-k routing.
    Route(RouteSpec),
    /// Assignments in expert order.
    Sort(SortSpec),
    /// Both at once.
    Dispatch(DispatchSpec),
    /// Token rows to expert rows.
    Permute(PermuteSpec),
    /// Expert rows to token sums.
    Combine(CombineSpec),
    /// Attention.
    FlashAttn(FlashAttnSpec),
    /// Keys and values into the cache.
    KvAppend(KvAppendSpec),
    /// Rotary position embedding.
    Rope(RopeSpec),
    /// The norm.
    RmsNorm(RmsNormSpec),
    /// The gated unit alone.
    Swiglu(SwigluSpec),
    /// Rows of a table.
    Embedding(EmbeddingSpec),
    /// Index of the largest element.
    Argmax(ArgmaxSpec),
    /// Published MXFP4 weights in tiles.
    Mxfp4Prepack(Mxfp4PrepackSpec),
}

impl AnySpec {
    /// NAME of the op.
    pub fn name(&self) -> &'static str {
        fn of<O: Op>(_: &O) -> &'static str {
            O::NAME
        }
        each_spec!(self, op => of(op))
    }

    /// As [`Op::check`].
    ///
    /// # Errors
    /// As [`Op::check`].
    pub fn check(&self) -> Result<(), SpecError> {
        each_spec!(self, op => op.check())
    }

    /// As [`Op::work`].
    pub fn work(&self) -> Work {
        each_spec!(self, op => op.work())
    }
}
