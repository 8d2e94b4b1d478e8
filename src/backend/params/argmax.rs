//! What argmax is given.

use super::{Addressed, Rows};
use crate::backend::DeviceInfo;
use crate::op::{ArgmaxArgs, ArgmaxSpec};
use bytemuck::{Pod, Zeroable};

/// Mirrors `ArgmaxParams` in argmax/params.cuh.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Params {
    x: Rows,
    ids: u64,
    partial: u64,
    rows: i64,
    columns: i64,
    parts: i64,
}

const _: () = assert!(size_of::<Params>() == 64);

impl Params {
    pub(crate) fn new<B: Addressed>(op: &ArgmaxSpec, args: &ArgmaxArgs<'_, B>, parts: usize, scratch: u64) -> Self {
        Params {
            x: Rows::input(&args.x),
            ids: *args.ids.mem(),
            partial: scratch,
            rows: op.rows as i64,
            columns: op.columns as i64,
            parts: parts as i64,
        }
    }
}

/// Parts of a row: enough blocks to occupy the device, each of at least one pass of its threads.
pub(crate) fn parts(op: &ArgmaxSpec, warps: u32, device: &DeviceInfo) -> usize {
    let pass = 32 * warps as usize * 8;
    (2 * device.units as usize).div_ceil(op.rows.max(1)).clamp(1, op.columns.div_ceil(pass).max(1))
}
