//! The tensor-core variants from compute capability 7.5 on: every 16-bit type, as f16 that is rebased block by block.

use crate::backend::DeviceInfo;
use crate::dtype::DType;
use crate::op::grouped_gemm::GroupedGemmSpec;
use crate::op::{Epilogue, GateUp, WeightFormat};
use dropless_kernels_cuda::Artifact;

/// Bytes of `Schedule` of schedule.cuh.
const SCHEDULE: u32 = 2 * 513 * 4;
/// Steps that a part of a split K has at least.
const MIN_STEPS: usize = 8;
/// Most parts of K.
const MAX_SPLITS: usize = 8;

/// A variant of sm75.cu.
#[derive(Clone, Copy)]
pub(super) struct Rebased<'a>(&'a Artifact);

impl<'a> Rebased<'a> {
    /// The rows of the table with a pipeline on 7.5.
    pub(super) fn of(artifact: &'a Artifact) -> Option<Self> {
        (artifact.sm == 75 && artifact.stages > 0).then_some(Rebased(artifact))
    }

    /// # Errors
    /// What it does not take, in words.
    pub(super) fn legal(self, op: &GroupedGemmSpec) -> Result<(), String> {
        let half = |of: DType| matches!(of, DType::Bf16 | DType::F16);
        if !half(op.a) {
            return Err(format!("multiplies 16-bit types, `a` is {}", op.a));
        }
        match (op.weights, op.epilogue) {
            (WeightFormat::Dense(of), _) if !half(of) => Err(format!("multiplies 16-bit types, `w` is {of}")),
            (WeightFormat::Mxfp4Tiled, Epilogue::Swiglu(s)) if s.layout == GateUp::Halves => {
                Err("does not take prepacked weights with gate and up in halves: their tiles hold one of the two"
                    .into())
            }
            _ => Ok(()),
        }
    }

    /// # Errors
    /// Always: it runs where it is asked for.
    pub(super) fn suits(self) -> Result<(), String> {
        Err("not chosen: not measured yet".into())
    }

    /// Tiles over rows that lie evenly with their experts, or most of them that there can be.
    fn tiles(self, op: &GroupedGemmSpec, most: bool) -> usize {
        let experts = op.rows.min(op.local.count).max(1);
        let block_m = self.0.block_m.max(1) as usize;
        let row_tiles = if most {
            (op.rows / block_m).saturating_add(1 + if op.grouped { op.experts.min(op.rows) } else { 0 })
        } else {
            experts * op.rows.div_ceil(experts).div_ceil(block_m)
        };
        row_tiles.saturating_mul(op.n.div_ceil(self.0.block_n.max(1) as usize))
    }

    /// Blocks that the device runs at a time.
    fn resident(self, device: &DeviceInfo) -> usize {
        let by_memory = device.shared_bytes / self.shared_bytes();
        let by_threads = 1024 / (32 * self.0.warps);
        by_memory.min(by_threads).max(1) as usize * device.units.max(1) as usize
    }

    /// Parts of K: as many as there are idle blocks for.
    pub(super) fn splits(self, op: &GroupedGemmSpec, device: &DeviceInfo) -> usize {
        let idle = device.units.max(1) as usize / self.tiles(op, false).max(1);
        let most = (op.k / (self.0.block_k as usize * MIN_STEPS)).clamp(1, MAX_SPLITS);
        idle.clamp(1, most)
    }

    /// Blocks of the grid: each takes tile after tile.
    pub(super) fn blocks(self, op: &GroupedGemmSpec, device: &DeviceInfo) -> usize {
        self.tiles(op, true).saturating_mul(self.splits(op, device)).clamp(1, self.resident(device))
    }

    /// The constants of sm75.cu and what follows them.
    pub(super) fn shared_bytes(self) -> u32 {
        let Artifact { block_m, block_n, block_k, .. } = *self.0;
        let (staged, tile) = (2 * (block_m + block_n) * (2 * block_k + 8), 4 * block_m * (block_n + 4));
        staged.max(tile) + 8 * block_m + 4 * block_n + SCHEDULE
    }

    /// Index of the kernel among the variant's entries.
    pub(super) fn kernel(self, op: &GroupedGemmSpec) -> usize {
        match op.weights {
            WeightFormat::Dense(_) => 0,
            WeightFormat::Mxfp4 => 1,
            WeightFormat::Mxfp4Gguf => 2,
            WeightFormat::Mxfp4Tiled => 3,
        }
    }
}
