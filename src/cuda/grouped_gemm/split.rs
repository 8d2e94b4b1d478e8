//! The wgmma variant for linear layers of few rows on compute capability 9.0: the blocks of a cluster share a tile's K.

use super::Params;
use crate::backend::DeviceInfo;
use crate::cuda::plan::{Plan, Shape};
use crate::cuda::tensor_map::{Swizzle, TensorMap};
use crate::cuda::{Cuda, Stream};
use crate::dtype::DType;
use crate::error::Error;
use crate::op::{Epilogue, GroupedGemmArgs, GroupedGemmSpec};
use bytemuck::{Pod, Zeroable};
use dropless_kernels_cuda::Artifact;

/// Mirrors `SplitParams` in grouped_gemm/dense_split_sm90.cu.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct SplitParams {
    a: TensorMap,
    w: TensorMap,
    p: Params,
    in_place: u32,
    split: u32,
    height: u32,
    row_tiles: u32,
    unused: [u32; 12],
}

const _: () = assert!(size_of::<SplitParams>() == 576);

/// Most blocks of a cluster, of which the kernel takes eight, and shared memory of a block on compute capability 9.0.
const MOST_SPLIT: usize = 4;
const MOST_SHARED: u32 = 232_448;
/// Heights of tiles are multiples of these many rows.
const GRANULE: usize = 16;
/// Most rows for which `sm90_rows` is faster, and fewest blocks, as a part of the multiprocessors.
const FEW_ROWS: usize = 16;
const LEAST: usize = 2;

/// A variant of this kind.
#[derive(Clone, Copy)]
pub(super) struct Split<'a>(&'a Artifact);

impl<'a> Split<'a> {
    /// `None` for other kinds.
    pub(super) fn of(artifact: &'a Artifact) -> Option<Self> {
        artifact.entries.contains(&c"grouped_gemm_split_bf16").then_some(Split(artifact))
    }

    /// # Errors
    /// What it does not take, in words.
    pub(super) fn legal(self, op: &GroupedGemmSpec) -> Result<(), String> {
        super::prefill::dense(op)?;
        let one = !op.grouped && op.experts == 1 && op.local.count == 1;
        if !one || op.gather.is_some() || op.combine.is_some() || op.epilogue != Epilogue::None {
            return Err("is for linear layers".into());
        }
        if !op.n.is_multiple_of(8) {
            return Err(format!("stores eight columns at a time, there are {}", op.n));
        }
        if op.d != DType::F32 && op.d != op.a {
            return Err(format!("stores f32 or the type of `a`, `d` is {}", op.d));
        }
        Ok(())
    }

    /// Where two blocks a tile do not fit the device, tiles of more rows are better; where four leave half of it idle, variants that
    /// split K further are. Measured on an H200 from 64 to 512 rows.
    ///
    /// # Errors
    /// Why another variant does, in words.
    pub(super) fn suits(self, op: &GroupedGemmSpec, device: &DeviceInfo) -> Result<(), String> {
        let (tiles, units) = (self.tiles(op), device.units as usize);
        if op.rows <= FEW_ROWS {
            return Err(format!("is for more than {FEW_ROWS} rows, these are {}", op.rows));
        }
        if 2 * tiles > units {
            return Err(format!("has {tiles} tiles for {units} multiprocessors, which leaves none to split K"));
        }
        let blocks = tiles * self.cluster(op, device) as usize;
        if blocks < units / LEAST {
            return Err(format!("has {blocks} blocks for {units} multiprocessors"));
        }
        Ok(())
    }

    /// Rows of a tile, and tiles of rows, as even as granules allow.
    fn rows(self, op: &GroupedGemmSpec) -> (usize, usize) {
        let tiles = op.rows.div_ceil(self.0.block_m as usize).max(1);
        let height = op.rows.div_ceil(tiles).next_multiple_of(GRANULE).max(GRANULE);
        (height, op.rows.div_ceil(height))
    }

    fn tiles(self, op: &GroupedGemmSpec) -> usize {
        self.rows(op).1.saturating_mul(op.n.div_ceil(self.0.block_n as usize))
    }

    /// Blocks that share a tile's K, each with a step at least. A power of two: clusters of three or five leave so many of the
    /// multiprocessors of a group idle that the last ones wait for the first. Measured on an H200.
    pub(super) fn cluster(self, op: &GroupedGemmSpec, device: &DeviceInfo) -> u32 {
        let steps = op.k.div_ceil(self.0.block_k as usize);
        let fit = (device.units as usize / self.tiles(op).max(1)).min(MOST_SPLIT).min(steps).max(1);
        1 << fit.ilog2()
    }

    /// `Stages` of dense_split_sm90.cu.
    pub(super) fn shared_bytes(self, op: &GroupedGemmSpec) -> u32 {
        let stage = 128 * (self.0.block_n + self.rows(op).0 as u32) + 16;
        stage * (MOST_SHARED / stage).min(self.0.stages)
    }

    /// Which of the kernels.
    pub(super) fn kernel(self, op: &GroupedGemmSpec) -> usize {
        usize::from(op.a == DType::F16)
    }

    pub(super) fn launch(
        self,
        plan: &Plan<GroupedGemmSpec>,
        args: &GroupedGemmArgs<'_, Cuda>,
        stream: &Stream<'_>,
    ) -> Result<(), Error> {
        let op = &plan.op;
        let ((height, row_tiles), split) = (self.rows(op), self.cluster(op, plan.info()));
        let p = Params::new(op, args, 1, 0);
        let (d, d_row) = (*args.d.mem(), args.d.info().row_stride * op.d.bytes());
        let in_place = op.rows > 0
            && op.k > 0
            && p.a_aligned != 0
            && p.w_aligned != 0
            && d.is_multiple_of(16)
            && d_row.is_multiple_of(16);
        let (height, row_tiles) = (height as u32, row_tiles as u32);
        let mut params =
            SplitParams { p, in_place: in_place.into(), split, height, row_tiles, ..SplitParams::zeroed() };
        if in_place {
            let Artifact { block_n, block_k, .. } = *self.0;
            let map = |base, rows, stride: usize, box_rows| {
                TensorMap::new(base, op.a, [op.k, rows], [2 * stride], [block_k, box_rows], Swizzle::Bytes128)
            };
            params.a = map(*args.a.mem(), op.rows, args.a.info().row_stride, height)?;
            params.w = map(*args.w.mem(), op.n, op.k, block_n)?;
        }
        let shape = Shape { shared: self.shared_bytes(op), cluster: split, overlap: self.0.pdl };
        plan.record_as(self.kernel(op), [self.tiles(op) * split as usize, 1, 1], &shape, stream, &params)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{Arch, Hint};
    use crate::cuda::choose::choose;
    use crate::op::Swiglu;

    const VARIANT: &str = "sm90_dense_split";

    fn h200() -> DeviceInfo {
        DeviceInfo { name: "test".into(), arch: Arch::Sm(90), units: 132, shared_bytes: MOST_SHARED }
    }

    fn linear(rows: usize, n: usize, k: usize) -> GroupedGemmSpec {
        GroupedGemmSpec::linear(rows, n, k, DType::Bf16, DType::Bf16, None, DType::Bf16)
    }

    fn forced(op: &GroupedGemmSpec) -> Result<&'static Artifact, String> {
        let hint = Hint { variant: Some(VARIANT), rows: None };
        choose(op, &h200(), 80, hint).map(|c| c.artifact).map_err(|e| e.to_string())
    }

    #[test]
    fn blocks_of_a_cluster_fill_the_device() {
        let of = |rows, n, k| {
            let op = linear(rows, n, k);
            Split(forced(&op).unwrap()).cluster(&op, &h200())
        };
        assert_eq!([8, 64, 128, 256].map(|rows| of(rows, 5120, 2880)), [2, 2, 2, 1]);
        assert_eq!([8, 64, 128, 256].map(|rows| of(rows, 2880, 4096)), [4, 4, 4, 2]);
        assert_eq!(of(64, 128, 40), 1, "a block has a step at least");
    }

    #[test]
    fn shared_memory_holds_the_ring() {
        let of = |rows| Split(forced(&linear(rows, 5120, 2880)).unwrap()).shared_bytes(&linear(rows, 5120, 2880));
        assert_eq!([1, 64, 128, 129].map(of), [12 * 18_448, 9 * 24_592, 7 * 32_784, 8 * 26_640]);
    }

    #[test]
    fn takes_linear_layers() {
        let op = linear(64, 5120, 2880);
        assert!(forced(&GroupedGemmSpec { grouped: true, ..op }).unwrap_err().contains("linear"));
        let gated = GroupedGemmSpec { epilogue: Epilogue::Swiglu(Swiglu::GPT_OSS), ..op };
        assert!(forced(&gated).unwrap_err().contains("linear"));
        assert!(forced(&linear(64, 5124, 2880)).unwrap_err().contains("there are 5124"));
        assert!(forced(&linear(64, 5120, 36)).unwrap_err().contains("there are 36"));
        assert!(forced(&GroupedGemmSpec { d: DType::F16, ..op }).unwrap_err().contains("`d` is f16"));
    }

    #[test]
    fn is_chosen_where_tiles_leave_multiprocessors_idle() {
        let chosen =
            |rows, n, k| choose(&linear(rows, n, k), &h200(), 80, Hint::default()).unwrap().variant() == VARIANT;
        assert_eq!(
            [1, 8, 64, 128, 256, 512].map(|rows| chosen(rows, 5120, 2880)),
            [false, false, true, true, false, false]
        );
        assert_eq!(
            [1, 8, 64, 128, 256, 512].map(|rows| chosen(rows, 2880, 4096)),
            [false, false, true, true, true, false]
        );
        assert_eq!(
            [16, 17, 32].map(|rows| chosen(rows, 5120, 2880)),
            [false, true, true],
            "`sm90_rows` has fewer rows"
        );
        assert!(!chosen(64, 32, 2880), "a router has too few tiles");
        assert!(!chosen(64, 201_088, 2880), "the unembedding too many");
    }
}
