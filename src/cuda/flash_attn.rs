//! Attention with sinks.

use super::kv_append::Store;
use super::params::{Rows, address};
use super::plan::{CudaOp, Plan};
use super::{Cuda, Stream};
use crate::error::Error;
use crate::op::{FlashAttnArgs, FlashAttnSpec, KvIndex, KvStore, Lse, Mask};
use crate::tensor::View;
use bytemuck::{Pod, Zeroable};

/// Mirrors `FlashAttnParams` in flash_attn/params.cuh.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Params {
    q: Rows,
    k: Rows,
    v: Rows,
    out: Rows,
    sinks: Rows,
    store: Store,
    cu_seqlens_q: u64,
    k_first: u64,
    k_len: u64,
    pages: u64,
    pages_stride: i64,
    lse: u64,
    status: u64,
    window: i64,
    sequences: i32,
    q_tokens: i32,
    max_q_len: i32,
    max_k_len: i32,
    q_heads: i32,
    page_limit: i32,
    page_count: i32,
    index: u32,
    causal: u32,
    lse_kind: u32,
    sm_scale: f32,
    unused: u32,
}

const _: () = assert!(size_of::<Params>() == 264);

impl Params {
    fn new(op: &FlashAttnSpec, args: &FlashAttnArgs<'_, Cuda>) -> Self {
        let pointer = |view: &Option<View<'_, Cuda>>| view.as_ref().map_or(0, |v| *v.mem());
        let (index, k_first, k_len, pages, page_limit) = match op.index {
            KvIndex::CuSeqlens => (0, &args.cu_seqlens_k, &None, &None, 0),
            KvIndex::StartLen => (1, &args.k_start, &args.k_len, &None, 0),
            KvIndex::BlockTable { max_pages } => (2, &None, &args.k_len, &args.block_table, max_pages),
            KvIndex::Indptr { entries } => (3, &args.kv_indptr, &args.kv_last_page_len, &args.kv_indices, entries),
        };
        let page_count = match op.store {
            KvStore::Packed { .. } => 0,
            KvStore::Paged { pages, .. } => pages,
        };
        Params {
            q: Rows::input(&args.q),
            k: Rows::input(&args.k),
            v: Rows::input(&args.v),
            out: Rows::output(&args.out),
            sinks: Rows::optional_input(&args.sinks),
            store: Store::new(&op.store, op.kv_heads, op.head_dim),
            cu_seqlens_q: *args.cu_seqlens_q.mem(),
            k_first: pointer(k_first),
            k_len: pointer(k_len),
            pages: pointer(pages),
            pages_stride: pages.as_ref().map_or(0, |v| v.info().row_stride as i64),
            lse: address(&args.lse),
            status: address(&args.status),
            window: op.mask.window().map_or(0, |w| i64::try_from(w).unwrap_or(i64::MAX)),
            sequences: op.sequences as i32,
            q_tokens: op.q_tokens as i32,
            max_q_len: op.max_q_len as i32,
            max_k_len: op.max_k_len as i32,
            q_heads: op.q_heads as i32,
            page_limit: page_limit.min(i32::MAX as usize) as i32,
            page_count: page_count as i32,
            index,
            causal: (op.mask != Mask::Bidirectional).into(),
            lse_kind: match op.lse {
                Lse::None => 0,
                Lse::WithSink => 1,
                Lse::WithoutSink => 2,
            },
            sm_scale: op.sm_scale.0 as f32,
            unused: 0,
        }
    }
}

impl CudaOp for FlashAttnSpec {
    fn limits(&self) -> Result<(), String> {
        match i32::try_from(self.q_heads) {
            Ok(_) => Ok(()),
            Err(_) => Err(format!("{} query heads are more than 2^31 - 1", self.q_heads)),
        }
    }

    fn launch(plan: &Plan<Self>, args: FlashAttnArgs<'_, Cuda>, _: u64, stream: &Stream<'_>) -> Result<(), Error> {
        let op = &plan.op;
        // Without a query there still are lengths to check.
        let blocks = op.q_tokens.saturating_mul(op.q_heads).max(1);
        plan.record(0, [blocks, 1, 1], stream, &Params::new(op, &args))
    }
}
