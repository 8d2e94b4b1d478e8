//! What attention kernels are given.

use super::kv_append::Store;
use super::{Addressed, Rows, address, pointer};
use crate::op::{FlashAttnArgs, FlashAttnSpec, KvIndex, KvStore, Lse, Mask, PageLayout};
use crate::tensor::ViewInfo;
use bytemuck::{Pod, Zeroable};
use std::f64::consts::LOG2_E;

/// Mirrors `FlashAttnParams` in flash_attn/params.cuh.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Params {
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
    scale_log2: f32,
    partial: u64,
    splits: i32,
    pub(crate) tiles: i32,
    k_page: i64,
    v_page: i64,
    k_token: u32,
    v_token: u32,
    head_bytes: u32,
    page_shift: u32,
    q_aligned: u32,
    kv_aligned: u32,
    out_aligned: u32,
    group: i32,
}

const _: () = assert!(size_of::<Params>() == 328);

/// Mirrors `ScaledParams` in flash_attn/scaled.cuh.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct ScaledParams {
    p: Params,
    k_scale: u64,
    v_scale: u64,
}

const _: () = assert!(size_of::<ScaledParams>() == 344);

impl ScaledParams {
    pub(crate) fn new<B: Addressed>(p: Params, args: &FlashAttnArgs<'_, B>) -> Self {
        ScaledParams { p, k_scale: pointer(&args.k_scale), v_scale: pointer(&args.v_scale) }
    }
}

impl Params {
    pub(crate) fn new<B: Addressed>(op: &FlashAttnSpec, args: &FlashAttnArgs<'_, B>) -> Self {
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
            window: op.mask.window().map_or(0, |w| i32::try_from(w).unwrap_or(i32::MAX).into()),
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
            group: (op.q_heads / op.kv_heads.max(1)) as i32,
            sm_scale: op.sm_scale.0 as f32,
            scale_log2: (op.sm_scale.0 * LOG2_E) as f32,
            ..Params::zeroed()
        }
    }
}

/// What only variants of cuda ask for.
#[cfg(feature = "cuda")]
impl Params {
    /// Do all rows of keys and values lie at multiples of 16 bytes?
    pub(crate) fn kv_aligned(&self) -> bool {
        self.kv_aligned != 0
    }

    /// The same of queries.
    pub(crate) fn q_aligned(&self) -> bool {
        self.q_aligned != 0
    }

    /// The same of results.
    pub(crate) fn out_aligned(&self) -> bool {
        self.out_aligned != 0
    }

    /// Is there a status word for faults?
    pub(crate) fn reports(&self) -> bool {
        self.status != 0
    }
}

/// Of the kernels that multiply on matrix units.
impl Params {
    /// In how many shares keys are taken, what of them is combined from `partial`, and how many tiles of rows there are.
    pub(crate) fn with_splits(self, partial: u64, splits: i32, tiles: i32) -> Self {
        Params { partial, splits, tiles, ..self }
    }

    /// How tensor cores find keys: by eights. `None` where a token's bytes leave 32 bits.
    pub(crate) fn with_eights<B: Addressed>(self, op: &FlashAttnSpec, args: &FlashAttnArgs<'_, B>) -> Option<Self> {
        let (bytes, heads) = (op.kv.bytes(), op.kv_heads);
        let head = bytes * op.head_dim;
        let (token, head_bytes, page_size) = match op.store {
            KvStore::Packed { .. } => (None, head, 8),
            KvStore::Paged { page_size, layout: PageLayout::Hnd, .. } => (Some(head), head * page_size, page_size),
            KvStore::Paged { page_size, .. } => (Some(heads * head), head, page_size),
        };
        let (k, v) = (args.k.info(), args.v.info());
        // A row is a token where packed, a page where not.
        let steps = |info: ViewInfo| {
            let row = bytes * info.row_stride;
            let token_bytes = u32::try_from(token.unwrap_or(row)).ok()?;
            Some((token_bytes, if token.is_some() { row as i64 } else { 8 * i64::from(token_bytes) }))
        };
        let ((k_token, k_page), (v_token, v_page)) = (steps(k)?, steps(v)?);
        let aligned =
            |mem: u64, info: ViewInfo| (mem | (info.dtype.bytes() * info.row_stride) as u64).is_multiple_of(16);
        Some(Params {
            k_page,
            v_page,
            k_token,
            v_token,
            head_bytes: u32::try_from(head_bytes).ok()?,
            page_shift: (page_size / 8).trailing_zeros(),
            q_aligned: aligned(*args.q.mem(), args.q.info()).into(),
            kv_aligned: (aligned(*args.k.mem(), k) && aligned(*args.v.mem(), v)).into(),
            out_aligned: aligned(*args.out.mem(), args.out.info()).into(),
            ..self
        })
    }
}
