//! What the main kernel is told: the parameters, with a map of each tensor that the copy engine reads or writes.

use super::{GRANULE, GROUP_ROWS, Prefill, STEP_K, Sm90Params, TILE_BYTES, TILE_ROWS};
use crate::backend::params::grouped_gemm::Params;
use crate::cuda::Cuda;
use crate::cuda::tensor_map::{Swizzle, TensorMap};
use crate::dtype::DType;
use crate::error::Error;
use crate::mxfp4::Tiled;
use crate::op::{GroupedGemmArgs, GroupedGemmSpec};
use bytemuck::Zeroable;
use dropless_kernels_cuda::Artifact;

impl Prefill<'_> {
    pub(super) fn params(
        self,
        op: &GroupedGemmSpec,
        args: &GroupedGemmArgs<'_, Cuda>,
        p: Params,
        scratch: u64,
    ) -> Result<Sm90Params, Error> {
        let mut params = Sm90Params { p, gathered: scratch, ..Sm90Params::zeroed() };
        let (d, d_row) = (*args.d.mem(), args.d.info().row_stride * op.d.bytes());
        let d_aligned = op.combine.is_some() || (d.is_multiple_of(16) && d_row.is_multiple_of(16));
        let a_aligned = op.gather.is_some() || p.a_aligned != 0;
        // Without rows or weights no tile reads a map, and there may be nothing to describe.
        if op.rows == 0 || op.local.count == 0 || !(a_aligned && d_aligned && p.w_aligned != 0) {
            return Ok(params);
        }
        params.in_place = 1;
        let (base, stride) = match op.gather {
            Some(_) => (scratch, op.k),
            None => (*args.a.mem(), args.a.info().row_stride),
        };
        let Artifact { block_m, block_k, .. } = *self.artifact;
        // A box has the steps of a stage. Where K is no multiple of a step, its last one must be cut off: a copy for each.
        let (step, whole) = (STEP_K as usize, op.k.is_multiple_of(STEP_K as usize));
        let (dims, steps) =
            if whole { ([step, op.rows, op.k / step], block_k / STEP_K) } else { ([op.k, op.rows, 1], 1) };
        params.whole_steps = whole.into();
        for (map, rows) in params.a.iter_mut().zip((GRANULE..=block_m).step_by(GRANULE as usize)) {
            let shape_of_box = [STEP_K, rows, steps];
            *map = TensorMap::new(base, op.a, dims, [2 * stride, 2 * step], shape_of_box, Swizzle::Bytes128)?;
        }
        params.w = self.weights(op, *args.w.mem())?;
        Ok(params)
    }

    /// Of the rows that the main kernel stores, in boxes of the height of a part: staged_sm90.cuh. Rows are counted twice, from
    /// as many before the first on, so that a box can end at any row: what lies past it is cut off.
    pub(super) fn results(
        self,
        op: &GroupedGemmSpec,
        base: u64,
        stride: usize,
        dtype: DType,
    ) -> Result<TensorMap, Error> {
        let columns = if op.n_out() == op.n { GROUP_ROWS } else { GROUP_ROWS / 2 };
        let (bytes, part) = (dtype.bytes() as u32, 32 * self.artifact.block_m);
        let (height, width) = (part / (bytes * columns), columns.min(128 / bytes));
        let swizzle = if width * bytes == 128 { Swizzle::Bytes128 } else { Swizzle::Bytes64 };
        let pitch = stride * dtype.bytes();
        let base = base.wrapping_sub(u64::from(height).wrapping_mul(pitch as u64));
        let dims = [op.n_out(), height as usize, op.rows.saturating_add(1)];
        TensorMap::new(base, dtype, dims, [pitch, pitch], [width, height, 1], swizzle)
    }

    fn weights(self, op: &GroupedGemmSpec, base: u64) -> Result<TensorMap, Error> {
        let Artifact { block_n, block_k, .. } = *self.artifact;
        if self.dense {
            let (dims, strides) = ([op.k, op.n, op.local.count], [2 * op.k, 2 * op.k * op.n]);
            return TensorMap::new(base, op.a, dims, strides, [STEP_K, block_n, 1], Swizzle::Bytes128);
        }
        let (tile, row_tiles) = (TILE_BYTES as usize, op.n.div_ceil(TILE_ROWS as usize));
        let k_tiles = op.k.div_ceil(STEP_K as usize);
        TensorMap::new(
            base,
            DType::U8,
            [tile / 4, k_tiles, row_tiles, op.local.count],
            [tile, tile * k_tiles, Tiled::bytes(op.n, op.k)],
            [TILE_BYTES / 4, block_k / STEP_K, block_n / TILE_ROWS, 1],
            Swizzle::None,
        )
    }
}
