//! What kv_append is given.

use super::rope::Rotation;
use super::{Addressed, Rows, address, pointer};
use crate::dtype::DType;
use crate::op::{KvAppendArgs, KvAppendSpec, KvStore, PageLayout};
use bytemuck::{Pod, Zeroable};

/// Mirrors `KvStore` in include/kv_store.cuh.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Store {
    slots: i64,
    layout: u32,
    page_size: i32,
    x: i32,
    heads: i32,
    dim: i32,
    unused: u32,
}

const _: () = assert!(size_of::<Store>() == 32);

impl Store {
    pub(crate) fn new(store: &KvStore, heads: usize, dim: usize) -> Self {
        let (layout, page_size, x) = match *store {
            KvStore::Packed { .. } => (0, 1, 1),
            KvStore::Paged { page_size, layout: PageLayout::Nhd, .. } => (1, page_size, 1),
            KvStore::Paged { page_size, layout: PageLayout::Hnd, .. } => (2, page_size, 1),
            KvStore::Paged { page_size, layout: PageLayout::XSplit { x }, .. } => (3, page_size, x),
        };
        let (page_size, x, heads, dim) = (page_size as i32, x as i32, heads as i32, dim as i32);
        Store { slots: store.slots() as i64, layout, page_size, x, heads, dim, unused: 0 }
    }
}

/// Mirrors `KvAppendParams` in kv_append/params.cuh.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Params {
    k: Rows,
    v: Rows,
    q: Rows,
    k_cache: Rows,
    v_cache: Rows,
    q_out: Rows,
    rotation: Rotation,
    store: Store,
    positions: u64,
    slots: u64,
    status: u64,
    tokens: i64,
    q_heads: i32,
    unused: u32,
}

const _: () = assert!(size_of::<Params>() == 248);

impl Params {
    pub(crate) fn new<B: Addressed>(op: &KvAppendSpec, args: &KvAppendArgs<'_, B>) -> Self {
        Params {
            k: Rows::input(&args.k),
            v: Rows::input(&args.v),
            q: Rows::optional_input(&args.q),
            k_cache: Rows::output(&args.k_cache),
            v_cache: Rows::output(&args.v_cache),
            q_out: Rows::optional_output(&args.q_out),
            rotation: Rotation::new(&args.cos, &args.sin, op.positions, op.head_dim, op.pairing),
            store: Store::new(&op.store, op.kv_heads, op.head_dim),
            positions: *args.positions.mem(),
            slots: *args.slots.mem(),
            status: address(&args.status),
            tokens: op.tokens as i64,
            q_heads: op.q_heads as i32,
            unused: 0,
        }
    }
}

/// Mirrors `ScaledParams` in kv_append/scaled.cu.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct ScaledParams {
    p: Params,
    k_scale: u64,
    v_scale: u64,
    e4m3: u32,
    unused: u32,
}

const _: () = assert!(size_of::<ScaledParams>() == 272);

impl ScaledParams {
    pub(crate) fn new<B: Addressed>(p: Params, op: &KvAppendSpec, args: &KvAppendArgs<'_, B>) -> Self {
        let (k_scale, v_scale) = (pointer(&args.k_scale), pointer(&args.v_scale));
        ScaledParams { p, k_scale, v_scale, e4m3: (op.cache == DType::F8E4m3).into(), unused: 0 }
    }
}
