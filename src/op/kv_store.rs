//! Where keys and values live: contiguous rows, or pages in one of the three layouts in use.

use super::{need, need_count};
use crate::error::SpecError;

/// Layout of a key cache and a value cache. A *slot* is the place of one token: a row, or `page * page_size + offset`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum KvStore {
    /// \[tokens, kv_heads, head_dim\] each.
    Packed {
        /// Rows, over all sequences.
        tokens: usize,
    },
    /// Pages of `page_size` tokens.
    Paged {
        /// Pages in the cache.
        pages: usize,
        /// Tokens a page. Matrix units take powers of two from 8 on, plain kernels any number, slowly.
        page_size: usize,
        /// Order of the dimensions inside a page.
        layout: PageLayout,
    },
}

/// Order of the dimensions of a paged cache.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PageLayout {
    /// \[pages, page_size, kv_heads, head_dim\] (FlashInfer's and FlashAttention's default).
    Nhd,
    /// \[pages, kv_heads, page_size, head_dim\].
    Hnd,
    /// vLLM's: keys \[pages, kv_heads, head_dim / x, page_size, x\], values \[pages, kv_heads, head_dim, page_size\].
    XSplit {
        /// Elements kept together: 16 bytes' worth in vLLM.
        x: usize,
    },
}

impl KvStore {
    /// Slots in all.
    pub fn slots(&self) -> usize {
        match *self {
            KvStore::Packed { tokens } => tokens,
            KvStore::Paged { pages, page_size, .. } => pages.saturating_mul(page_size),
        }
    }

    /// Dimensions of the key cache and of the value cache.
    pub fn shapes(&self, heads: usize, dim: usize) -> (Vec<usize>, Vec<usize>) {
        match *self {
            KvStore::Packed { tokens } => (vec![tokens, heads, dim], vec![tokens, heads, dim]),
            KvStore::Paged { pages, page_size, layout } => match layout {
                PageLayout::Nhd => (vec![pages, page_size, heads, dim], vec![pages, page_size, heads, dim]),
                PageLayout::Hnd => (vec![pages, heads, page_size, dim], vec![pages, heads, page_size, dim]),
                PageLayout::XSplit { x } => {
                    (vec![pages, heads, dim / x.max(1), page_size, x], vec![pages, heads, dim, page_size])
                }
            },
        }
    }

    /// Row (first dimension) of `slot`, and the offset of element `d` of `head` inside that row of the key cache.
    pub fn key_at(&self, slot: usize, head: usize, d: usize, heads: usize, dim: usize) -> (usize, usize) {
        match *self {
            KvStore::Packed { .. } => (slot, head * dim + d),
            KvStore::Paged { page_size, layout, .. } => {
                let (page, n) = (slot / page_size, slot % page_size);
                let within = match layout {
                    PageLayout::Nhd => (n * heads + head) * dim + d,
                    PageLayout::Hnd => (head * page_size + n) * dim + d,
                    PageLayout::XSplit { x } => ((head * (dim / x) + d / x) * page_size + n) * x + d % x,
                };
                (page, within)
            }
        }
    }

    /// As [`KvStore::key_at`], for the value cache.
    pub fn value_at(&self, slot: usize, head: usize, d: usize, heads: usize, dim: usize) -> (usize, usize) {
        match *self {
            KvStore::Paged { page_size, layout: PageLayout::XSplit { .. }, .. } => {
                (slot / page_size, (head * dim + d) * page_size + slot % page_size)
            }
            _ => self.key_at(slot, head, d, heads, dim),
        }
    }

    pub(super) fn check(&self, op: &'static str, dim: usize) -> Result<(), SpecError> {
        if let KvStore::Paged { pages, page_size, layout } = *self {
            need_count(op, "pages", pages, 0)?;
            need_count(op, "page_size", page_size, 1)?;
            if let PageLayout::XSplit { x } = layout {
                need(op, "x", x > 0 && dim.is_multiple_of(x), format!("a divisor of head_dim {dim}"), x)?;
            }
        }
        need_count(op, "slots", self.slots(), 0)
    }
}
