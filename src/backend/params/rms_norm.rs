//! What rms_norm is given.

use super::{Addressed, Rows};
use crate::op::{RmsNormArgs, RmsNormSpec};
use bytemuck::{Pod, Zeroable};

/// Mirrors `RmsNormParams` in rms_norm/params.cuh.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Params {
    x: Rows,
    residual: Rows,
    weight: Rows,
    sum: Rows,
    y: Rows,
    rows: i64,
    dim: i64,
    eps: f32,
    with_residual: u32,
}

const _: () = assert!(size_of::<Params>() == 144);

impl Params {
    pub(crate) fn new<B: Addressed>(op: &RmsNormSpec, args: &RmsNormArgs<'_, B>) -> Self {
        Params {
            x: Rows::input(&args.x),
            residual: Rows::optional_input(&args.residual),
            weight: Rows::input(&args.weight),
            sum: Rows::optional_output(&args.sum),
            y: Rows::output(&args.y),
            rows: op.rows as i64,
            dim: op.dim as i64,
            eps: op.eps.0 as f32,
            with_residual: op.residual.into(),
        }
    }
}
