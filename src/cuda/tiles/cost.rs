//! Which of the tile variants is the cheapest, and how many blocks it runs in.

use super::{Kind, Tiles};
use crate::backend::{DeviceInfo, Hint};
use crate::cuda::choose::fits;
use crate::op::grouped_gemm::GroupedGemmSpec;
use crate::op::{Op, WeightFormat};
use dropless_kernels_cuda::ARTIFACTS;

/// Stages that a part of a split K has at least: filling the pipeline must be worth it.
const MIN_STAGES: usize = 6;
/// Most parts of K.
const MAX_SPLITS: usize = 8;

impl Tiles<'_> {
    /// # Errors
    /// Which variant is cheaper, in words.
    pub(in crate::cuda) fn suits(
        self,
        op: &GroupedGemmSpec,
        device: &DeviceInfo,
        hint: Hint<'_>,
    ) -> Result<(), String> {
        let rows = hint.rows.unwrap_or(op.rows);
        let others = ARTIFACTS.iter().filter(|a| a.ops.contains(&GroupedGemmSpec::NAME)).filter_map(Tiles::of);
        let may_run = |t: &Tiles| t.legal(op).is_ok() && fits(op, t.artifact, device).is_ok();
        let best = others.filter(may_run).min_by_key(|t| t.cost(op, device, rows));
        match best {
            Some(best) if best.cost(op, device, rows) < self.cost(op, device, rows) => {
                let each = rows.div_ceil(touched(op, rows).max(1));
                Err(format!("{} is cheaper for {each} rows an expert", best.artifact.variant))
            }
            _ => Ok(()),
        }
    }

    /// In what a row of `a` costs in a tile of sm80.cu: the rows, and what reading and decoding a tile's weights costs beside
    /// them; more where the tiles do not occupy the device.
    fn cost(self, op: &GroupedGemmSpec, device: &DeviceInfo, rows: usize) -> u64 {
        let block_m = u64::from(self.artifact.block_m);
        let tile = match (self.kind, op.weights) {
            (Kind::Tiles, WeightFormat::Dense(_)) => 8 + block_m,
            // Narrow tiles have more to do beside decoding.
            (Kind::Tiles, _) if self.artifact.block_n < 128 => 20 + block_m,
            (Kind::Tiles, _) => 16 + block_m,
            (Kind::Stream, _) => 8 + block_m,
            // Reading the weights is most of it, whatever the rows.
            (Kind::Decode, _) => 28,
            (Kind::Prefill, _) => 47 + rows.div_ceil(touched(op, rows).max(1)).min(block_m as usize) as u64 / 4,
        };
        let row_tiles = self.row_tiles(op, rows);
        let splits = if matches!(op.weights, WeightFormat::Dense(_)) { self.splits(op, device) } else { 1 };
        let tiles = self.tiles(op, row_tiles).saturating_mul(splits).max(1) as u64;
        let enough = self.enough(device) as u64;
        (row_tiles as u64 * tile).saturating_mul(enough.max(tiles)) / tiles
    }

    /// Tiles that occupy the device. Small ones wait for memory: more of them must be under way, unless each has a ring a warp.
    fn enough(self, device: &DeviceInfo) -> usize {
        device.units.max(1) as usize * if self.artifact.block_m <= 16 && self.kind != Kind::Stream { 2 } else { 1 }
    }

    /// Tiles over rows that lie evenly with their experts.
    fn row_tiles(self, op: &GroupedGemmSpec, rows: usize) -> usize {
        let experts = touched(op, rows);
        experts * rows.div_ceil(experts.max(1)).div_ceil(self.artifact.block_m as usize)
    }

    fn tiles(self, op: &GroupedGemmSpec, row_tiles: usize) -> usize {
        row_tiles.saturating_mul(op.n.div_ceil(self.artifact.block_n as usize))
    }

    /// Parts of K: where tiles do not occupy the device, as many as leave the fewest multiprocessors idle at the end.
    pub(in crate::cuda) fn splits(self, op: &GroupedGemmSpec, device: &DeviceInfo) -> usize {
        let tiles = self.tiles(op, self.row_tiles(op, op.rows)).max(1);
        if self.kind != Kind::Tiles || tiles >= self.enough(device) {
            return 1;
        }
        let units = device.units.max(1) as usize;
        let most = (op.k / (self.artifact.block_k as usize * MIN_STAGES)).clamp(1, MAX_SPLITS);
        let at_once = units * self.resident(op, device);
        let busy = |splits: usize| tiles * splits * 1000 / ((tiles * splits).div_ceil(units) * units);
        let fitting = (2..=most).filter(|s| tiles * s <= at_once);
        fitting.fold(1, |best, s| if busy(s) > busy(best) { s } else { best })
    }

    /// Blocks that a multiprocessor runs at a time.
    fn resident(self, op: &GroupedGemmSpec, device: &DeviceInfo) -> usize {
        let by_memory = device.shared_bytes / self.shared_bytes(op).max(1);
        let warps = match self.kind {
            Kind::Tiles => 32,
            Kind::Stream | Kind::Decode => 16,
            Kind::Prefill => 4 * if self.artifact.block_m >= 128 { 2 } else { 3 },
        };
        by_memory.min(warps / self.artifact.warps).max(1) as usize
    }

    /// Blocks of the grid: each takes tile after tile. No more than there can be tiles or run at a time.
    pub(in crate::cuda) fn blocks(self, op: &GroupedGemmSpec, device: &DeviceInfo) -> usize {
        let partial = if op.grouped { op.experts.min(op.rows) } else { 0 };
        let row_tiles = (op.rows / self.artifact.block_m as usize).saturating_add(partial + 1);
        let tiles = self.tiles(op, row_tiles).saturating_mul(self.splits(op, device));
        tiles.clamp(1, device.units.max(1) as usize * self.resident(op, device))
    }
}

/// Experts that own any of `rows` rows, at most.
fn touched(op: &GroupedGemmSpec, rows: usize) -> usize {
    rows.min(op.local.count)
}
