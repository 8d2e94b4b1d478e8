//! Descriptions of operands for the copy engine of compute capability 9.0, made on the host at every launch and passed as
//! kernel parameters: nothing to allocate, nothing that outlives a captured graph.

use super::driver::said;
use crate::dtype::DType;
use crate::error::Error;
use bytemuck::{Pod, Zeroable};
use cudarc::driver::sys;

/// Mirrors `TensorMap` in include/ptx/tma.cuh.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
pub(super) struct TensorMap([u64; 16]);

const _: () = assert!(size_of::<TensorMap>() == 128);

/// How a box lies in shared memory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Swizzle {
    /// Row after row.
    None,
    /// Rows of 128 bytes, their chunks of 16 exchanged as wgmma wants them.
    Bytes128,
    /// Likewise rows of 64 bytes.
    Bytes64,
}

impl TensorMap {
    /// A tensor of `RANK` dimensions at `base`, the innermost one first and contiguous; `strides` are the bytes from one
    /// element of the others to the next, multiples of 16 as `base` is one. What a box has outside the tensor reads as zero.
    ///
    /// # Errors
    /// What the driver says of dimensions that the copy engine does not take.
    pub(super) fn new<const RANK: usize, const OUTER: usize>(
        base: u64,
        dtype: DType,
        dims: [usize; RANK],
        strides: [usize; OUTER],
        shape_of_box: [u32; RANK],
        swizzle: Swizzle,
    ) -> Result<Self, Error> {
        const { assert!(OUTER + 1 == RANK) };
        let mut map = sys::CUtensorMap { opaque: [0; 16] };
        let (dims, strides) = (dims.map(|d| d as u64), strides.map(|s| s as u64));
        let of = match dtype {
            DType::Bf16 => sys::CUtensorMapDataType::CU_TENSOR_MAP_DATA_TYPE_BFLOAT16,
            DType::F16 => sys::CUtensorMapDataType::CU_TENSOR_MAP_DATA_TYPE_FLOAT16,
            // Bytes, in words: a box has at most 256 elements a dimension.
            _ => sys::CUtensorMapDataType::CU_TENSOR_MAP_DATA_TYPE_UINT32,
        };
        let swizzle = match swizzle {
            Swizzle::None => sys::CUtensorMapSwizzle::CU_TENSOR_MAP_SWIZZLE_NONE,
            Swizzle::Bytes128 => sys::CUtensorMapSwizzle::CU_TENSOR_MAP_SWIZZLE_128B,
            Swizzle::Bytes64 => sys::CUtensorMapSwizzle::CU_TENSOR_MAP_SWIZZLE_64B,
        };
        // SAFETY: the arrays have the lengths that RANK says; `base` is only described here, not read.
        unsafe {
            sys::cuTensorMapEncodeTiled(
                &mut map,
                of,
                RANK as u32,
                base as *mut _,
                dims.as_ptr(),
                strides.as_ptr(),
                shape_of_box.as_ptr(),
                [1; RANK].as_ptr(),
                sys::CUtensorMapInterleave::CU_TENSOR_MAP_INTERLEAVE_NONE,
                swizzle,
                sys::CUtensorMapL2promotion::CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
                sys::CUtensorMapFloatOOBfill::CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE,
            )
        }
        .result()
        .map_err(said("cuTensorMapEncodeTiled"))?;
        Ok(TensorMap(map.opaque))
    }
}
