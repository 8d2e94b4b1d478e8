//! One mixture-of-experts layer as four launches: router, dispatch, up (gather + SwiGLU), down (weighted combine).

mod spec;

pub use spec::MoeSpec;

use crate::backend::{Hint, Runtime, Scratch, Tensor};
use crate::dtype::DType;
use crate::error::Error;
use crate::host::HostTensor;
use crate::kernel::{AllOps, Kernel};
use crate::mutation::{Rule, wrong};
use crate::op::moe::{DispatchArgs, DispatchSpec, Score, SortArgs, SortSpec};
use crate::op::{GroupedGemmArgs, GroupedGemmSpec};
use crate::tensor::{View, ViewMut};

/// A layer's weights.
pub struct MoeWeights<'a, B: Runtime> {
    /// \[1, E, H\].
    pub router: View<'a, B>,
    /// \[1, E\].
    pub router_bias: View<'a, B>,
    /// As [`WeightFormat`](crate::op::WeightFormat) says, N = 2I, K = H.
    pub up: View<'a, B>,
    /// For [`WeightFormat::Mxfp4`](crate::op::WeightFormat::Mxfp4).
    pub up_scales: Option<View<'a, B>>,
    /// \[E, 2I\].
    pub up_bias: View<'a, B>,
    /// As [`WeightFormat`](crate::op::WeightFormat) says, N = H, K = I.
    pub down: View<'a, B>,
    /// For [`WeightFormat::Mxfp4`](crate::op::WeightFormat::Mxfp4).
    pub down_scales: Option<View<'a, B>>,
    /// \[E, H\].
    pub down_bias: View<'a, B>,
}

/// What passes between the launches, for up to as many tokens as it was made for.
pub struct MoeBuffers<B: Runtime> {
    /// \[T, E\], f32 whatever the tokens' type (f64 in the oracle): rounding them would change which experts win.
    pub router_logits: Tensor<B>,
    /// i32 \[T, k\].
    pub topk_idx: Tensor<B>,
    /// \[T, k\].
    pub topk_weight: Tensor<B>,
    expert_count: Tensor<B>,
    expert_offset: Tensor<B>,
    sorted_assignment: Tensor<B>,
    assignment_to_row: Tensor<B>,
    activated: Tensor<B>,
}

/// The planned kernels of a layer.
pub struct MoeBlock<B: Runtime + AllOps> {
    spec: MoeSpec,
    router: Kernel<GroupedGemmSpec, B>,
    dispatch: Kernel<DispatchSpec, B>,
    sort: Kernel<SortSpec, B>,
    up: Kernel<GroupedGemmSpec, B>,
    down: Kernel<GroupedGemmSpec, B>,
}

impl<B: Runtime> MoeBuffers<B> {
    /// Buffers for `spec.tokens` tokens or fewer.
    ///
    /// # Errors
    /// As [`Runtime::alloc`].
    pub fn new(backend: &B, spec: &MoeSpec) -> Result<Self, Error> {
        let MoeSpec { tokens, experts, top_k, .. } = *spec;
        let assignments = tokens.saturating_mul(top_k);
        let new = |dtype, shape: &[usize]| Tensor::empty(backend, dtype, shape);
        Ok(MoeBuffers {
            router_logits: new(spec.routing(), &[tokens, experts])?,
            topk_idx: new(DType::I32, &[tokens, top_k])?,
            topk_weight: new(spec.routing(), &[tokens, top_k])?,
            expert_count: new(DType::I32, &[experts])?,
            expert_offset: new(DType::I32, &[experts.saturating_add(1)])?,
            sorted_assignment: new(DType::I32, &[assignments])?,
            assignment_to_row: new(DType::I32, &[assignments])?,
            activated: new(spec.x, &[assignments, spec.intermediate])?,
        })
    }
}

impl<B: Runtime + AllOps> MoeBlock<B> {
    /// Plans the kernels.
    ///
    /// # Errors
    /// As [`Kernel::plan`].
    pub fn plan(backend: &B, spec: MoeSpec, hint: Hint<'_>) -> Result<Self, Error> {
        Ok(MoeBlock {
            spec,
            router: Kernel::plan(backend, spec.router(), hint)?,
            dispatch: Kernel::plan(backend, spec.dispatch(), hint)?,
            sort: Kernel::plan(backend, spec.dispatch().sort(), hint)?,
            up: Kernel::plan(backend, spec.up(), hint)?,
            down: Kernel::plan(backend, spec.down(), hint)?,
        })
    }

    /// The dimensions.
    pub fn spec(&self) -> &MoeSpec {
        &self.spec
    }

    /// Working memory that any of the launches needs.
    pub fn scratch(&self) -> Scratch {
        let all = [
            self.router.scratch(),
            self.dispatch.scratch(),
            self.sort.scratch(),
            self.up.scratch(),
            self.down.scratch(),
        ];
        let most = |f: fn(&Scratch) -> usize| all.iter().map(f).max().unwrap_or(0);
        Scratch { bytes: most(|s| s.bytes), align: most(|s| s.align) }
    }

    /// `router_logits = x · routerᵀ + router_bias`; x \[T, H\].
    ///
    /// # Errors
    /// As [`Kernel::enqueue`], as of every launch here.
    pub fn route(
        &self,
        backend: &B,
        x: View<'_, B>,
        weights: &MoeWeights<'_, B>,
        buffers: &mut MoeBuffers<B>,
        scratch: ViewMut<'_, B>,
        queue: &mut B::Queue<'_>,
    ) -> Result<(), Error> {
        let d = buffers.router_logits.prefix_mut(&[self.spec.tokens, self.spec.experts])?;
        let args = linear_args(x, weights.router.clone(), Some(weights.router_bias.clone()), d);
        self.router.enqueue(backend, args, scratch, queue)
    }

    /// From `router_logits` to everything [`MoeBlock::experts`] needs.
    ///
    /// # Errors
    /// As [`Kernel::enqueue`].
    pub fn dispatch(
        &self,
        backend: &B,
        buffers: &mut MoeBuffers<B>,
        scratch: ViewMut<'_, B>,
        queue: &mut B::Queue<'_>,
    ) -> Result<(), Error> {
        let MoeSpec { tokens, experts, top_k, .. } = self.spec;
        let args = DispatchArgs {
            logits: buffers.router_logits.prefix(&[tokens, experts])?,
            topk_idx: buffers.topk_idx.prefix_mut(&[tokens, top_k])?,
            topk_weight: buffers.topk_weight.prefix_mut(&[tokens, top_k])?,
            expert_count: buffers.expert_count.view_mut(),
            expert_offset: buffers.expert_offset.view_mut(),
            sorted_assignment: buffers.sorted_assignment.prefix_mut(&[tokens * top_k])?,
            assignment_to_row: buffers.assignment_to_row.prefix_mut(&[tokens * top_k])?,
        };
        self.dispatch.enqueue(backend, args, scratch, queue)
    }

    /// Instead of [`MoeBlock::dispatch`]: the experts are given, i32 \[T, k\], and weigh by their own `router_logits` as the
    /// spec's score says. Waits for the logits.
    ///
    /// # Errors
    /// [`Error::Input`] for another number of experts or one outside 0..E, else as [`Runtime::read`].
    pub fn force(&self, backend: &B, topk_idx: &[i32], buffers: &mut MoeBuffers<B>) -> Result<(), Error> {
        let MoeSpec { tokens, experts, top_k, .. } = self.spec;
        if topk_idx.len() != tokens * top_k {
            let want = format!("must be {tokens} x {top_k} experts, got {}", topk_idx.len());
            return Err(Error::input("forced routing", want));
        }
        let logits = buffers.router_logits.read_prefix(backend, &[tokens, experts])?.to_f64();
        let mut weights = Vec::with_capacity(topk_idx.len());
        for (row, chosen) in logits.chunks_exact(experts).zip(topk_idx.chunks_exact(top_k)) {
            let logit = |e: &i32| usize::try_from(*e).ok().and_then(|e| row.get(e)).copied();
            let of_chosen: Option<Vec<f64>> = chosen.iter().map(logit).collect();
            let of_chosen = of_chosen.ok_or_else(|| {
                Error::input("forced routing", format!("experts must be 0 to {}, got {chosen:?}", experts - 1))
            })?;
            // Over all of the row, renormalised, is over the chosen ones.
            let whole_row = self.spec.score == Score::SoftmaxBeforeTopK { renormalize: false };
            let over = if whole_row != wrong(Rule::SoftmaxOtherSide) { row } else { of_chosen.as_slice() };
            let max = over.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = over.iter().map(|l| (l - max).exp()).sum();
            weights.extend(of_chosen.iter().map(|l| (l - max).exp() / sum));
        }
        let weights = HostTensor::from_f64(self.spec.routing(), &[tokens, top_k], &weights)?;
        buffers.topk_weight.write_prefix(backend, weights.bytes.as_slice())?;
        buffers.topk_idx.write_prefix(backend, HostTensor::from_i32(&[tokens, top_k], topk_idx)?.bytes.as_slice())
    }

    /// After [`MoeBlock::force`]: sorts the given experts.
    ///
    /// # Errors
    /// As [`Kernel::enqueue`].
    pub fn sort(
        &self,
        backend: &B,
        buffers: &mut MoeBuffers<B>,
        scratch: ViewMut<'_, B>,
        queue: &mut B::Queue<'_>,
    ) -> Result<(), Error> {
        let MoeSpec { tokens, top_k, .. } = self.spec;
        let args = SortArgs {
            topk_idx: buffers.topk_idx.prefix(&[tokens, top_k])?,
            expert_count: buffers.expert_count.view_mut(),
            expert_offset: buffers.expert_offset.view_mut(),
            sorted_assignment: buffers.sorted_assignment.prefix_mut(&[tokens * top_k])?,
            assignment_to_row: buffers.assignment_to_row.prefix_mut(&[tokens * top_k])?,
            status: None,
        };
        self.sort.enqueue(backend, args, scratch, queue)
    }

    /// `out[t] = Σ_j topk_weight[t, j] · expert_j(x[t])`; x and out \[T, H\].
    ///
    /// # Errors
    /// As [`Kernel::enqueue`].
    #[allow(clippy::too_many_arguments)]
    pub fn experts(
        &self,
        backend: &B,
        x: View<'_, B>,
        weights: &MoeWeights<'_, B>,
        buffers: &mut MoeBuffers<B>,
        out: ViewMut<'_, B>,
        mut scratch: ViewMut<'_, B>,
        queue: &mut B::Queue<'_>,
    ) -> Result<(), Error> {
        let MoeSpec { tokens, top_k, intermediate, .. } = self.spec;
        let rows = tokens * top_k;
        let up = GroupedGemmArgs {
            w_scales: weights.up_scales.clone(),
            offsets: Some(buffers.expert_offset.view()),
            row_index: Some(buffers.sorted_assignment.prefix(&[rows])?),
            ..linear_args(
                x,
                weights.up.clone(),
                Some(weights.up_bias.clone()),
                buffers.activated.prefix_mut(&[rows, intermediate])?,
            )
        };
        self.up.enqueue(backend, up, scratch.reborrow(), queue)?;
        let activated = buffers.activated.prefix(&[rows, intermediate])?;
        let down = GroupedGemmArgs {
            w_scales: weights.down_scales.clone(),
            offsets: Some(buffers.expert_offset.view()),
            row_of: Some(buffers.assignment_to_row.prefix(&[rows])?),
            combine_weight: Some(buffers.topk_weight.prefix(&[tokens, top_k])?),
            ..linear_args(activated, weights.down.clone(), Some(weights.down_bias.clone()), out)
        };
        self.down.enqueue(backend, down, scratch, queue)
    }
}

/// Operands of a linear layer.
pub(super) fn linear_args<'a, B: Runtime>(
    a: View<'a, B>,
    w: View<'a, B>,
    bias: Option<View<'a, B>>,
    d: ViewMut<'a, B>,
) -> GroupedGemmArgs<'a, B> {
    GroupedGemmArgs {
        a,
        w,
        w_scales: None,
        bias,
        offsets: None,
        row_index: None,
        row_of: None,
        combine_weight: None,
        d,
        status: None,
    }
}
