//! What the kernels of dropless dispatch are given.

use super::{Addressed, Rows, address};
use crate::backend::DeviceInfo;
use crate::op::moe::{
    CombineArgs, CombineSpec, DispatchArgs, DispatchSpec, PermuteArgs, PermuteSpec, RouteSpec, Score, SortArgs,
    SortSpec,
};
use crate::tensor::{View, ViewMut};
use bytemuck::{Pod, Zeroable};

/// Mirrors `Route` in moe/route.cuh.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Route {
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
    pub(crate) fn new<B: Addressed>(
        op: &RouteSpec,
        logits: &View<'_, B>,
        idx: &ViewMut<'_, B>,
        weight: &ViewMut<'_, B>,
    ) -> Self {
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
pub(crate) struct Dispatch {
    route: Route,
    sort: Sort,
    with_route: u32,
    unused: u32,
}

const _: () = assert!(size_of::<Dispatch>() == 136);

/// Most blocks of the two-launch form: `MOST_BLOCKS` in moe/dispatch_two_launches.cu.
const MOST_BLOCKS: usize = 128;

/// A form of the sort, as its row in the tile table says it.
pub(crate) struct Blocks {
    pub(crate) launches: usize,
    pub(crate) warps: u32,
    pub(crate) block_m: u32,
    /// Blocks of the one launch.
    pub(crate) cluster: u32,
}

impl Blocks {
    /// A form with one launch says in `block_m` up to how many tokens it is worth using: where experts fit 32 lanes, and
    /// in proportion where they do not.
    pub(crate) fn suit(&self, op: &SortSpec) -> Result<(), String> {
        let most = self.block_m as usize * 32 / op.experts.max(32);
        if self.launches == 1 && op.tokens > most.max(1) {
            let (tokens, experts) = (op.tokens, op.experts);
            return Err(format!("is worth it up to {most} tokens of {experts} experts, these are {tokens}"));
        }
        Ok(())
    }

    /// One, or one cluster; with two launches as many as have `block_m` tokens each, at most one a multiprocessor.
    pub(crate) fn count(&self, op: &SortSpec, device: &DeviceInfo) -> usize {
        if self.launches == 1 {
            return self.cluster as usize;
        }
        let most = MOST_BLOCKS.min(device.units.max(1) as usize);
        (op.tokens / self.block_m.max(1) as usize).clamp(1, most)
    }

    /// A histogram a warp.
    pub(crate) fn histogram_bytes(&self, op: &SortSpec) -> u32 {
        self.warps * (op.experts as u32 + 1) * 4
    }

    /// The blocks' counts, in scratch.
    pub(crate) fn count_bytes(&self, op: &SortSpec, device: &DeviceInfo) -> usize {
        if self.launches == 1 { 0 } else { self.count(op, device) * (op.experts + 1) * 4 }
    }
}

impl Dispatch {
    pub(crate) fn of_sort<B: Addressed>(op: &SortSpec, args: &SortArgs<'_, B>, scratch: u64) -> Self {
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
        Dispatch { route, sort, with_route: 0, unused: 0 }
    }

    pub(crate) fn new<B: Addressed>(op: &DispatchSpec, args: &DispatchArgs<'_, B>, scratch: u64) -> Self {
        let route = Route::new(&op.route, &args.logits, &args.topk_idx, &args.topk_weight);
        let sort = Sort {
            topk_idx: *args.topk_idx.mem(),
            expert_count: *args.expert_count.mem(),
            expert_offset: *args.expert_offset.mem(),
            sorted_assignment: *args.sorted_assignment.mem(),
            assignment_to_row: *args.assignment_to_row.mem(),
            status: 0,
            block_counts: scratch,
            assignments: (op.route.tokens * op.route.top_k) as i32,
            experts: op.route.experts as i32,
        };
        Dispatch { route, sort, with_route: 1, unused: 0 }
    }
}

/// Mirrors `Permute` in moe/permute_sm75.cu.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Permute {
    x: Rows,
    y: Rows,
    sorted_assignment: u64,
    status: u64,
    dim: i64,
    assignments: i32,
    top_k: i32,
}

const _: () = assert!(size_of::<Permute>() == 80);

impl Permute {
    pub(crate) fn new<B: Addressed>(op: &PermuteSpec, args: &PermuteArgs<'_, B>) -> Self {
        Permute {
            x: Rows::input(&args.x),
            y: Rows::output(&args.y),
            sorted_assignment: *args.sorted_assignment.mem(),
            status: address(&args.status),
            dim: op.dim as i64,
            assignments: (op.tokens * op.top_k) as i32,
            top_k: op.top_k as i32,
        }
    }
}

/// Mirrors `Combine` in moe/combine_sm75.cu.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Combine {
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

impl Combine {
    pub(crate) fn new<B: Addressed>(op: &CombineSpec, args: &CombineArgs<'_, B>) -> Self {
        Combine {
            y: Rows::input(&args.y),
            out: Rows::output(&args.out),
            assignment_to_row: *args.assignment_to_row.mem(),
            topk_weight: *args.topk_weight.mem(),
            status: address(&args.status),
            tokens: op.tokens as i64,
            dim: op.dim as i64,
            rows: op.rows as i32,
            top_k: op.top_k as i32,
        }
    }
}
