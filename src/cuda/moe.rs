//! Dropless dispatch.

use super::plan::{CudaOp, Plan};
use super::tuned::dispatch_class;
use super::{Cuda, Stream};
use crate::backend::params::moe::{Blocks, Combine, Dispatch, Permute, Route};
use crate::backend::{Class, DeviceInfo, Hint};
use crate::error::Error;
use crate::op::Op;
use crate::op::moe::{
    CombineArgs, CombineSpec, DispatchArgs, DispatchSpec, PermuteArgs, PermuteSpec, RouteArgs, RouteSpec, SortArgs,
    SortSpec,
};
use dropless_kernels_cuda::Artifact;

impl CudaOp for RouteSpec {
    fn launch(plan: &Plan<Self>, args: RouteArgs<'_, Cuda>, _: u64, stream: &Stream<'_>) -> Result<(), Error> {
        let params = Route::new(&plan.op, &args.logits, &args.topk_idx, &args.topk_weight);
        let blocks = plan.op.tokens.div_ceil(plan.artifact.warps as usize);
        plan.record(0, [blocks, 1, 1], stream, &params)
    }
}

fn blocks(artifact: &Artifact) -> Blocks {
    let (warps, block_m, cluster) = (artifact.warps, artifact.block_m, artifact.block_n.max(1));
    Blocks { launches: artifact.entries.len(), warps, block_m, cluster }
}

fn record<O: Op>(plan: &Plan<O>, op: &SortSpec, stream: &Stream<'_>, params: &Dispatch) -> Result<(), Error> {
    let grid = [blocks(plan.artifact).count(op, plan.info()), 1, 1];
    (0..plan.artifact.entries.len()).try_for_each(|kernel| plan.record(kernel, grid, stream, params))
}

impl CudaOp for SortSpec {
    fn suits(&self, artifact: &Artifact, _: &DeviceInfo, _: Hint<'_>) -> Result<(), String> {
        blocks(artifact).suit(self)
    }

    fn shared_bytes(&self, artifact: &Artifact) -> u32 {
        blocks(artifact).histogram_bytes(self)
    }

    fn scratch_bytes(&self, artifact: &Artifact, device: &DeviceInfo) -> usize {
        blocks(artifact).count_bytes(self, device)
    }

    fn launch(plan: &Plan<Self>, args: SortArgs<'_, Cuda>, scratch: u64, stream: &Stream<'_>) -> Result<(), Error> {
        let op = &plan.op;
        record(plan, op, stream, &Dispatch::of_sort(op, &args, scratch))
    }
}

impl CudaOp for DispatchSpec {
    fn class(&self, hint: Hint<'_>) -> Option<Class> {
        Some(dispatch_class(self, hint))
    }

    fn suits(&self, artifact: &Artifact, _: &DeviceInfo, _: Hint<'_>) -> Result<(), String> {
        blocks(artifact).suit(&self.sort())
    }

    fn shared_bytes(&self, artifact: &Artifact) -> u32 {
        blocks(artifact).histogram_bytes(&self.sort())
    }

    fn scratch_bytes(&self, artifact: &Artifact, device: &DeviceInfo) -> usize {
        blocks(artifact).count_bytes(&self.sort(), device)
    }

    fn launch(plan: &Plan<Self>, args: DispatchArgs<'_, Cuda>, scratch: u64, stream: &Stream<'_>) -> Result<(), Error> {
        record(plan, &plan.op.sort(), stream, &Dispatch::new(&plan.op, &args, scratch))
    }
}

impl CudaOp for PermuteSpec {
    fn launch(plan: &Plan<Self>, args: PermuteArgs<'_, Cuda>, _: u64, stream: &Stream<'_>) -> Result<(), Error> {
        let op = &plan.op;
        let rows = op.tokens * op.top_k;
        let params = Permute::new(op, &args);
        plan.record(0, [rows, 1, 1], stream, &params)
    }
}

impl CudaOp for CombineSpec {
    fn launch(plan: &Plan<Self>, args: CombineArgs<'_, Cuda>, _: u64, stream: &Stream<'_>) -> Result<(), Error> {
        let op = &plan.op;
        let params = Combine::new(op, &args);
        plan.record(0, [op.tokens, 1, 1], stream, &params)
    }
}
