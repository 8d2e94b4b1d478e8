//! Rows of a table by token id: a block a row.

use super::params::{Rows, address};
use super::plan::{CudaOp, Plan};
use super::{Cuda, Stream};
use crate::error::Error;
use crate::op::{EmbeddingArgs, EmbeddingSpec};
use bytemuck::{Pod, Zeroable};

/// Mirrors `EmbeddingParams` in embedding/params.cuh.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Params {
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

impl CudaOp for EmbeddingSpec {
    fn launch(plan: &Plan<Self>, args: EmbeddingArgs<'_, Cuda>, _: u64, stream: &Stream<'_>) -> Result<(), Error> {
        let op = &plan.op;
        let params = Params {
            table: Rows::input(&args.table),
            y: Rows::output(&args.y),
            ids: *args.ids.mem(),
            status: address(&args.status),
            tokens: op.tokens as i64,
            dim: op.dim as i64,
            vocab: op.vocab as i32,
            unused: 0,
        };
        plan.record(0, [op.tokens, 1, 1], stream, &params)
    }
}
