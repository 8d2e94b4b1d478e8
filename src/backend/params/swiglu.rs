//! What swiglu is given.

use super::{Addressed, Rows};
use crate::op::{GateUp, Swiglu, SwigluArgs, SwigluSpec};
use bytemuck::{Pod, Zeroable};

/// Mirrors `SwigluUnit` in include/swiglu.cuh.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Unit {
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
pub(crate) struct Params {
    gate_up: Rows,
    y: Rows,
    unit: Unit,
    rows: i64,
    inner: i64,
}

const _: () = assert!(size_of::<Params>() == 80);

impl Params {
    pub(crate) fn new<B: Addressed>(op: &SwigluSpec, args: &SwigluArgs<'_, B>) -> Self {
        Params {
            gate_up: Rows::input(&args.gate_up),
            y: Rows::output(&args.y),
            unit: Unit::from(&op.swiglu),
            rows: op.rows as i64,
            inner: (op.width / 2) as i64,
        }
    }
}
