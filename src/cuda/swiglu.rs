//! The gated unit: a block a row.

use super::params::Rows;
use super::plan::{CudaOp, Plan};
use super::{Cuda, Stream};
use crate::error::Error;
use crate::op::{GateUp, Swiglu, SwigluArgs, SwigluSpec};
use bytemuck::{Pod, Zeroable};

/// Mirrors `SwigluUnit` in include/swiglu.cuh.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Unit {
    alpha: f32,
    limit: f32,
    up_offset: f32,
    halves: u32,
}

const _: () = assert!(size_of::<Unit>() == 16);

impl From<&Swiglu> for Unit {
    fn from(s: &Swiglu) -> Self {
        Unit {
            alpha: s.alpha.0 as f32,
            limit: s.limit.map_or(f32::INFINITY, |l| l.0 as f32),
            up_offset: s.up_offset.0 as f32,
            halves: (s.layout == GateUp::Halves).into(),
        }
    }
}

/// Mirrors `SwigluParams` in swiglu/params.cuh.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Params {
    gate_up: Rows,
    y: Rows,
    unit: Unit,
    rows: i64,
    inner: i64,
}

const _: () = assert!(size_of::<Params>() == 80);

impl CudaOp for SwigluSpec {
    fn launch(plan: &Plan<Self>, args: SwigluArgs<'_, Cuda>, _: u64, stream: &Stream<'_>) -> Result<(), Error> {
        let op = &plan.op;
        let params = Params {
            gate_up: Rows::input(&args.gate_up),
            y: Rows::output(&args.y),
            unit: Unit::from(&op.swiglu),
            rows: op.rows as i64,
            inner: (op.width / 2) as i64,
        };
        plan.record(0, [op.rows, 1, 1], stream, &params)
    }
}
