//! Rope and cache write of new tokens: a block a token.

use super::plan::{HipOp, Plan};
use super::{Hip, Stream};
use crate::backend::params::kv_append::Params;
use crate::backend::params::rope::check_token;
use crate::backend::params::without_scales;
use crate::error::Error;
use crate::op::{KvAppendArgs, KvAppendSpec};
use dropless_kernels_hip::Artifact;

impl HipOp for KvAppendSpec {
    fn limits(&self) -> Result<(), String> {
        check_token(self.q_heads.saturating_add(self.kv_heads.saturating_mul(2)), self.head_dim)
    }

    fn legal(&self, _: &Artifact) -> Result<(), String> {
        without_scales(self.cache, self.scales)
    }

    fn launch(plan: &Plan<Self>, args: KvAppendArgs<'_, Hip>, _: u64, stream: &Stream<'_>) -> Result<(), Error> {
        plan.record(0, [plan.op.tokens, 1], stream, &Params::new(&plan.op, &args))
    }
}
