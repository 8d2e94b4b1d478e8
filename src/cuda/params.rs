//! What kernels are given: structs laid out as include/*.cuh declares them.

use super::Cuda;
use crate::dtype::DType;
use crate::tensor::{View, ViewInfo, ViewMut};
use bytemuck::{Pod, Zeroable};

/// Mirrors `Rows` in include/rows.cuh.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Rows {
    base: u64,
    stride: i64,
    dtype: u32,
    unused: u32,
}

const _: () = assert!(size_of::<Rows>() == 24);

impl Rows {
    fn new(mem: u64, info: ViewInfo) -> Self {
        Rows { base: mem, stride: info.row_stride as i64, dtype: dtype(info.dtype), unused: 0 }
    }

    /// Rows of `stride` elements one after the other.
    pub(super) fn contiguous(mem: u64, stride: usize, of: DType) -> Self {
        Rows { base: mem, stride: stride as i64, dtype: dtype(of), unused: 0 }
    }

    pub(super) fn input(view: &View<'_, Cuda>) -> Self {
        Rows::new(*view.mem(), view.info())
    }

    pub(super) fn output(view: &ViewMut<'_, Cuda>) -> Self {
        Rows::new(*view.mem(), view.info())
    }

    /// Zeros where there is none.
    pub(super) fn optional_input(view: &Option<View<'_, Cuda>>) -> Self {
        view.as_ref().map_or(Rows::zeroed(), Rows::input)
    }

    /// Zeros where there is none.
    pub(super) fn optional_output(view: &Option<ViewMut<'_, Cuda>>) -> Self {
        view.as_ref().map_or(Rows::zeroed(), Rows::output)
    }
}

/// `F32`, `BF16` and `F16` of include/rows.cuh; the chooser has refused f64.
fn dtype(dtype: DType) -> u32 {
    match dtype {
        DType::Bf16 => 1,
        DType::F16 => 2,
        _ => 0,
    }
}

/// Address of an output, null where there is none.
pub(super) fn address(view: &Option<ViewMut<'_, Cuda>>) -> u64 {
    view.as_ref().map_or(0, |v| *v.mem())
}
