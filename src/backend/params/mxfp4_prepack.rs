//! What mxfp4_prepack is given.

use super::Addressed;
use crate::error::Error;
use crate::op::{Mxfp4PrepackArgs, Mxfp4PrepackSpec, Op};
use bytemuck::{Pod, Zeroable};

/// Mirrors `Mxfp4PrepackParams` in mxfp4_prepack/params.cuh.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Params {
    w: u64,
    w_scales: u64,
    tiles: u64,
    experts: i32,
    n: i32,
    k: i32,
    unused: u32,
}

const _: () = assert!(size_of::<Params>() == 40);

impl Params {
    /// # Errors
    /// An operand that is not aligned as the kernel reads or writes it.
    pub(crate) fn new<B: Addressed>(op: &Mxfp4PrepackSpec, args: &Mxfp4PrepackArgs<'_, B>) -> Result<Self, Error> {
        let (w, tiles) = (*args.w.mem(), *args.tiles.mem());
        for (name, at, want) in [("w", w, 4), ("tiles", tiles, 16)] {
            if !at.is_multiple_of(want) {
                let problem = format!("must be aligned to {want} bytes, it is at {at:#x}");
                return Err(Error::input(format!("{} `{name}`", Mxfp4PrepackSpec::NAME), problem));
            }
        }
        let (experts, n, k) = (op.experts as i32, op.n as i32, op.k as i32);
        Ok(Params { w, w_scales: *args.w_scales.mem(), tiles, experts, n, k, unused: 0 })
    }
}

/// Blocks of so many warps of which each makes a tile at a time.
pub(crate) fn blocks(op: &Mxfp4PrepackSpec, warps: u32) -> usize {
    let tiles = [op.n.div_ceil(16), op.k.div_ceil(64)].into_iter().fold(op.experts, usize::saturating_mul);
    tiles.div_ceil(warps.max(1) as usize)
}
