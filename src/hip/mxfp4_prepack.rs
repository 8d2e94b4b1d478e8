//! MXFP4 weights in tiles: a warp a tile.

use super::plan::{HipOp, Plan};
use super::{Hip, Stream};
use crate::backend::params::mxfp4_prepack::{Params, blocks};
use crate::error::Error;
use crate::op::{Mxfp4PrepackArgs, Mxfp4PrepackSpec};

impl HipOp for Mxfp4PrepackSpec {
    fn launch(plan: &Plan<Self>, args: Mxfp4PrepackArgs<'_, Hip>, _: u64, stream: &Stream<'_>) -> Result<(), Error> {
        plan.record(0, [blocks(&plan.op, plan.artifact.warps), 1], stream, &Params::new(&plan.op, &args)?)
    }
}
