//! Rotary position embedding: a block a token.

use super::plan::{CudaOp, Plan};
use super::{Cuda, Stream};
use crate::backend::params::rope::{Params, check_token};
use crate::error::Error;
use crate::op::{RopeArgs, RopeSpec};

impl CudaOp for RopeSpec {
    fn limits(&self) -> Result<(), String> {
        check_token(self.heads, self.head_dim)
    }

    fn launch(plan: &Plan<Self>, args: RopeArgs<'_, Cuda>, _: u64, stream: &Stream<'_>) -> Result<(), Error> {
        let op = &plan.op;
        let params = Params::new(op, &args);
        plan.record(0, [op.tokens, 1, 1], stream, &params)
    }
}
