//! Rope and cache write of new tokens: a block a token.

use super::plan::{CudaOp, Plan};
use super::{Cuda, Stream};
use crate::backend::params::kv_append::Params;
use crate::backend::params::rope::check_token;
use crate::error::Error;
use crate::op::{KvAppendArgs, KvAppendSpec};

impl CudaOp for KvAppendSpec {
    fn limits(&self) -> Result<(), String> {
        check_token(self.q_heads.saturating_add(self.kv_heads.saturating_mul(2)), self.head_dim)
    }

    fn launch(plan: &Plan<Self>, args: KvAppendArgs<'_, Cuda>, _: u64, stream: &Stream<'_>) -> Result<(), Error> {
        let op = &plan.op;
        let params = Params::new(op, &args);
        plan.record(0, [op.tokens, 1, 1], stream, &params)
    }
}
