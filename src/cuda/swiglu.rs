//! The gated unit: a block a row.

use super::plan::{CudaOp, Plan};
use super::{Cuda, Stream};
use crate::backend::params::swiglu::Params;
use crate::error::Error;
use crate::op::{SwigluArgs, SwigluSpec};

impl CudaOp for SwigluSpec {
    fn launch(plan: &Plan<Self>, args: SwigluArgs<'_, Cuda>, _: u64, stream: &Stream<'_>) -> Result<(), Error> {
        let op = &plan.op;
        let params = Params::new(op, &args);
        plan.record(0, [op.rows, 1, 1], stream, &params)
    }
}
