//! Keys and values in any store, found by any index.

use super::Cpu;
use super::faults::Faults;
use super::real::Real;
use super::rows::{Rows, ints, optional_ints};
use crate::mutation::{Rule, wrong};
use crate::op::{Fault, FlashAttnArgs, FlashAttnSpec, KvIndex, KvStore, PageLayout};
use std::ops::Range;

/// Elements of a head that lie side by side: of a key, of a value.
pub(super) fn runs(store: KvStore, dim: usize) -> (usize, usize) {
    match store {
        KvStore::Paged { layout: PageLayout::XSplit { x }, .. } => (x, 1),
        _ => (dim, dim),
    }
}

/// A sequence: its rows of q, and its keys.
pub(super) struct Sequence {
    pub(super) q: Range<usize>,
    pub(super) k_len: usize,
    keys: Keys,
}

/// Where a sequence's keys begin.
enum Keys {
    /// Row of the store.
    Packed(usize),
    /// Row of the block table.
    Table(usize),
    /// Entry of `kv_indices`.
    Indices(usize),
}

/// All sequences, lengths and offsets clamped to what is there.
pub(super) fn sequences(op: &FlashAttnSpec, args: &FlashAttnArgs<'_, Cpu>, faults: &Faults) -> Vec<Sequence> {
    let (cu_q, k_len) = (faults.offsets(&ints(&args.cu_seqlens_q), op.q_tokens), optional_ints(&args.k_len));
    let length = |len: i64, most: usize| faults.clamp(len, 0, most.min(op.max_k_len), Fault::Length);
    let (page_size, slots) = (page_size(op.store), op.store.slots());
    let keys: Vec<(Keys, usize)> = match op.index {
        KvIndex::CuSeqlens => {
            let cu = faults.offsets(&optional_ints(&args.cu_seqlens_k), slots);
            cu.windows(2).map(|w| (Keys::Packed(w[0]), length((w[1] - w[0]) as i64, slots))).collect()
        }
        KvIndex::StartLen => {
            let one = |(start, len): (i32, &i32)| {
                let start = faults.clamp(start.into(), 0, slots, Fault::Offsets);
                (Keys::Packed(start), length((*len).into(), slots - start))
            };
            optional_ints(&args.k_start).into_iter().zip(&k_len).map(one).collect()
        }
        KvIndex::BlockTable { max_pages } => {
            let most = max_pages.saturating_mul(page_size);
            k_len.iter().enumerate().map(|(s, len)| (Keys::Table(s), length((*len).into(), most))).collect()
        }
        KvIndex::Indptr { entries } => {
            let indptr = faults.offsets(&optional_ints(&args.kv_indptr), entries);
            let one = |(w, last): (&[usize], i32)| match w[1] - w[0] {
                0 => (Keys::Indices(w[0]), 0),
                pages => {
                    let last = faults.clamp(last.into(), 1, page_size, Fault::Length);
                    (Keys::Indices(w[0]), length(((pages - 1) * page_size + last) as i64, usize::MAX))
                }
            };
            indptr.windows(2).zip(optional_ints(&args.kv_last_page_len)).map(one).collect()
        }
    };
    let one = |(w, (keys, k_len)): (&[usize], (Keys, usize))| {
        let q_len = faults.clamp((w[1] - w[0]) as i64, 0, op.max_q_len, Fault::Length);
        Sequence { q: w[0]..w[0] + q_len, k_len, keys }
    };
    cu_q.windows(2).zip(keys).map(one).collect()
}

/// Tokens a page; 1 in a packed store, where a row is its own page.
pub(super) fn page_size(store: KvStore) -> usize {
    match store {
        KvStore::Packed { .. } => 1,
        KvStore::Paged { page_size, .. } => page_size,
    }
}

/// The caches and the tables that lead into them.
pub(super) struct Cache<'a> {
    store: KvStore,
    heads: usize,
    dim: usize,
    k: Rows<'a>,
    v: Rows<'a>,
    k_scale: Option<Rows<'a>>,
    v_scale: Option<Rows<'a>>,
    block_table: Option<Rows<'a>>,
    kv_indices: Option<Rows<'a>>,
}

impl<'a> Cache<'a> {
    pub(super) fn new(op: &FlashAttnSpec, args: &FlashAttnArgs<'a, Cpu>) -> Self {
        Cache {
            store: if wrong(Rule::PageAxesSwapped) { axes_swapped(op.store) } else { op.store },
            heads: op.kv_heads,
            dim: op.head_dim,
            k: Rows::new(&args.k),
            v: Rows::new(&args.v),
            k_scale: args.k_scale.as_ref().map(Rows::new),
            v_scale: args.v_scale.as_ref().map(Rows::new),
            block_table: args.block_table.as_ref().map(Rows::new),
            kv_indices: args.kv_indices.as_ref().map(Rows::new),
        }
    }

    /// Slot of key `j`; none where its page is not in the cache.
    pub(super) fn slot(&self, keys: &Sequence, j: usize, faults: &Faults) -> Option<usize> {
        let KvStore::Paged { pages, page_size, .. } = self.store else {
            let Keys::Packed(start) = keys.keys else { return None };
            return Some(start + j);
        };
        let (nth, offset) = (j / page_size, j % page_size);
        let page = match keys.keys {
            _ if wrong(Rule::BlockTableIgnored) => i32::try_from(nth).unwrap_or(-1),
            Keys::Packed(_) => return None,
            Keys::Table(s) => self.block_table?.int(s, nth),
            Keys::Indices(first) => self.kv_indices?.int(0, first + nth),
        };
        Some(faults.index(page, pages, Fault::Page)? * page_size + offset)
    }

    /// A head's key in a slot.
    pub(super) fn key<R: Real>(&self, slot: usize, head: usize, out: &mut [R]) {
        let run = runs(self.store, self.dim).0;
        for (i, out) in out.chunks_exact_mut(run).enumerate() {
            let (row, at) = self.store.key_at(slot, head, i * run, self.heads, self.dim);
            self.k.read(row, at, out);
        }
        multiply(out, self.k_scale, head);
    }

    /// A head's value in a slot.
    pub(super) fn value<R: Real>(&self, slot: usize, head: usize, out: &mut [R]) {
        let run = runs(self.store, self.dim).1;
        for (i, out) in out.chunks_exact_mut(run).enumerate() {
            let (row, at) = self.store.value_at(slot, head, i * run, self.heads, self.dim);
            self.v.read(row, at, out);
        }
        multiply(out, self.v_scale, head);
    }
}

/// By the scale of a head, where there are any.
fn multiply<R: Real>(x: &mut [R], scales: Option<Rows<'_>>, head: usize) {
    if let Some(scales) = scales {
        let mut scale = [R::zero()];
        scales.read(0, head, &mut scale);
        x.iter_mut().for_each(|x| *x = *x * scale[0]);
    }
}

fn axes_swapped(store: KvStore) -> KvStore {
    match store {
        KvStore::Paged { pages, page_size, layout: PageLayout::Nhd } => {
            KvStore::Paged { pages, page_size, layout: PageLayout::Hnd }
        }
        KvStore::Paged { pages, page_size, layout: PageLayout::Hnd } => {
            KvStore::Paged { pages, page_size, layout: PageLayout::Nhd }
        }
        other => other,
    }
}
