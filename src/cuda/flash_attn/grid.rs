//! How much of attention a block does: what the plan fixes from the spec's upper bounds.

use crate::backend::DeviceInfo;
use crate::op::FlashAttnSpec;
use dropless_kernels_cuda::Artifact;

/// Most shares that are asked for: what they leave is combined one after the other.
const MOST_SPLITS: usize = 64;

/// The grid of a decode: a block takes `rows` query rows (a row being a query and one of the heads that share a key head)
/// and one of `splits` shares of the keys they see.
pub(super) struct Decode {
    pub(super) rows: usize,
    pub(super) tiles: usize,
    pub(super) splits: usize,
}

impl Decode {
    pub(super) fn new(op: &FlashAttnSpec, artifact: &Artifact, device: &DeviceInfo) -> Self {
        let (rows, tiles) = decode_tiles(op, artifact);
        // Two blocks a multiprocessor fill the device; a warp should still have some keys to read.
        let seen = op.mask.window().map_or(op.max_k_len, |w| op.max_k_len.min(w.saturating_add(op.max_q_len)));
        let keys = (artifact.block_n * artifact.warps).max(1) as usize;
        let items = decode_blocks(op, artifact).max(1);
        let fastest = (2 * device.units as usize).div_ceil(items).clamp(1, seen.div_ceil(keys).max(1));
        let splits = op.splits.map_or(fastest, |n| n.clamp(1, MOST_SPLITS));
        Decode { rows, tiles, splits }
    }

    pub(super) fn scratch_bytes(&self, op: &FlashAttnSpec, artifact: &Artifact) -> usize {
        let row = (op.head_dim + 2) * 4;
        if self.splits == 1 { 0 } else { decode_blocks(op, artifact) * self.splits * self.rows * row }
    }
}

/// Rows of a tile, and tiles of the longest sequence.
fn decode_tiles(op: &FlashAttnSpec, artifact: &Artifact) -> (usize, usize) {
    let (all, most) = (packed_rows(op), artifact.block_m.max(2) as usize);
    let rows = if all <= most / 2 { most / 2 } else { most };
    (rows, all.div_ceil(rows).max(1))
}

/// Rows of a decode's tile.
pub(super) fn decode_rows(op: &FlashAttnSpec, artifact: &Artifact) -> usize {
    decode_tiles(op, artifact).0
}

/// Blocks of one split of a decode.
pub(super) fn decode_blocks(op: &FlashAttnSpec, artifact: &Artifact) -> usize {
    op.sequences.saturating_mul(op.kv_heads).saturating_mul(decode_tiles(op, artifact).1)
}

/// Tiles of rows of all sequences that a prefill needs at most: every sequence may have one that is not full.
pub(super) fn prefill_tiles(op: &FlashAttnSpec, artifact: &Artifact) -> usize {
    let rows = prefill_rows(op, artifact);
    let all = op.q_tokens.saturating_mul(op.q_heads / op.kv_heads.max(1)) / rows + op.sequences;
    all.min(op.sequences.saturating_mul(packed_rows(op).div_ceil(rows))).max(1)
}

/// Rows of a prefill's tile. Sums of 128 elements leave a warp room for half the rows, of which it has 16 at least.
fn prefill_rows(op: &FlashAttnSpec, artifact: &Artifact) -> usize {
    let (rows, least) = (artifact.block_m as usize, 16 * artifact.warps as usize);
    if op.head_dim == 64 || rows < 2 * least { rows.max(1) } else { rows / 2 }
}

/// Shared memory of a prefill: its ring of keys and values.
pub(super) fn prefill_shared_bytes(op: &FlashAttnSpec, artifact: &Artifact) -> u32 {
    artifact.stages * 2 * artifact.block_n * op.head_dim as u32 * 2
}

/// Rows of the longest sequence.
pub(super) fn packed_rows(op: &FlashAttnSpec) -> usize {
    op.max_q_len.saturating_mul(op.q_heads / op.kv_heads.max(1))
}
