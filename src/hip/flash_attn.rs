//! Attention with sinks.

use super::plan::{HipOp, Plan};
use super::{Hip, Stream};
use crate::backend::params::flash_attn::{Params, ScaledParams};
use crate::backend::params::without_scales;
use crate::error::Error;
use crate::op::{FlashAttnArgs, FlashAttnSpec};
use dropless_kernels_hip::Artifact;

/// `MAX_DIM` in flash_attn/simt.cuh.
const MAX_DIM: usize = 256;

/// The variant for scales and caches of f8e4m3.
const SCALED: &str = "fma_scaled";

impl HipOp for FlashAttnSpec {
    fn limits(&self) -> Result<(), String> {
        let rows = self.max_q_len.saturating_mul(self.q_heads / self.kv_heads.max(1)).max(self.q_heads);
        match i32::try_from(rows) {
            Ok(_) => Ok(()),
            Err(_) => Err(format!("{} queries of {} heads are more than 2^31 - 1", self.max_q_len, self.q_heads)),
        }
    }

    fn legal(&self, artifact: &Artifact) -> Result<(), String> {
        if self.head_dim > MAX_DIM {
            return Err(format!("takes a head_dim of up to {MAX_DIM}, it is {}", self.head_dim));
        }
        match (artifact.variant == SCALED, without_scales(self.kv, self.kv_scales)) {
            (true, Ok(())) => Err("made for caches of f8e4m3, or with scales".into()),
            (true, Err(_)) => Ok(()),
            (false, plain) => plain,
        }
    }

    fn launch(plan: &Plan<Self>, args: FlashAttnArgs<'_, Hip>, _: u64, stream: &Stream<'_>) -> Result<(), Error> {
        let (op, params) = (&plan.op, Params::new(&plan.op, &args));
        // At least one block: without a query there still are lengths to check.
        let grid = [op.q_tokens.saturating_mul(op.q_heads).max(1), 1];
        if plan.artifact.variant == SCALED {
            return plan.record(0, grid, stream, &ScaledParams::new(params, &args));
        }
        plan.record(0, grid, stream, &params)
    }
}
