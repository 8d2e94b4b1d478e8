//! What embedding is given.

use super::{Addressed, Rows, address};
use crate::op::{EmbeddingArgs, EmbeddingSpec};
use bytemuck::{Pod, Zeroable};

/// Mirrors `EmbeddingParams` in embedding/params.cuh.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Params {
    table: Rows,
    y: Rows,
    ids: u64,
    status: u64,
    tokens: i64,
    dim: i64,
    vocab: i32,
    unused: u32,
}

const _: () = assert!(size_of::<Params>() == 88);

impl Params {
    pub(crate) fn new<B: Addressed>(op: &EmbeddingSpec, args: &EmbeddingArgs<'_, B>) -> Self {
        Params {
            table: Rows::input(&args.table),
            y: Rows::output(&args.y),
            ids: *args.ids.mem(),
            status: address(&args.status),
            tokens: op.tokens as i64,
            dim: op.dim as i64,
            vocab: op.vocab as i32,
            unused: 0,
        }
    }
}
