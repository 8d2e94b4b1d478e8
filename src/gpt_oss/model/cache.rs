//! The keys and values of all sequences, in pages.
//!
//! Every layer uses the same paged kernels, and one call of them serves sequences of any lengths. For each sequence a full
//! layer has a page for every position of the longest context. A sliding layer has a ring of R pages: logical page p lives in page p mod R, so a position that left the window gives its place to
//! a new one. Its block table is as long as a full layer's; entries of pages that were recycled point at newer keys, which
//! is harmless because the window never looks that far back.

use super::dims::Dims;
use crate::backend::{Runtime, Tensor};
use crate::error::Error;
use crate::op::{KvStore, PageLayout};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Tokens a page.
pub(super) const PAGE_SIZE: usize = 32;

/// How the layers of one window keep their keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Paging {
    /// Pages of a sequence.
    pages: usize,
    /// Pages that its positions are numbered by: entries of the block table.
    pub logical: usize,
    /// Sequences.
    seats: usize,
}

impl Paging {
    /// For a window of so many keys (0: all), a context of at most `max_context`, and at most `max_chunk` new tokens at once.
    pub(super) fn new(window: usize, max_context: usize, max_chunk: usize, seats: usize) -> Self {
        let logical = max_context.div_ceil(PAGE_SIZE);
        // The first new token sees window - 1 keys before it, and both ends may stand in the middle of a page.
        let ring = (window + max_chunk + PAGE_SIZE).div_ceil(PAGE_SIZE);
        Paging { pages: if window > 0 { ring.min(logical) } else { logical }, logical, seats }
    }

    pub(super) fn store(&self) -> KvStore {
        let pages = self.pages.saturating_mul(self.seats);
        KvStore::Paged { pages, page_size: PAGE_SIZE, layout: PageLayout::Nhd }
    }

    /// Place of the key at a position of the sequence in a seat.
    pub(super) fn slot(&self, seat: usize, position: usize) -> usize {
        self.page(seat, position / PAGE_SIZE) * PAGE_SIZE + position % PAGE_SIZE
    }

    /// The page that holds a logical one.
    pub(super) fn page(&self, seat: usize, logical: usize) -> usize {
        seat * self.pages + logical % self.pages
    }
}

/// Keys and values of a layer, of all sequences: each has a share of the pages, its *seat*.
pub(super) struct LayerCache<B: Runtime> {
    pub k: Tensor<B>,
    pub v: Tensor<B>,
}

impl<B: Runtime> LayerCache<B> {
    pub(super) fn new(backend: &B, dims: &Dims, paging: &Paging) -> Result<Self, Error> {
        let (k, v) = paging.store().shapes(dims.config.kv_heads, dims.config.head_dim);
        Ok(LayerCache { k: Tensor::empty(backend, dims.cache, &k)?, v: Tensor::empty(backend, dims.cache, &v)? })
    }
}

/// The seats that are free.
pub(super) struct Seats {
    free: Mutex<Vec<usize>>,
    count: usize,
}

impl Seats {
    pub(super) fn new(count: usize) -> Self {
        Seats { free: Mutex::new((0..count).rev().collect()), count }
    }

    fn free(&self) -> MutexGuard<'_, Vec<usize>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One sequence: how long it is, and its place in the model's cache, which it gives back when it is dropped.
pub struct Session {
    pub(super) len: usize,
    pub(super) seat: usize,
    seats: Arc<Seats>,
}

impl Session {
    pub(super) fn new(seats: &Arc<Seats>) -> Result<Self, Error> {
        let seat = seats.free().pop().ok_or_else(|| {
            let problem = format!("the model's cache holds {} at a time (max_sequences)", seats.count);
            Error::input("session", problem)
        })?;
        Ok(Session { len: 0, seat, seats: seats.clone() })
    }

    pub(super) fn is_of(&self, seats: &Arc<Seats>) -> bool {
        Arc::ptr_eq(&self.seats, seats)
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

impl Drop for Session {
    fn drop(&mut self) {
        self.seats.free().push(self.seat);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever is in the window of a chunk's tokens is still where it was written, whoever wrote beside it.
    #[test]
    fn the_ring_keeps_the_window() {
        for (window, chunk) in [(1, 1), (8, 1), (8, 32), (33, 31), (128, 7), (128, 128)] {
            let paging = Paging::new(window, 4096, chunk, 3);
            let mut holds = vec![(usize::MAX, usize::MAX); paging.store().slots()];
            for start in (0..1024).step_by(chunk) {
                for seat in 0..3 {
                    for position in start..start + chunk {
                        holds[paging.slot(seat, position)] = (seat, position);
                    }
                }
                for seat in 0..3 {
                    for key in (start + 1).saturating_sub(window)..start + chunk {
                        let held = holds[paging.slot(seat, key)];
                        assert_eq!(held, (seat, key), "window {window}, chunk {chunk}");
                    }
                }
            }
        }
    }
}
