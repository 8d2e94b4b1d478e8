//! Rows of a table by token id: a block a row.

use super::plan::{CudaOp, Plan};
use super::{Cuda, Stream};
use crate::backend::params::embedding::Params;
use crate::error::Error;
use crate::op::{EmbeddingArgs, EmbeddingSpec};

impl CudaOp for EmbeddingSpec {
    fn launch(plan: &Plan<Self>, args: EmbeddingArgs<'_, Cuda>, _: u64, stream: &Stream<'_>) -> Result<(), Error> {
        let op = &plan.op;
        let params = Params::new(op, &args);
        plan.record(0, [op.tokens, 1, 1], stream, &params)
    }
}
