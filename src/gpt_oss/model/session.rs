//! The keys and values of one sequence, in pages.
//!
//! Every layer uses the same paged kernels. A full layer has a page for every position of the longest context. A sliding
//! layer has a ring of R pages: logical page p lives in page p mod R, so a position that left the window gives its place to
//! a new one. Its block table is as long as a full layer's; entries of pages that were recycled point at newer keys, which
//! is harmless because the window never looks that far back.

use super::dims::Dims;
use crate::backend::{Runtime, Tensor};
use crate::dtype::DType;
use crate::error::Error;
use crate::op::{KvStore, PageLayout};

/// Tokens a page.
pub(super) const PAGE_SIZE: usize = 32;

/// How the layers of one window keep their keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Paging {
    /// Pages that exist.
    pub pages: usize,
    /// Pages that positions are numbered by: entries of the block table.
    pub logical: usize,
}

impl Paging {
    /// For a window of so many keys (0: all), a context of at most `max_context`, and at most `max_chunk` new tokens at once.
    pub(super) fn new(window: usize, max_context: usize, max_chunk: usize) -> Self {
        let logical = max_context.div_ceil(PAGE_SIZE);
        // The first new token sees window - 1 keys before it, and both ends may stand in the middle of a page.
        let ring = (window + max_chunk + PAGE_SIZE).div_ceil(PAGE_SIZE);
        Paging { pages: if window > 0 { ring.min(logical) } else { logical }, logical }
    }

    pub(super) fn store(&self) -> KvStore {
        KvStore::Paged { pages: self.pages, page_size: PAGE_SIZE, layout: PageLayout::Nhd }
    }

    /// Place of the key at a position.
    pub(super) fn slot(&self, position: usize) -> usize {
        position / PAGE_SIZE % self.pages * PAGE_SIZE + position % PAGE_SIZE
    }

    fn block_table(&self) -> Vec<u8> {
        (0..self.logical).flat_map(|p| ((p % self.pages) as i32).to_le_bytes()).collect()
    }
}

/// Keys and values of a layer.
pub(super) struct LayerCache<B: Runtime> {
    pub k: Tensor<B>,
    pub v: Tensor<B>,
}

/// One sequence: how long it is, and its keys and values in every layer.
pub struct Session<B: Runtime> {
    pub(super) len: usize,
    pub(super) layers: Vec<LayerCache<B>>,
    /// i32 \[1, logical pages\] of each paging of the model.
    pub(super) block_tables: Vec<Tensor<B>>,
}

impl<B: Runtime> Session<B> {
    pub(super) fn new(backend: &B, dims: &Dims) -> Result<Self, Error> {
        let mut block_tables = Vec::with_capacity(dims.pagings.len());
        for (_, paging) in &dims.pagings {
            block_tables.push(Tensor::from_bytes(backend, DType::I32, &[1, paging.logical], &paging.block_table())?);
        }
        let mut layers = Vec::with_capacity(dims.layer_paging.len());
        for kind in &dims.layer_paging {
            let (k, v) = dims.pagings[*kind].1.store().shapes(dims.config.kv_heads, dims.config.head_dim);
            layers.push(LayerCache {
                k: Tensor::empty(backend, dims.activations, &k)?,
                v: Tensor::empty(backend, dims.activations, &v)?,
            });
        }
        Ok(Session { len: 0, layers, block_tables })
    }

    /// Tokens the sequence has.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True before the first token.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever is in the window of a chunk's tokens is still where it was written.
    #[test]
    fn the_ring_keeps_the_window() {
        for (window, chunk) in [(1, 1), (8, 1), (8, 32), (33, 31), (128, 7), (128, 128)] {
            let paging = Paging::new(window, 4096, chunk);
            let mut holds = vec![usize::MAX; paging.pages * PAGE_SIZE];
            for start in (0..1024).step_by(chunk) {
                for position in start..start + chunk {
                    holds[paging.slot(position)] = position;
                }
                for key in (start + 1).saturating_sub(window)..start + chunk {
                    assert_eq!(holds[paging.slot(key)], key, "window {window}, chunk {chunk}");
                }
            }
        }
    }
}
