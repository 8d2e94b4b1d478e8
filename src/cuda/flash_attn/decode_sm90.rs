//! The decode variants of compute capability 9.0: a cluster of blocks shares the keys of a sequence, and one launch does it all.

use super::grid::packed_rows;
use crate::backend::DeviceInfo;
use crate::backend::params::flash_attn::{Params, ScaledParams};
use crate::cuda::plan::{Plan, Shape};
use crate::cuda::{Cuda, Stream};
use crate::dtype::DType;
use crate::error::Error;
use crate::op::{FlashAttnArgs, FlashAttnSpec, KvStore};
use dropless_kernels_cuda::Artifact;

/// Most blocks of a cluster, on every device of this architecture and on those of that many multiprocessors: there enough
/// groups of them are large enough.
const MOST_SPLITS: usize = 8;
const LARGE_SPLITS: usize = 16;
const LARGE_DEVICE: u32 = 128;
/// Keys of a sequence that eight warps a block read as fast as sixteen, and where few sequences have a cluster of 16 each.
const FEW_KEYS: usize = 2048;
const FEW_KEYS_OF_FEW: usize = 8192;
/// Keys of all sequences and heads up to which a start beside the kernel before is worth the multiprocessors it takes from it.
const SHORT_CALL: usize = 1 << 16;
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
        if self.one() && (op.max_q_len > 1 || packed_rows(op) > self.0.block_m as usize) {
            let (q_len, heads) = (op.max_q_len, op.q_heads / op.kv_heads.max(1));
            return Err(format!(
                "made for one query of up to {} heads a key head, these are {q_len} of {heads}",
                self.0.block_m
            ));
        }
        if [true, false].into_iter().any(|aligned| self.kernel(op, aligned).is_none()) {
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
    pub(super) fn suits(self, op: &FlashAttnSpec, device: &DeviceInfo) -> Result<(), String> {
        let wanted = self.wanted_warps(op, device);
        if self.0.warps != wanted {
            return Err(format!("{wanted} warps a block are faster here"));
        }
        // Launches that overlap take memory from each other where each of them has enough to do.
        if wanted == 4 && self.one() && !self.e4m3() && seen(op) > FEW_KEYS {
            return Err("sm90_decode_4 is faster for many sequences of many keys".into());
        }
        Ok(())
    }

    /// Sixteen a multiprocessor, in as few blocks as there are sequences and heads for.
    fn wanted_warps(self, op: &FlashAttnSpec, device: &DeviceInfo) -> u32 {
        let (items, seen, units) = (self.items(op), seen(op), device.units as usize);
        let few = seen <= FEW_KEYS || seen <= FEW_KEYS_OF_FEW && items * LARGE_SPLITS <= 2 * units;
        let registers_suffice = op.head_dim == 64 && self.one();
        match items {
            // Which keys a warp takes must not depend on the size of the batch.
            _ if op.splits.is_some() => 8,
            _ if items > 2 * units => 4,
            _ if items > units || few || !registers_suffice => 8,
            _ => 16,
        }
    }

    /// Tiles of rows and key heads of all sequences.
    fn items(self, op: &FlashAttnSpec) -> usize {
        op.sequences.saturating_mul(op.kv_heads).saturating_mul(self.tiles(op)).max(1)
    }

    /// Are its kernels made for one query a sequence?
    fn one(self) -> bool {
        self.e4m3() || self.0.variant.starts_with("sm90_one")
    }

    /// Are its kernels made for keys and values of f8e4m3?
    pub(super) fn e4m3(self) -> bool {
        self.0.variant.starts_with("sm90_e4m3")
    }

    /// Which of the kernels, for queries and keys that are `aligned` to 16 bytes or not; few rows want many warps, for which many
    /// registers do not suffice.
    pub(super) fn kernel(self, op: &FlashAttnSpec, aligned: bool) -> Option<usize> {
        if self.one() {
            let hides = op.mask.window().is_some_and(|w| w < op.max_k_len);
            return self.kernel_for_one(
                op,
                if !aligned {
                    "any"
                } else if hides {
                    "window"
                } else {
                    "one"
                },
            );
        }
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

    /// Of the kernels for one query: `one`, `window` where a window hides keys, `any` for views of any alignment.
    fn kernel_for_one(self, op: &FlashAttnSpec, which: &str) -> Option<usize> {
        let of = if op.q == DType::F16 { "f16" } else { "bf16" };
        let name = format!("{which}_{of}_{}", op.head_dim);
        self.0.entries.iter().position(|entry| entry.to_bytes() == name.as_bytes())
    }

    /// Rows of a tile: half of the most where they suffice.
    fn rows(self, op: &FlashAttnSpec) -> usize {
        let most = self.0.block_m.max(2) as usize;
        if self.one() {
            return most;
        }
        if packed_rows(op) <= most / 2 { most / 2 } else { most }
    }

    fn tiles(self, op: &FlashAttnSpec) -> usize {
        packed_rows(op).div_ceil(self.rows(op)).max(1)
    }

    /// Blocks that share the keys of a sequence: enough for the device, and each with keys for its warps.
    fn splits(self, op: &FlashAttnSpec, device: &DeviceInfo) -> usize {
        if let Some(splits) = op.splits {
            return splits.clamp(1, self.most_splits(device));
        }
        let warps = self.0.warps.max(1) as usize;
        let blocks = device.units as usize * (16 / warps).max(1);
        (blocks / self.items(op)).min(seen(op) / (16 * warps)).clamp(1, self.most_splits(device))
    }

    /// Sixteen warps a block leave no room for a second one, and so for few clusters of sixteen blocks.
    fn most_splits(self, device: &DeviceInfo) -> usize {
        if device.units >= LARGE_DEVICE && self.0.warps < 16 { LARGE_SPLITS } else { MOST_SPLITS }
    }

    /// `Shared` in decode_share_sm90.cuh.
    fn shared_bytes(self, op: &FlashAttnSpec, splits: usize) -> u32 {
        let (warps, rows, dim) = (self.0.warps as usize, self.rows(op), op.head_dim);
        let of_warps = warps * 8 * (dim + 2);
        let of_splits =
            if splits > 1 { splits * (2 * rows + (rows * dim).div_ceil(splits).next_power_of_two()) } else { 0 };
        4 * (of_warps + of_splits) as u32
    }

    /// Shared memory of a block at most.
    pub(super) fn most_shared_bytes(self, op: &FlashAttnSpec) -> u32 {
        (1..=LARGE_SPLITS).map(|splits| self.shared_bytes(op, splits)).max().unwrap_or(0)
    }

    /// Blocks of a cluster.
    pub(super) fn cluster(self, op: &FlashAttnSpec, device: &DeviceInfo) -> u32 {
        self.splits(op, device) as u32
    }

    pub(super) fn launch(
        self,
        plan: &Plan<FlashAttnSpec>,
        params: Params,
        args: &FlashAttnArgs<'_, Cuda>,
        stream: &Stream<'_>,
    ) -> Result<(), Error> {
        let op = &plan.op;
        let (splits, tiles) = (self.splits(op, plan.info()), self.tiles(op));
        let params = params.with_splits(0, splits as i32, tiles as i32);
        // One more in z looks for faults.
        let grid = [splits, op.kv_heads, op.sequences * tiles + usize::from(params.reports())];
        let shape = Shape {
            shared: self.shared_bytes(op, splits),
            cluster: splits as u32,
            overlap: self.items(op).saturating_mul(seen(op)) <= SHORT_CALL,
        };
        let kernel = self.kernel(op, params.kv_aligned() && params.q_aligned());
        let kernel = kernel.ok_or_else(|| plan.lacks(&format!("kernel for {} heads of {}", op.q, op.head_dim)))?;
        if self.e4m3() {
            return plan.record_as(kernel, grid, &shape, stream, &ScaledParams::new(params, args));
        }
        plan.record_as(kernel, grid, &shape, stream, &params)
    }
}

/// Keys that a sequence's queries see at most.
fn seen(op: &FlashAttnSpec) -> usize {
    op.mask.window().map_or(op.max_k_len, |w| op.max_k_len.min(w.saturating_add(op.max_q_len.saturating_sub(1))))
}
