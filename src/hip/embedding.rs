//! Rows of a table by token id: a block a row.

use super::plan::{HipOp, Plan};
use super::{Hip, Stream};
use crate::backend::params::embedding::Params;
use crate::error::Error;
use crate::op::{EmbeddingArgs, EmbeddingSpec};

impl HipOp for EmbeddingSpec {
    fn launch(plan: &Plan<Self>, args: EmbeddingArgs<'_, Hip>, _: u64, stream: &Stream<'_>) -> Result<(), Error> {
        plan.record(0, [plan.op.tokens, 1], stream, &Params::new(&plan.op, &args))
    }
}
