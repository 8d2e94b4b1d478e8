//! What rope is given.

use super::{Addressed, Rows, address};
use crate::op::{Pairing, RopeArgs, RopeSpec};
use crate::tensor::View;
use bytemuck::{Pod, Zeroable};

/// Mirrors `Rotation` in include/rope.cuh.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Rotation {
    cos: u64,
    sin: u64,
    positions: i32,
    half: i32,
    interleaved: u32,
    unused: u32,
}

const _: () = assert!(size_of::<Rotation>() == 32);

impl Rotation {
    /// Of heads of `dim` elements, with tables of `positions` rows.
    pub(crate) fn new<B: Addressed>(
        cos: &View<'_, B>,
        sin: &View<'_, B>,
        positions: usize,
        dim: usize,
        pairing: Pairing,
    ) -> Self {
        Rotation {
            cos: *cos.mem(),
            sin: *sin.mem(),
            positions: positions as i32,
            half: (dim / 2) as i32,
            interleaved: (pairing == Pairing::Interleaved).into(),
            unused: 0,
        }
    }
}

/// Kernels count a token's elements in an int.
pub(crate) fn check_token(heads: usize, dim: usize) -> Result<(), String> {
    match heads.checked_mul(dim) {
        Some(n) if n <= i32::MAX as usize / 2 => Ok(()),
        _ => Err(format!("{heads} heads of {dim} are more than 2^30 elements a token")),
    }
}

/// Mirrors `RopeParams` in rope/params.cuh.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Params {
    x: Rows,
    y: Rows,
    rotation: Rotation,
    positions: u64,
    status: u64,
    tokens: i64,
    heads: i32,
    unused: u32,
}

const _: () = assert!(size_of::<Params>() == 112);

impl Params {
    pub(crate) fn new<B: Addressed>(op: &RopeSpec, args: &RopeArgs<'_, B>) -> Self {
        Params {
            x: Rows::input(&args.x),
            y: Rows::output(&args.y),
            rotation: Rotation::new(&args.cos, &args.sin, op.positions, op.head_dim, op.pairing),
            positions: *args.positions.mem(),
            status: address(&args.status),
            tokens: op.tokens as i64,
            heads: op.heads as i32,
            unused: 0,
        }
    }
}
