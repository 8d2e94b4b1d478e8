//! Root-mean-square norm: a block a row.

use super::plan::{HipOp, Plan};
use super::{Hip, Stream};
use crate::backend::params::rms_norm::Params;
use crate::error::Error;
use crate::op::{RmsNormArgs, RmsNormSpec};

impl HipOp for RmsNormSpec {
    fn launch(plan: &Plan<Self>, args: RmsNormArgs<'_, Hip>, _: u64, stream: &Stream<'_>) -> Result<(), Error> {
        plan.record(0, [plan.op.rows, 1], stream, &Params::new(&plan.op, &args))
    }
}
