//! The decode variants of compute capability 9.0: a cluster of blocks shares the keys of a sequence, and one launch does it all.

use super::grid::packed_rows;
use super::params::Params;
use crate::backend::DeviceInfo;
use crate::cuda::Stream;
use crate::cuda::plan::{Plan, Shape};
use crate::dtype::DType;
use crate::error::Error;
use crate::op::{FlashAttnSpec, KvStore};
use dropless_kernels_cuda::Artifact;

/// Most blocks of a cluster on every device of this architecture.
const MOST_SPLITS: usize = 8;
/// Most blocks in y and z.
const MOST_BLOCKS: usize = 65_535;

/// A variant of this kind.
#[derive(Clone, Copy)]
pub(super) struct ClusterDecode<'a>(pub(super) &'a Artifact);

impl ClusterDecode<'_> {
    /// # Errors
    /// What the kernel does not take, in words.
    pub(super) fn legal(self, op: &FlashAttnSpec) -> Result<(), String> {
        let tiles = op.sequences.saturating_mul(self.tiles(op));
        if tiles >= MOST_BLOCKS || op.kv_heads > MOST_BLOCKS {
            return Err(format!(
                "takes fewer than {MOST_BLOCKS} tiles and key heads, these are {tiles} and {}",
                op.kv_heads
            ));
        }
        if self.kernel(op).is_none() {
            return Err(format!("has no kernel for {} rows of {} elements", self.rows(op), op.head_dim));
        }
        match op.store {
            KvStore::Paged { page_size, .. } if page_size < self.0.block_n as usize => {
                Err(format!("page_size must be {} or more, it is {page_size}", self.0.block_n))
            }
            _ => Ok(()),
        }
    }

    /// # Errors
    /// Why not, in words.
    pub(super) fn suits(self, _: &FlashAttnSpec, _: &DeviceInfo) -> Result<(), String> {
        Err("is not chosen before it is measured".into())
    }

    /// Which of the kernels; few rows want many warps, for which many registers do not suffice.
    fn kernel(self, op: &FlashAttnSpec) -> Option<usize> {
        let name = match (op.q == DType::F16, op.head_dim, self.rows(op)) {
            (false, 64, 8) => c"decode_bf16_64_8",
            (false, 64, 16) => c"decode_bf16_64_16",
            (false, 128, 8) => c"decode_bf16_128_8",
            (false, 128, 16) => c"decode_bf16_128_16",
            (true, 64, 8) => c"decode_f16_64_8",
            (true, 64, 16) => c"decode_f16_64_16",
            (true, 128, 8) => c"decode_f16_128_8",
            (true, 128, 16) => c"decode_f16_128_16",
            _ => return None,
        };
        self.0.entries.iter().position(|entry| *entry == name)
    }

    /// Rows of a tile: half of the most where they suffice.
    fn rows(self, op: &FlashAttnSpec) -> usize {
        let most = self.0.block_m.max(2) as usize;
        if packed_rows(op) <= most / 2 { most / 2 } else { most }
    }

    fn tiles(self, op: &FlashAttnSpec) -> usize {
        packed_rows(op).div_ceil(self.rows(op)).max(1)
    }

    /// Blocks that share the keys of a sequence: enough for the device, and each with keys for its warps.
    fn splits(self, op: &FlashAttnSpec, device: &DeviceInfo) -> usize {
        let seen = op.mask.window().map_or(op.max_k_len, |w| op.max_k_len.min(w.saturating_add(op.max_q_len)));
        let keys = (self.0.block_n * self.0.warps).max(1) as usize;
        let items = (op.sequences * op.kv_heads * self.tiles(op)).max(1);
        (device.units as usize / items).min(seen / keys).clamp(1, MOST_SPLITS)
    }

    /// The layout of `decode` in decode_sm90.cu.
    fn shared_bytes(self, op: &FlashAttnSpec, splits: usize) -> u32 {
        let (warps, rows, dim) = (self.0.warps as usize, self.rows(op), op.head_dim);
        let of_warps = warps * 8 * (dim + 2);
        let of_splits = if splits > 1 { splits * (2 * rows + (rows * dim).div_ceil(splits)) } else { 0 };
        4 * (of_warps + of_splits) as u32
    }

    /// Shared memory of a block at most.
    pub(super) fn most_shared_bytes(self, op: &FlashAttnSpec) -> u32 {
        self.shared_bytes(op, MOST_SPLITS)
    }

    pub(super) fn launch(self, plan: &Plan<FlashAttnSpec>, params: Params, stream: &Stream<'_>) -> Result<(), Error> {
        let op = &plan.op;
        let (splits, tiles) = (self.splits(op, plan.info()), self.tiles(op));
        let params = params.with_splits(0, splits as i32, tiles as i32);
        // One more in z looks for faults.
        let grid = [splits, op.kv_heads, op.sequences * tiles + usize::from(params.reports())];
        let shape = Shape { shared: self.shared_bytes(op, splits), cluster: splits as u32, overlap: true };
        let Some(kernel) = self.kernel(op) else { return Ok(()) };
        plan.record_as(kernel, grid, &shape, stream, &params)
    }
}
