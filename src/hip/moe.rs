//! Dropless dispatch.

use super::plan::{HipOp, Plan};
use super::{Hip, Stream};
use crate::backend::DeviceInfo;
use crate::backend::params::moe::{Blocks, Combine, Dispatch, Permute, Route};
use crate::error::Error;
use crate::op::Op;
use crate::op::moe::{
    CombineArgs, CombineSpec, DispatchArgs, DispatchSpec, PermuteArgs, PermuteSpec, RouteArgs, RouteSpec, SortArgs,
    SortSpec,
};
use dropless_kernels_hip::Artifact;

impl HipOp for RouteSpec {
    fn launch(plan: &Plan<Self>, args: RouteArgs<'_, Hip>, _: u64, stream: &Stream<'_>) -> Result<(), Error> {
        let params = Route::new(&plan.op, &args.logits, &args.topk_idx, &args.topk_weight);
        plan.record(0, [plan.op.tokens.div_ceil(plan.artifact.warps.max(1) as usize), 1], stream, &params)
    }
}

fn blocks(artifact: &Artifact) -> Blocks {
    Blocks { launches: artifact.entries.len(), warps: artifact.warps, block_m: artifact.block_m, cluster: 1 }
}

fn record<O: Op>(plan: &Plan<O>, op: &SortSpec, stream: &Stream<'_>, params: &Dispatch) -> Result<(), Error> {
    let grid = [blocks(plan.artifact).count(op, plan.info()), 1];
    (0..plan.artifact.entries.len()).try_for_each(|kernel| plan.record(kernel, grid, stream, params))
}

impl HipOp for SortSpec {
    fn suits(&self, artifact: &Artifact) -> Result<(), String> {
        blocks(artifact).suit(self)
    }

    fn shared_bytes(&self, artifact: &Artifact) -> u32 {
        blocks(artifact).histogram_bytes(self)
    }

    fn scratch_bytes(&self, artifact: &Artifact, device: &DeviceInfo) -> usize {
        blocks(artifact).count_bytes(self, device)
    }

    fn launch(plan: &Plan<Self>, args: SortArgs<'_, Hip>, scratch: u64, stream: &Stream<'_>) -> Result<(), Error> {
        record(plan, &plan.op, stream, &Dispatch::of_sort(&plan.op, &args, scratch))
    }
}

impl HipOp for DispatchSpec {
    fn suits(&self, artifact: &Artifact) -> Result<(), String> {
        blocks(artifact).suit(&self.sort())
    }

    fn shared_bytes(&self, artifact: &Artifact) -> u32 {
        blocks(artifact).histogram_bytes(&self.sort())
    }

    fn scratch_bytes(&self, artifact: &Artifact, device: &DeviceInfo) -> usize {
        blocks(artifact).count_bytes(&self.sort(), device)
    }

    fn launch(plan: &Plan<Self>, args: DispatchArgs<'_, Hip>, scratch: u64, stream: &Stream<'_>) -> Result<(), Error> {
        record(plan, &plan.op.sort(), stream, &Dispatch::new(&plan.op, &args, scratch))
    }
}

impl HipOp for PermuteSpec {
    fn launch(plan: &Plan<Self>, args: PermuteArgs<'_, Hip>, _: u64, stream: &Stream<'_>) -> Result<(), Error> {
        plan.record(0, [plan.op.tokens * plan.op.top_k, 1], stream, &Permute::new(&plan.op, &args))
    }
}

impl HipOp for CombineSpec {
    fn launch(plan: &Plan<Self>, args: CombineArgs<'_, Hip>, _: u64, stream: &Stream<'_>) -> Result<(), Error> {
        plan.record(0, [plan.op.tokens, 1], stream, &Combine::new(&plan.op, &args))
    }
}
