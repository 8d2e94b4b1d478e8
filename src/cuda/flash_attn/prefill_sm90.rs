//! The prefill variants of compute capability 9.0: persistent blocks, keys and values by the copy engine.

use super::grid::packed_rows;
use crate::backend::params::flash_attn::Params;
use crate::cuda::plan::{Plan, Shape};
use crate::cuda::tensor_map::{Swizzle, TensorMap};
use crate::cuda::{Cuda, Stream};
use crate::dtype::DType;
use crate::error::Error;
use crate::op::{FlashAttnArgs, FlashAttnSpec, KvStore, PageLayout};
use crate::tensor::View;
use bytemuck::{Pod, Zeroable};
use dropless_kernels_cuda::Artifact;

/// Mirrors `PrefillParams` in flash_attn/prefill_sm90.cuh.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct PrefillParams {
    q: TensorMap,
    k: TensorMap,
    v: TensorMap,
    p: Params,
    q_mapped: u32,
    unused: [u32; 13],
}

const _: () = assert!(size_of::<PrefillParams>() == 768);

/// Rows that a decode reads the keys for once.
const FEW_ROWS: usize = 16;
/// Elements of a row of shared memory, 128 bytes.
const PART: u32 = 64;
/// `BARRIER_BYTES` and the alignment of prefill_sm90.cuh.
const BARRIER_BYTES: u32 = 512;
const ALIGNMENT: u32 = 1024;

/// A variant of this kind.
#[derive(Clone, Copy)]
pub(super) struct TmaPrefill<'a>(pub(super) &'a Artifact);

impl TmaPrefill<'_> {
    /// # Errors
    /// What the kernel does not take, in words.
    pub(super) fn legal(self, op: &FlashAttnSpec) -> Result<(), String> {
        if op.head_dim != self.0.block_k as usize {
            return Err(format!("made for a head_dim of {}, it is {}", self.0.block_k, op.head_dim));
        }
        // What a tile's rows divide by exactly.
        let group = op.q_heads / op.kv_heads.max(1);
        if group > 1 << 16 {
            return Err(format!("takes up to 2^16 query heads a key head, these are {group}"));
        }
        Ok(())
    }

    /// # Errors
    /// Why not, in words.
    pub(super) fn suits(self, op: &FlashAttnSpec) -> Result<(), String> {
        let rows = packed_rows(op);
        if rows > FEW_ROWS {
            Ok(())
        } else {
            Err(format!("made for more queries times heads of a key head than {rows}"))
        }
    }

    /// `SHARED_BYTES` of prefill_sm90.cuh.
    pub(super) fn shared_bytes(self) -> u32 {
        let Artifact { block_m, block_n, block_k, stages, .. } = *self.0;
        ALIGNMENT + 2 * block_k * (2 * block_m + 2 * stages * block_n) + BARRIER_BYTES
    }

    pub(super) fn launch(
        self,
        plan: &Plan<FlashAttnSpec>,
        p: Params,
        args: &FlashAttnArgs<'_, Cuda>,
        stream: &Stream<'_>,
    ) -> Result<(), Error> {
        let op = &plan.op;
        let mut params = PrefillParams { p, ..PrefillParams::zeroed() };
        // Rows that the copy engine does not take go through registers, and no map is read.
        if p.kv_aligned() && op.store.slots() > 0 {
            (params.k, params.v) = (self.map(op, &args.k)?, self.map(op, &args.v)?);
        }
        let group = op.q_heads / op.kv_heads.max(1);
        if p.q_aligned() && op.q_tokens > 0 && self.0.block_m.is_multiple_of(group as u32) {
            (params.q, params.q_mapped) = (self.map_of_queries(op, &args.q)?, 1);
        }
        let shape = Shape { shared: self.shared_bytes(), overlap: true, ..Shape::default() };
        plan.record_as(
            usize::from(op.q == DType::F16),
            [plan.info().units.max(1) as usize, 1, 1],
            &shape,
            stream,
            &params,
        )
    }

    /// {elements, heads of a key head, key heads, tokens}; a box is a tile: whole queries.
    fn map_of_queries(self, op: &FlashAttnSpec, q: &View<'_, Cuda>) -> Result<TensorMap, Error> {
        let (group, head) = (op.q_heads / op.kv_heads.max(1), 2 * op.head_dim);
        let dims = [op.head_dim, group, op.kv_heads, op.q_tokens];
        let strides = [head, head * group, 2 * q.info().row_stride];
        let shape_of_box = [PART, group as u32, 1, self.0.block_m / (group as u32).max(1)];
        TensorMap::new(*q.mem(), op.q, dims, strides, shape_of_box, Swizzle::Bytes128)
    }

    /// {elements, heads, tokens of a page, pages}; a box is what lies together however a block of keys and the pages meet.
    fn map(self, op: &FlashAttnSpec, of: &View<'_, Cuda>) -> Result<TensorMap, Error> {
        let (row, head) = (2 * of.info().row_stride, 2 * op.head_dim);
        let (tokens, pages, strides) = match op.store {
            KvStore::Packed { tokens } => (tokens, 1, [head, row, row]),
            KvStore::Paged { pages, page_size, layout: PageLayout::Hnd } => {
                (page_size, pages, [head * page_size, head, row])
            }
            KvStore::Paged { pages, page_size, .. } => (page_size, pages, [head, head * op.kv_heads, row]),
        };
        let keys = match op.store {
            KvStore::Packed { .. } => self.0.block_n,
            KvStore::Paged { page_size, .. } => 1 << self.0.block_n.trailing_zeros().min(page_size.trailing_zeros()),
        };
        let dims = [op.head_dim, op.kv_heads, tokens, pages];
        TensorMap::new(*of.mem(), op.kv, dims, strides, [PART, 1, keys, 1], Swizzle::Bytes128)
    }
}
