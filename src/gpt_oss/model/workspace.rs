//! Activations and small index tensors, allocated once for the largest call and used by every layer. Nothing here is ever
//! replaced: recorded steps hold the addresses.

use super::cache::LayerCache;
use super::dims::{Dims, Rows};
use crate::backend::{Runtime, Tensor};
use crate::dtype::DType;
use crate::error::Error;
use crate::gpt_oss::moe_block::MoeBuffers;
use crate::tensor::View;

/// Rows of the head computed at once: logits are wide (201088 columns in gpt-oss).
pub(super) const HEAD_ROWS: usize = 16;

pub(super) struct Workspace<B: Runtime> {
    /// The residual stream, before and after the latest addition; `current` says which is after.
    pub x: [Tensor<B>; 2],
    pub current: usize,
    pub normed: Tensor<B>,
    /// What attention or the experts add to the residual stream.
    pub delta: Tensor<B>,
    /// Queries, keys and values of a token side by side.
    pub qkv: Tensor<B>,
    pub q_rotated: Tensor<B>,
    pub attended: Tensor<B>,
    pub moe: MoeBuffers<B>,
    /// \[at least HEAD_ROWS, vocab\].
    pub logits: Tensor<B>,
    /// i32 \[max_sequences\]: the most likely next token of each.
    pub picked: Tensor<B>,
    pub indices: Indices<B>,
    pub cache: Vec<LayerCache<B>>,
}

impl<B: Runtime> Workspace<B> {
    pub(super) fn new(backend: &B, dims: &Dims) -> Result<Self, Error> {
        let (t, act, hidden) = (dims.max_rows(), dims.activations, dims.config.hidden);
        let (q, kv) = dims.heads();
        let new = |dtype, shape: &[usize]| Tensor::empty(backend, dtype, shape);
        let wide = |width| new(dims.wide(), &[t, width]);
        let layer = |paging: &usize| LayerCache::new(backend, dims, &dims.pagings[*paging].1);
        Ok(Workspace {
            x: [wide(hidden)?, wide(hidden)?],
            current: 0,
            normed: new(act, &[t, hidden])?,
            delta: wide(hidden)?,
            qkv: wide(q + 2 * kv)?,
            q_rotated: new(act, &[t, q])?,
            attended: new(act, &[t, q])?,
            moe: MoeBuffers::new(backend, &dims.moe(t))?,
            logits: new(dims.wide(), &[HEAD_ROWS.min(t).max(dims.max_sequences), dims.config.vocab])?,
            picked: new(DType::I32, &[dims.max_sequences])?,
            indices: Indices::new(backend, dims)?,
            cache: dims.layer_paging.iter().map(layer).collect::<Result<_, _>>()?,
        })
    }
}

/// The next tokens of a sequence: where it sits, how long it is, what comes.
pub(super) struct Next<'a> {
    pub seat: usize,
    pub len: usize,
    pub tokens: &'a [u32],
}

/// What the device must know of the sequences. All but the block tables comes in one copy.
pub(super) struct Indices<B: Runtime> {
    /// i32: ids \[T\], positions \[T\], slots \[T\] of each paging, k_len \[S\], cu_seqlens_q \[S + 1\].
    all: Tensor<B>,
    /// Of each paging i32 \[max_sequences, logical pages\].
    block_tables: Vec<Tensor<B>>,
    /// Whose pages the rows of the block tables are.
    seats: Vec<usize>,
}

/// A part of [`Indices::all`].
#[derive(Clone, Copy)]
pub(super) enum Index {
    Ids,
    Positions,
    Slots(usize),
    KLen,
    CuSeqlensQ,
}

impl<B: Runtime> Indices<B> {
    fn new(backend: &B, dims: &Dims) -> Result<Self, Error> {
        let (tokens, s) = (dims.max_rows(), dims.max_sequences);
        let all = tokens * (2 + dims.pagings.len()) + 2 * s + 1;
        let table = |logical| Tensor::empty(backend, DType::I32, &[s, logical]);
        Ok(Indices {
            all: Tensor::empty(backend, DType::I32, &[all])?,
            block_tables: dims.pagings.iter().map(|(_, p)| table(p.logical)).collect::<Result<_, _>>()?,
            seats: Vec::new(),
        })
    }

    /// One of the lists of a call of this many rows.
    pub(super) fn get(&self, rows: Rows, index: Index) -> Result<View<'_, B>, Error> {
        let Rows { tokens: t, sequences: s, .. } = rows;
        let per_token = 2 + self.block_tables.len();
        let (start, len) = match index {
            Index::Ids => (0, t),
            Index::Positions => (t, t),
            Index::Slots(paging) => ((2 + paging) * t, t),
            Index::KLen => (per_token * t, s),
            Index::CuSeqlensQ => (per_token * t + s, s + 1),
        };
        self.all.view().rows(start..start + len).ok_or_else(|| Error::input("indices", "outside their tensor"))
    }

    pub(super) fn block_table(&self, paging: usize, rows: Rows) -> Result<View<'_, B>, Error> {
        let table = &self.block_tables[paging];
        let logical = table.shape().row_len();
        table.prefix(&[rows.sequences, logical])
    }

    /// Writes what comes next.
    pub(super) fn write(&mut self, backend: &B, dims: &Dims, next: &[Next<'_>]) -> Result<(), Error> {
        let positions = || next.iter().flat_map(|n| (n.len..n.len + n.tokens.len()).map(|p| (n.seat, p)));
        let mut all: Vec<usize> = next.iter().flat_map(|n| n.tokens).map(|id| *id as usize).collect();
        all.extend(positions().map(|(_, position)| position));
        for (_, paging) in &dims.pagings {
            all.extend(positions().map(|(seat, position)| paging.slot(seat, position)));
        }
        all.extend(next.iter().map(|n| n.len + n.tokens.len()));
        let mut end = 0;
        all.push(end);
        all.extend(next.iter().map(|n| {
            end += n.tokens.len();
            end
        }));
        write_i32(backend, &mut self.all, all)?;
        if self.seats.iter().copied().ne(next.iter().map(|n| n.seat)) {
            self.seats.clear();
            for ((_, paging), table) in dims.pagings.iter().zip(&mut self.block_tables) {
                let row = |seat| (0..paging.logical).map(move |logical| paging.page(seat, logical));
                write_i32(backend, table, next.iter().flat_map(|n| row(n.seat)))?;
            }
            self.seats.extend(next.iter().map(|n| n.seat));
        }
        Ok(())
    }
}

/// All values are below 2^31: they are bounded by the vocabulary, the context and the slots of a cache.
fn write_i32<B: Runtime>(
    backend: &B,
    to: &mut Tensor<B>,
    values: impl IntoIterator<Item = usize>,
) -> Result<(), Error> {
    let bytes: Vec<u8> = values.into_iter().flat_map(|v| (v as i32).to_le_bytes()).collect();
    to.write_prefix(backend, &bytes)
}
