//! Root-mean-square norm: a block a row.

use super::plan::{CudaOp, Plan};
use super::{Cuda, Stream};
use crate::backend::params::rms_norm::Params;
use crate::error::Error;
use crate::op::{RmsNormArgs, RmsNormSpec};

impl CudaOp for RmsNormSpec {
    fn launch(plan: &Plan<Self>, args: RmsNormArgs<'_, Cuda>, _: u64, stream: &Stream<'_>) -> Result<(), Error> {
        let op = &plan.op;
        let params = Params::new(op, &args);
        plan.record(0, [op.rows, 1, 1], stream, &params)
    }
}
