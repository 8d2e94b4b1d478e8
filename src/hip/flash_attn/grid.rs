//! How much of attention a block does: what the plan fixes from the spec's upper bounds.

use crate::op::FlashAttnSpec;
use dropless_kernels_hip::Artifact;

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

/// Rows that a wave multiplies together.
pub(super) fn wave_rows(artifact: &Artifact) -> usize {
    if artifact.variant == "mfma_prefill" { 32 } else { 16 }
}
