//! Rope and cache write of new tokens: a block a token.

use super::plan::{CudaOp, Plan};
use super::{Cuda, Stream};
use crate::backend::params::kv_append::{Params, ScaledParams};
use crate::backend::params::rope::check_token;
use crate::dtype::DType;
use crate::error::Error;
use crate::op::{KvAppendArgs, KvAppendSpec};
use dropless_kernels_cuda::Artifact;

/// The variant for scales and caches of f8e4m3.
const SCALED: &str = "scaled";

impl CudaOp for KvAppendSpec {
    fn legal(&self, artifact: &Artifact) -> Result<(), String> {
        let scaled = self.scales || self.cache == DType::F8E4m3;
        match (artifact.variant == SCALED, scaled) {
            (false, true) => Err(format!("a cache of {}, or with scales, is for the variant `{SCALED}`", self.cache)),
            (true, false) => Err("made for caches of f8e4m3, or with scales".into()),
            _ => Ok(()),
        }
    }

    fn limits(&self) -> Result<(), String> {
        check_token(self.q_heads.saturating_add(self.kv_heads.saturating_mul(2)), self.head_dim)
    }

    fn launch(plan: &Plan<Self>, args: KvAppendArgs<'_, Cuda>, _: u64, stream: &Stream<'_>) -> Result<(), Error> {
        let op = &plan.op;
        let p = Params::new(op, &args);
        if plan.artifact.variant == SCALED {
            return plan.record(0, [op.tokens, 1, 1], stream, &ScaledParams::new(p, op, &args));
        }
        plan.record(0, [op.tokens, 1, 1], stream, &p)
    }
}
