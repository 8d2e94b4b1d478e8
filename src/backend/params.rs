//! What kernels are given where memory has addresses: structs laid out as the headers of kernels-cuda declare them, which the
//! kernels of kernels-hip share.

pub(crate) mod argmax;
pub(crate) mod embedding;
pub(crate) mod flash_attn;
pub(crate) mod grouped_gemm;
pub(crate) mod kv_append;
pub(crate) mod moe;
pub(crate) mod mxfp4_prepack;
pub(crate) mod rms_norm;
pub(crate) mod rope;
pub(crate) mod swiglu;

use super::{Backend, Scratch};
use crate::dtype::DType;
use crate::error::{Error, SpecError};
use crate::tensor::{View, ViewInfo, ViewMut};
use bytemuck::{Pod, Zeroable};

/// A backend whose memory is addresses.
pub(crate) trait Addressed: Backend<Mem = u64> {}

impl<B: Backend<Mem = u64>> Addressed for B {}

/// Mirrors `Rows` in include/rows.cuh.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Rows {
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
    pub(crate) fn contiguous(mem: u64, stride: usize, of: DType) -> Self {
        Rows { base: mem, stride: stride as i64, dtype: dtype(of), unused: 0 }
    }

    pub(crate) fn input<B: Addressed>(view: &View<'_, B>) -> Self {
        Rows::new(*view.mem(), view.info())
    }

    pub(crate) fn output<B: Addressed>(view: &ViewMut<'_, B>) -> Self {
        Rows::new(*view.mem(), view.info())
    }

    /// Zeros where there is none.
    pub(crate) fn optional_input<B: Addressed>(view: &Option<View<'_, B>>) -> Self {
        view.as_ref().map_or(Rows::zeroed(), Rows::input)
    }

    /// Zeros where there is none.
    pub(crate) fn optional_output<B: Addressed>(view: &Option<ViewMut<'_, B>>) -> Self {
        view.as_ref().map_or(Rows::zeroed(), Rows::output)
    }
}

/// `F32`, `BF16` and `F16` of include/rows.cuh, `E4M3` of flash_attn/scaled.cuh; the chooser has refused f64.
fn dtype(dtype: DType) -> u32 {
    match dtype {
        DType::Bf16 => 1,
        DType::F16 => 2,
        DType::F8E4m3 => 3,
        _ => 0,
    }
}

/// Address of an output, null where there is none.
pub(crate) fn address<B: Addressed>(view: &Option<ViewMut<'_, B>>) -> u64 {
    view.as_ref().map_or(0, |v| *v.mem())
}

/// Address of an input, null where there is none.
pub(crate) fn pointer<B: Addressed>(view: &Option<View<'_, B>>) -> u64 {
    view.as_ref().map_or(0, |v| *v.mem())
}

/// Bytes that parts of scratch begin at multiples of.
pub(crate) const SCRATCH_ALIGN: usize = 256;

/// Kernels read and write scratch 16 bytes at a time, and their parts of it begin at multiples of its alignment.
///
/// # Errors
/// Where scratch that is needed is not aligned.
pub(crate) fn check_scratch(op: &'static str, at: u64, needed: impl FnOnce() -> Scratch) -> Result<(), Error> {
    if at.is_multiple_of(SCRATCH_ALIGN as u64) || needed().bytes == 0 {
        return Ok(());
    }
    let want = format!("aligned to {SCRATCH_ALIGN} bytes");
    Err(Error::Spec(SpecError { op, operand: "scratch", want, got: format!("address {at:#x}") }))
}

/// What kernels for plain caches say of others.
///
/// # Errors
/// In words.
pub(crate) fn without_scales(cache: DType, scales: bool) -> Result<(), String> {
    match (cache, scales) {
        (DType::F8E4m3, _) => Err("keys and values must be f32, bf16 or f16, they are f8e4m3".into()),
        (_, true) => Err("keys and values with scales are not taken".into()),
        _ => Ok(()),
    }
}
