//! The dimensions of a mixture-of-experts layer, and the specs of its kernels.

use crate::dtype::DType;
use crate::op::grouped_gemm::{Combine, Epilogue, Gather, LocalExperts};
use crate::op::moe::{DispatchSpec, RouteSpec, Score};
use crate::op::{GroupedGemmSpec, Swiglu, WeightFormat};

/// A layer's dimensions and types.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct MoeSpec {
    /// Tokens T.
    pub tokens: usize,
    /// Width of a token H.
    pub hidden: usize,
    /// Width of an expert I.
    pub intermediate: usize,
    /// Experts E.
    pub experts: usize,
    /// Experts a token k.
    pub top_k: usize,
    /// Type of the tokens and of what passes between the two GEMMs.
    pub x: DType,
    /// Type of the result.
    pub out: DType,
    /// Format of the experts' weights.
    pub weights: WeightFormat,
    /// Type of the router's weight and of all biases.
    pub dense: DType,
    /// How router weights come from logits.
    pub score: Score,
    /// The gated unit.
    pub swiglu: Swiglu,
}

impl MoeSpec {
    /// Type of router logits and weights.
    pub fn routing(&self) -> DType {
        if self.x == DType::F64 { DType::F64 } else { DType::F32 }
    }

    pub(super) fn router(&self) -> GroupedGemmSpec {
        let MoeSpec { tokens, experts, hidden, x, dense, .. } = *self;
        GroupedGemmSpec::linear(tokens, experts, hidden, x, dense, Some(dense), self.routing())
    }

    pub(super) fn dispatch(&self) -> DispatchSpec {
        let MoeSpec { tokens, experts, top_k, score, .. } = *self;
        DispatchSpec {
            route: RouteSpec { tokens, experts, top_k, logits: self.routing(), weight: self.routing(), score },
        }
    }

    fn experts(&self, n: usize, k: usize) -> GroupedGemmSpec {
        GroupedGemmSpec {
            experts: self.experts,
            local: LocalExperts { first: 0, count: self.experts },
            rows: self.tokens.saturating_mul(self.top_k),
            weights: self.weights,
            grouped: true,
            ..GroupedGemmSpec::linear(0, n, k, self.x, self.dense, Some(self.dense), self.x)
        }
    }

    pub(super) fn up(&self) -> GroupedGemmSpec {
        GroupedGemmSpec {
            epilogue: Epilogue::Swiglu(self.swiglu),
            gather: Some(Gather { input_rows: self.tokens, divide: self.top_k }),
            ..self.experts(self.intermediate.saturating_mul(2), self.hidden)
        }
    }

    pub(super) fn down(&self) -> GroupedGemmSpec {
        GroupedGemmSpec {
            d: self.out,
            combine: Some(Combine { tokens: self.tokens, top_k: self.top_k, weight: self.routing() }),
            ..self.experts(self.hidden, self.intermediate)
        }
    }
}
