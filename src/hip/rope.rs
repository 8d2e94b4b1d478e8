//! Rotary position embedding: a block a token.

use super::plan::{HipOp, Plan};
use super::{Hip, Stream};
use crate::backend::params::rope::{Params, check_token};
use crate::error::Error;
use crate::op::{RopeArgs, RopeSpec};

impl HipOp for RopeSpec {
    fn limits(&self) -> Result<(), String> {
        check_token(self.heads, self.head_dim)
    }

    fn launch(plan: &Plan<Self>, args: RopeArgs<'_, Hip>, _: u64, stream: &Stream<'_>) -> Result<(), Error> {
        plan.record(0, [plan.op.tokens, 1], stream, &Params::new(&plan.op, &args))
    }
}
