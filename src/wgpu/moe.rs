//! Dropless dispatch.

use super::device::Capabilities;
use super::launch::Launch;
use super::plan::{Launches, WgpuOp, measured};
use crate::backend::Hint;
use crate::op::moe::{CombineSpec, DispatchSpec, PermuteSpec, RouteSpec, Score, SortSpec};
use dropless_kernels_wgsl::Artifact;

/// Assignments that moe/few.wgsl has room for.
const MOST_FEW: usize = 256;
/// Tokens that one workgroup routes faster, one after the other, than a dispatch more takes.
const FEW_TOKENS: usize = 8;

fn route(op: &RouteSpec) -> Launch {
    let score = match op.score {
        Score::SoftmaxAfterTopK => 0,
        Score::SoftmaxBeforeTopK { renormalize: false } => 1,
        Score::SoftmaxBeforeTopK { renormalize: true } => 2,
    };
    Launch::new("moe_route", op.tokens)
        .reads("logits", op.logits)
        .ints(["topk_idx"])
        .writes("topk_weight", op.weight)
        .consts([("SCORE", score)])
        .sizes([("experts", op.experts), ("top_k", op.top_k)])
}

/// One bucket more than there are experts.
fn sort(op: &SortSpec) -> Launch {
    Launch::new("moe_sort", op.experts + 1)
        .ints(["topk_idx", "expert_count", "expert_offset", "sorted_assignment", "assignment_to_row"])
        .status()
        .sizes([("experts", op.experts), ("assignments", op.tokens * op.top_k)])
}

/// Only a softmax over all experts adds anything up.
fn has_sum(op: &RouteSpec, artifact: &Artifact) -> Result<(), String> {
    match artifact.variant == "subgroup" && op.score == Score::SoftmaxAfterTopK {
        true => Err("the softmax is of the chosen experts alone: there is no sum to share".into()),
        false => Ok(()),
    }
}

impl WgpuOp for RouteSpec {
    fn legal(&self, artifact: &Artifact) -> Result<(), String> {
        has_sum(self, artifact)
    }

    fn launches(&self, _: &Artifact, _: &Capabilities) -> Result<Launches, String> {
        Launches::of([route(self)])
    }
}

impl WgpuOp for SortSpec {
    fn launches(&self, _: &Artifact, _: &Capabilities) -> Result<Launches, String> {
        Launches::of([sort(self)])
    }
}

/// A routed expert is always one that exists: the status word that the sort asks for is nobody's.
impl WgpuOp for DispatchSpec {
    fn legal(&self, artifact: &Artifact) -> Result<(), String> {
        let assignments = self.route.tokens.saturating_mul(self.route.top_k);
        if artifact.variant == "few" && assignments > MOST_FEW {
            return Err(format!("takes up to {MOST_FEW} assignments, these are {assignments}"));
        }
        has_sum(&self.route, artifact)
    }

    fn suits(&self, artifact: &Artifact, _: Hint<'_>) -> Result<(), String> {
        if artifact.variant == "few" && self.route.tokens > FEW_TOKENS {
            return Err(format!("made for up to {FEW_TOKENS} tokens, these are {}", self.route.tokens));
        }
        measured(artifact)
    }

    fn launches(&self, artifact: &Artifact, _: &Capabilities) -> Result<Launches, String> {
        if artifact.variant != "few" {
            return Launches::of([route(&self.route), sort(&self.sort())]);
        }
        let both = ["expert_count", "expert_offset", "sorted_assignment", "assignment_to_row"];
        let few = Launch { kernel: "moe_few", items: 1, ..route(&self.route) };
        Launches::of([few.ints(both).sizes([("tokens", self.route.tokens)])])
    }
}

impl WgpuOp for PermuteSpec {
    fn launches(&self, _: &Artifact, _: &Capabilities) -> Result<Launches, String> {
        Launches::of([Launch::new("moe_permute", self.tokens * self.top_k)
            .reads("x", self.x)
            .ints(["sorted_assignment"])
            .writes("y", self.x)
            .status()
            .sizes([("dim", self.dim), ("top_k", self.top_k)])])
    }
}

impl WgpuOp for CombineSpec {
    fn launches(&self, _: &Artifact, _: &Capabilities) -> Result<Launches, String> {
        Launches::of([Launch::new("moe_combine", self.tokens)
            .reads("y", self.y)
            .ints(["assignment_to_row"])
            .reads("topk_weight", self.weight)
            .writes("out", self.out)
            .status()
            .sizes([("dim", self.dim), ("top_k", self.top_k)])
            .counts([("rows", self.rows)])])
    }
}
