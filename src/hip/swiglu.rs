//! The gated unit: a block a row.

use super::plan::{HipOp, Plan};
use super::{Hip, Stream};
use crate::backend::params::swiglu::Params;
use crate::error::Error;
use crate::op::{SwigluArgs, SwigluSpec};

impl HipOp for SwigluSpec {
    fn launch(plan: &Plan<Self>, args: SwigluArgs<'_, Hip>, _: u64, stream: &Stream<'_>) -> Result<(), Error> {
        plan.record(0, [plan.op.rows, 1], stream, &Params::new(&plan.op, &args))
    }
}
