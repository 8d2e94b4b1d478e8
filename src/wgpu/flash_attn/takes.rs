//! Which variants take an attention, and which of them suit it.

use crate::dtype::DType;
use crate::op::{FlashAttnSpec, KvIndex, KvStore, PageLayout};
use dropless_kernels_wgsl::Artifact;

/// Sequences that every workgroup may go through.
const MOST_FEW: usize = 8;
/// Workgroups that keep a large GPU busy without sharing keys.
const ENOUGH_GROUPS: usize = 1024;

/// Can a variant run it at all?
pub(super) fn legal(op: &FlashAttnSpec, artifact: &Artifact) -> Result<(), String> {
    match artifact.variant {
        "few" => few(op),
        "decode_few" => few(op).and_then(|()| whole_fours(op)),
        "decode" => whole_fours(op),
        "coop" | "coop8" => halves(op),
        _ => Ok(()),
    }
}

/// Sequences that are few, and found by few operands.
fn few(op: &FlashAttnSpec) -> Result<(), String> {
    if op.sequences > MOST_FEW {
        return Err(format!("takes up to {MOST_FEW} sequences, these are {}", op.sequences));
    }
    match (op.index, op.kv_scales) {
        _ if op.q_tokens == 0 => Err("without queries nothing would look at the lengths".into()),
        (_, true) => Err("with scales of keys and values it would bind too much".into()),
        (KvIndex::BlockTable { .. } | KvIndex::StartLen, _) => Ok(()),
        _ => Err("takes keys by a block table, or by start and length".into()),
    }
}

/// Four elements are read at once, wherever there are some.
fn whole_fours(op: &FlashAttnSpec) -> Result<(), String> {
    match op.store {
        _ if op.head_dim != 64 => Err(format!("made for heads of 64 elements, these have {}", op.head_dim)),
        KvStore::Paged { layout: PageLayout::XSplit { .. }, .. } => Err("values are a page apart".into()),
        KvStore::Paged { pages: 0, .. } => Err("without pages there is nothing to read".into()),
        _ => Ok(()),
    }
}

/// Cooperative matrices are for heads of one width, and of numbers that f16 holds.
fn halves(op: &FlashAttnSpec) -> Result<(), String> {
    if op.head_dim != 64 {
        return Err(format!("made for heads of 64 elements, these have {}", op.head_dim));
    }
    if matches!(op.store, KvStore::Paged { pages: 0, .. }) {
        return Err("without pages there is nothing to read".into());
    }
    match [("q", op.q), ("k", op.kv)].into_iter().find(|(_, dtype)| *dtype == DType::F32) {
        Some((name, _)) => Err(format!("`{name}` is f32, which f16 does not hold")),
        None => Ok(()),
    }
}

/// Where `groups` workgroups keep a device busy without sharing keys, putting parts together only costs.
pub(super) fn suits(op: &FlashAttnSpec, artifact: &Artifact, groups: usize) -> Result<(), String> {
    match (artifact.variant, op.splits) {
        ("coop8", _) => Err("not chosen: no device has shown its results right yet".into()),
        ("few" | "split" | "decode_few" | "decode", Some(1)) => {
            Err("the spec wants a sequence's keys in one share".into())
        }
        ("few" | "split" | "decode_few" | "decode", None) if groups > ENOUGH_GROUPS => {
            Err(format!("made for up to {ENOUGH_GROUPS} workgroups, these are {groups} without it"))
        }
        _ => Ok(()),
    }
}
