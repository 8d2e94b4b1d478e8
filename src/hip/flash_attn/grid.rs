//! How much of attention a block does: what the plan fixes from the spec's upper bounds.

use crate::backend::DeviceInfo;
use crate::op::FlashAttnSpec;
use dropless_kernels_hip::Artifact;

/// Most shares that are asked for: what they leave is combined one after the other.
const MOST_SPLITS: usize = 64;

/// The grid of a decode: a block takes some rows of a sequence and one of `splits` shares of the keys they see.
pub(super) struct Decode {
    /// Tiles of rows of the longest sequence.
    pub(super) tiles: usize,
    /// Blocks of one share.
    pub(super) blocks: usize,
    pub(super) splits: usize,
}

impl Decode {
    pub(super) fn new(op: &FlashAttnSpec, artifact: &Artifact, device: &DeviceInfo) -> Self {
        let (tiles, blocks) = decode_blocks(op, artifact);
        // Two blocks fill a compute unit; a wave, two warps, should still have some keys to read.
        let seen = op.mask.window().map_or(op.max_k_len, |w| op.max_k_len.min(w.saturating_add(op.max_q_len)));
        let keys = (artifact.block_n * artifact.warps / 2).max(1) as usize;
        let fastest = (2 * device.units as usize).div_ceil(blocks.max(1)).clamp(1, seen.div_ceil(keys).max(1));
        Decode { tiles, blocks, splits: op.splits.unwrap_or(fastest).clamp(1, MOST_SPLITS) }
    }

    /// What the shares leave of each row: its sums, and two numbers of its softmax.
    pub(super) fn scratch_bytes(&self, op: &FlashAttnSpec, artifact: &Artifact) -> usize {
        let row = (op.head_dim + 2) * 4;
        if self.splits == 1 { 0 } else { self.blocks * self.splits * artifact.block_m as usize * row }
    }
}

/// Tiles of the longest sequence, and blocks of one share.
pub(super) fn decode_blocks(op: &FlashAttnSpec, artifact: &Artifact) -> (usize, usize) {
    let tiles = packed_rows(op).div_ceil(artifact.block_m.max(1) as usize).max(1);
    (tiles, op.sequences.saturating_mul(op.kv_heads).saturating_mul(tiles))
}

/// Tiles of rows of all sequences that a prefill needs at most: every sequence may have one that is not full.
pub(super) fn prefill_tiles(op: &FlashAttnSpec, artifact: &Artifact) -> usize {
    let rows = (artifact.block_m as usize * 64 / op.head_dim).max(1);
    let all = op.q_tokens.saturating_mul(op.q_heads / op.kv_heads.max(1)) / rows + op.sequences;
    all.min(op.sequences.saturating_mul(packed_rows(op).div_ceil(rows))).max(1)
}

/// Rows of the longest sequence: a row is a query and one of the heads that share a key head.
pub(super) fn packed_rows(op: &FlashAttnSpec) -> usize {
    op.max_q_len.saturating_mul(op.q_heads / op.kv_heads.max(1))
}
