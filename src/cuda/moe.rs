//! Dropless dispatch.

use super::params::{Rows, address};
use super::plan::{CudaOp, Plan};
use super::tuned::dispatch_class;
use super::{Cuda, Stream};
use crate::backend::{Class, DeviceInfo, Hint};
use crate::error::Error;
use crate::op::moe::{
    CombineArgs, CombineSpec, DispatchArgs, DispatchSpec, PermuteArgs, PermuteSpec, RouteArgs, RouteSpec, Score,
    SortArgs, SortSpec,
};
use crate::tensor::{View, ViewMut};
use bytemuck::{Pod, Zeroable};
use dropless_kernels_cuda::Artifact;

/// Mirrors `Route` in moe/route.cuh.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Route {
    logits: Rows,
    topk_idx: u64,
    topk_weight: u64,
    tokens: i64,
    experts: i32,
    top_k: i32,
    score: u32,
    unused: u32,
}

const _: () = assert!(size_of::<Route>() == 64);

impl Route {
    fn new(op: &RouteSpec, logits: &View<'_, Cuda>, idx: &ViewMut<'_, Cuda>, weight: &ViewMut<'_, Cuda>) -> Self {
        let score = match op.score {
            Score::SoftmaxAfterTopK => 0,
            Score::SoftmaxBeforeTopK { renormalize: false } => 1,
            Score::SoftmaxBeforeTopK { renormalize: true } => 2,
        };
        Route {
            logits: Rows::input(logits),
            topk_idx: *idx.mem(),
            topk_weight: *weight.mem(),
            tokens: op.tokens as i64,
            experts: op.experts as i32,
            top_k: op.top_k as i32,
            score,
            unused: 0,
        }
    }
}

impl CudaOp for RouteSpec {
    fn launch(plan: &Plan<Self>, args: RouteArgs<'_, Cuda>, _: u64, stream: &Stream<'_>) -> Result<(), Error> {
        let params = Route::new(&plan.op, &args.logits, &args.topk_idx, &args.topk_weight);
        let blocks = plan.op.tokens.div_ceil(plan.artifact.warps as usize);
        plan.record(0, [blocks, 1, 1], stream, &params)
    }
}

/// Mirrors `Sort` in moe/sort.cuh.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Sort {
    topk_idx: u64,
    expert_count: u64,
    expert_offset: u64,
    sorted_assignment: u64,
    assignment_to_row: u64,
    status: u64,
    block_counts: u64,
    assignments: i32,
    experts: i32,
}

const _: () = assert!(size_of::<Sort>() == 64);

/// Mirrors `Dispatch` in moe/dispatch.cuh.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Dispatch {
    route: Route,
    sort: Sort,
    with_route: u32,
    unused: u32,
}

const _: () = assert!(size_of::<Dispatch>() == 136);

/// Most blocks of the two-launch form: `MOST_BLOCKS` in moe/dispatch_two_launches.cu.
const MOST_BLOCKS: usize = 128;

impl SortSpec {
    /// A form with one launch says in `block_m` up to how many tokens it is worth using: where experts fit 32 lanes, and
    /// in proportion where they do not.
    fn suits_tokens(&self, artifact: &Artifact) -> Result<(), String> {
        let most = artifact.block_m as usize * 32 / self.experts.max(32);
        if artifact.entries.len() == 1 && self.tokens > most.max(1) {
            let (tokens, experts) = (self.tokens, self.experts);
            return Err(format!("is worth it up to {most} tokens of {experts} experts, these are {tokens}"));
        }
        Ok(())
    }

    /// One, or one cluster; with two launches as many as have `block_m` tokens each, at most one a multiprocessor.
    fn blocks(&self, artifact: &Artifact, device: &DeviceInfo) -> usize {
        if artifact.entries.len() == 1 {
            return artifact.block_n.max(1) as usize;
        }
        let most = MOST_BLOCKS.min(device.units.max(1) as usize);
        (self.tokens / artifact.block_m.max(1) as usize).clamp(1, most)
    }

    /// A histogram a warp.
    fn histogram_bytes(&self, artifact: &Artifact) -> u32 {
        artifact.warps * (self.experts as u32 + 1) * 4
    }

    fn block_count_bytes(&self, artifact: &Artifact, device: &DeviceInfo) -> usize {
        if artifact.entries.len() == 1 { 0 } else { self.blocks(artifact, device) * (self.experts + 1) * 4 }
    }

    fn record<O>(&self, plan: &Plan<O>, stream: &Stream<'_>, params: &Dispatch) -> Result<(), Error> {
        let grid = [self.blocks(plan.artifact, plan.info()), 1, 1];
        (0..plan.artifact.entries.len()).try_for_each(|kernel| plan.record(kernel, grid, stream, params))
    }
}

impl CudaOp for SortSpec {
    fn suits(&self, artifact: &Artifact, _: &DeviceInfo, _: Hint<'_>) -> Result<(), String> {
        self.suits_tokens(artifact)
    }

    fn shared_bytes(&self, artifact: &Artifact) -> u32 {
        self.histogram_bytes(artifact)
    }

    fn scratch_bytes(&self, artifact: &Artifact, device: &DeviceInfo) -> usize {
        self.block_count_bytes(artifact, device)
    }

    fn launch(plan: &Plan<Self>, args: SortArgs<'_, Cuda>, scratch: u64, stream: &Stream<'_>) -> Result<(), Error> {
        let op = &plan.op;
        // Of the routing, only how many assignments a token has.
        let route = Route { tokens: op.tokens as i64, top_k: op.top_k as i32, ..Route::zeroed() };
        let sort = Sort {
            topk_idx: *args.topk_idx.mem(),
            expert_count: *args.expert_count.mem(),
            expert_offset: *args.expert_offset.mem(),
            sorted_assignment: *args.sorted_assignment.mem(),
            assignment_to_row: *args.assignment_to_row.mem(),
            status: address(&args.status),
            block_counts: scratch,
            assignments: (op.tokens * op.top_k) as i32,
            experts: op.experts as i32,
        };
        op.record(plan, stream, &Dispatch { route, sort, with_route: 0, unused: 0 })
    }
}

impl CudaOp for DispatchSpec {
    fn class(&self, hint: Hint<'_>) -> Option<Class> {
        Some(dispatch_class(self, hint))
    }

    fn suits(&self, artifact: &Artifact, _: &DeviceInfo, _: Hint<'_>) -> Result<(), String> {
        self.sort().suits_tokens(artifact)
    }

    fn shared_bytes(&self, artifact: &Artifact) -> u32 {
        self.sort().histogram_bytes(artifact)
    }

    fn scratch_bytes(&self, artifact: &Artifact, device: &DeviceInfo) -> usize {
        self.sort().block_count_bytes(artifact, device)
    }

    fn launch(plan: &Plan<Self>, args: DispatchArgs<'_, Cuda>, scratch: u64, stream: &Stream<'_>) -> Result<(), Error> {
        let op = plan.op.sort();
        let route = Route::new(&plan.op.route, &args.logits, &args.topk_idx, &args.topk_weight);
        let sort = Sort {
            topk_idx: *args.topk_idx.mem(),
            expert_count: *args.expert_count.mem(),
            expert_offset: *args.expert_offset.mem(),
            sorted_assignment: *args.sorted_assignment.mem(),
            assignment_to_row: *args.assignment_to_row.mem(),
            status: 0,
            block_counts: scratch,
            assignments: (op.tokens * op.top_k) as i32,
            experts: op.experts as i32,
        };
        op.record(plan, stream, &Dispatch { route, sort, with_route: 1, unused: 0 })
    }
}

/// Mirrors `Permute` in moe/permute_sm75.cu.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Permute {
    x: Rows,
    y: Rows,
    sorted_assignment: u64,
    status: u64,
    dim: i64,
    assignments: i32,
    top_k: i32,
}

const _: () = assert!(size_of::<Permute>() == 80);

impl CudaOp for PermuteSpec {
    fn launch(plan: &Plan<Self>, args: PermuteArgs<'_, Cuda>, _: u64, stream: &Stream<'_>) -> Result<(), Error> {
        let op = &plan.op;
        let rows = op.tokens * op.top_k;
        let params = Permute {
            x: Rows::input(&args.x),
            y: Rows::output(&args.y),
            sorted_assignment: *args.sorted_assignment.mem(),
            status: address(&args.status),
            dim: op.dim as i64,
            assignments: rows as i32,
            top_k: op.top_k as i32,
        };
        plan.record(0, [rows, 1, 1], stream, &params)
    }
}

/// Mirrors `Combine` in moe/combine_sm75.cu.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Combine {
    y: Rows,
    out: Rows,
    assignment_to_row: u64,
    topk_weight: u64,
    status: u64,
    tokens: i64,
    dim: i64,
    rows: i32,
    top_k: i32,
}

const _: () = assert!(size_of::<Combine>() == 96);

impl CudaOp for CombineSpec {
    fn launch(plan: &Plan<Self>, args: CombineArgs<'_, Cuda>, _: u64, stream: &Stream<'_>) -> Result<(), Error> {
        let op = &plan.op;
        let params = Combine {
            y: Rows::input(&args.y),
            out: Rows::output(&args.out),
            assignment_to_row: *args.assignment_to_row.mem(),
            topk_weight: *args.topk_weight.mem(),
            status: address(&args.status),
            tokens: op.tokens as i64,
            dim: op.dim as i64,
            rows: op.rows as i32,
            top_k: op.top_k as i32,
        };
        plan.record(0, [op.tokens, 1, 1], stream, &params)
    }
}
