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
    width: u32,
    stages: u32,
    unused: [u32; 10],
}

const _: () = assert!(size_of::<SplitParams>() == 576);

/// Shared memory of a block on compute capability 9.0.
const MOST_SHARED: u32 = 232_448;
/// Weight rows of the tiles that the kernel has.
const WIDTHS: [usize; 6] = [48, 64, 80, 96, 128, 160];
/// Blocks of a cluster, and how many clusters run at once, as percents of the multiprocessors: none crosses the groups of 16 or 18 that
/// those come in. Of an H200's 132: 132, 66 and 30, as its driver says (`cuOccupancyMaxActiveClusters`).
const SPLITS: [(usize, usize); 3] = [(1, 100), (2, 50), (4, 23)];
/// Heights of tiles are multiples of the one, and are multiplied as multiples of the other.
const GRANULE: usize = 8;
const GROUP: usize = 64;
/// What takes a block's time, in bytes of `a`: an element of the weights and of `a`, the product of a weight row and a row of `a` in a step
/// of K, a float of the sums, which goes to another block. They put the cuts in the order that was measured on an H200 at 64 to 512 rows.
const WEIGHT: usize = 3;
const ROW: usize = 2;
const PRODUCT: usize = 2;
const FLOAT: usize = 56;
/// Most rows for which `sm90_rows` is as fast, most for which this one is the fastest, and fewest blocks, as a part of the multiprocessors.
const FEW_ROWS: usize = 8;
const MANY_ROWS: usize = 512;
const LEAST: usize = 2;

/// How a layer is cut into tiles, and K among the blocks of a cluster.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Cut {
    width: usize,
    height: usize,
    row_tiles: usize,
    split: usize,
}

impl Cut {
    fn tiles(self, op: &GroupedGemmSpec) -> usize {
        self.row_tiles.saturating_mul(op.n.div_ceil(self.width))
    }

    /// Times that the device is filled with clusters.
    fn rounds(self, op: &GroupedGemmSpec, units: usize) -> usize {
        let percent = SPLITS.iter().find(|(split, _)| *split == self.split).map_or(100, |(_, percent)| *percent);
        self.tiles(op).div_ceil((units * percent / 100).max(1))
    }

    /// Of all rounds.
    fn cost(self, op: &GroupedGemmSpec, units: usize) -> usize {
        let Cut { width, height, split, .. } = self;
        let steps = op.k.div_ceil(64).div_ceil(split);
        let step = 64 * (WEIGHT * width + ROW * height) + PRODUCT * width * height.next_multiple_of(GROUP);
        let exchange = FLOAT * width * height * (split - 1) / split;
        self.rounds(op, units).saturating_mul(steps.saturating_mul(step).saturating_add(exchange))
    }

    /// `Stages` of dense_split_sm90.cu.
    fn stage_bytes(self) -> u32 {
        128 * (self.width + self.height.next_multiple_of(GROUP)) as u32 + 16
    }
}

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

    /// Where the tiles fill the device more than once, or leave half of it idle, other variants are better.
    ///
    /// # Errors
    /// Why another variant is, in words.
    pub(super) fn suits(self, op: &GroupedGemmSpec, device: &DeviceInfo) -> Result<(), String> {
        let (cut, units) = (self.cut(op, device), device.units as usize);
        if op.rows <= FEW_ROWS || op.rows > MANY_ROWS {
            return Err(format!("is for more than {FEW_ROWS} rows and up to {MANY_ROWS}, these are {}", op.rows));
        }
        let blocks = cut.tiles(op) * cut.split;
        if cut.rounds(op, units) > 1 || blocks < units / LEAST {
            return Err(format!("has {blocks} blocks for {units} multiprocessors"));
        }
        Ok(())
    }

    /// The cheapest one. A block has a step of K at least.
    fn cut(self, op: &GroupedGemmSpec, device: &DeviceInfo) -> Cut {
        let (steps, units) = (op.k.div_ceil(self.0.block_k as usize).max(1), device.units as usize);
        let fewest = op.rows.div_ceil(self.0.block_m as usize).max(1);
        let cuts = (fewest..fewest + 3).flat_map(|row_tiles| {
            let height = op.rows.div_ceil(row_tiles).next_multiple_of(GRANULE).max(GRANULE);
            let row_tiles = op.rows.div_ceil(height);
            let splits = SPLITS.into_iter().map(|(split, _)| split).filter(move |split| *split <= steps);
            splits.flat_map(move |split| WIDTHS.map(|width| Cut { width, height, row_tiles, split }))
        });
        let one = Cut { width: WIDTHS[0], height: GRANULE, row_tiles: 1, split: 1 };
        cuts.min_by_key(|cut| cut.cost(op, units)).unwrap_or(one)
    }

    fn stages(self, cut: Cut) -> u32 {
        (MOST_SHARED / cut.stage_bytes()).min(self.0.stages)
    }

    /// What rings are made to fill.
    pub(super) fn shared_bytes(self) -> u32 {
        MOST_SHARED
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
        let cut = self.cut(op, plan.info());
        let p = Params::new(op, args, 1, 0);
        let (d, d_row) = (*args.d.mem(), args.d.info().row_stride * op.d.bytes());
        let in_place = op.rows > 0
            && op.k > 0
            && p.a_aligned != 0
            && p.w_aligned != 0
            && d.is_multiple_of(16)
            && d_row.is_multiple_of(16);
        let Cut { width, height, row_tiles, split } = cut;
        let [width, height, row_tiles, split] = [width, height, row_tiles, split].map(|n| n as u32);
        let (in_place_word, stages) = (in_place.into(), self.stages(cut));
        let mut params = SplitParams {
            p,
            in_place: in_place_word,
            split,
            height,
            row_tiles,
            width,
            stages,
            ..SplitParams::zeroed()
        };
        if in_place {
            let block_k = self.0.block_k;
            let map = |base, rows, stride: usize, box_rows| {
                TensorMap::new(base, op.a, [op.k, rows], [2 * stride], [block_k, box_rows], Swizzle::Bytes128)
            };
            params.a = map(*args.a.mem(), op.rows, args.a.info().row_stride, height)?;
            params.w = map(*args.w.mem(), op.n, op.k, width)?;
        }
        let shape = Shape { shared: stages * cut.stage_bytes(), cluster: split, overlap: self.0.pdl };
        plan.record_as(self.kernel(op), [cut.tiles(op) * cut.split, 1, 1], &shape, stream, &params)
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

    fn cut(rows: usize, n: usize, k: usize) -> [usize; 4] {
        let op = linear(rows, n, k);
        let Cut { width, height, row_tiles, split } = Split(forced(&op).unwrap()).cut(&op, &h200());
        [width, height, row_tiles, split]
    }

    #[test]
    fn blocks_fill_the_device() {
        assert_eq!(
            [8, 64, 128, 256, 512].map(|rows| cut(rows, 5120, 2880)),
            [[80, 8, 1, 2], [80, 64, 1, 2], [80, 128, 1, 2], [80, 128, 2, 1], [160, 128, 4, 1]]
        );
        assert_eq!(
            [8, 64, 128, 256, 512].map(|rows| cut(rows, 2880, 4096)),
            [[48, 8, 1, 2], [48, 64, 1, 2], [48, 128, 1, 2], [96, 128, 2, 2], [96, 128, 4, 1]]
        );
        assert_eq!(cut(64, 128, 40)[3], 1, "a block has a step at least");
        assert_eq!(cut(0, 128, 40)[1..], [8, 0, 1]);
    }

    /// The ring has two stages or more, and room for the sums that lie there afterwards, whatever the tile.
    #[test]
    fn shared_memory_holds_the_ring_and_the_sums() {
        let op = linear(64, 5120, 2880);
        let split = Split(forced(&op).unwrap());
        for (width, height) in WIDTHS.into_iter().flat_map(|w| (1..=24).map(move |h| (w, GRANULE * h))) {
            let cut = Cut { width, height, row_tiles: 1, split: 1 };
            let (stages, rows) = (split.stages(cut), height.next_multiple_of(GROUP));
            let ring = stages as usize * (cut.stage_bytes() as usize - 16);
            assert!(
                stages >= 2 && stages * cut.stage_bytes() <= MOST_SHARED && rows * (width + 8) * 4 <= ring,
                "{cut:?}"
            );
        }
        assert_eq!(24 * GRANULE, split.0.block_m as usize);
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
        for (n, k) in [(5120, 2880), (2880, 4096)] {
            let rows = [1, 8, 9, 64, 256, 512, 513].map(|rows| chosen(rows, n, k));
            assert_eq!(rows, [false, false, true, true, true, true, false], "{n} x {k}");
        }
        assert!(!chosen(64, 32, 2880), "a router has too few tiles");
        assert!(!chosen(64, 201_088, 2880), "the unembedding too many");
    }
}
