//! The prefill variants of compute capability 9.0: persistent blocks, keys and values by the copy engine. Those for short windows
//! have all keys of a tile in shared memory together.

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

/// Mirrors `PrefillParams` in flash_attn/job_sm90.cuh.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct PrefillParams {
    q: TensorMap,
    k: TensorMap,
    v: TensorMap,
    out: TensorMap,
    p: Params,
    q_mapped: u32,
    out_mapped: u32,
    unused: [u32; 12],
}

const _: () = assert!(size_of::<PrefillParams>() == 896);

/// Rows that a decode reads the keys for once.
const FEW_ROWS: usize = 16;
/// Elements of a row of shared memory, 128 bytes.
const PART: u32 = 64;
/// `BARRIER_BYTES` and the alignment of prefill_sm90.cuh and window_sm90.cuh.
const BARRIER_BYTES: u32 = 512;
const ALIGNMENT: u32 = 1024;
/// Query rows of a warpgroup.
const GROUP_ROWS: u32 = 64;
/// Neighbouring keys of a page that a window's tile is made of.
const EIGHT: usize = 8;

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
        if op.out != op.q {
            return Err(format!("writes the type of `q`, {}, not {}", op.q, op.out));
        }
        if self.is_for_windows() { self.window_fits(op, group.max(1)) } else { Ok(()) }
    }

    fn is_for_windows(self) -> bool {
        self.0.entries.contains(&c"window_bf16")
    }

    /// `KEYS` of window_sm90.cuh: warpgroups with 8 queries each begin 8 keys apart.
    fn window_keys(self) -> u32 {
        self.0.block_n + EIGHT as u32 * (self.0.block_m / GROUP_ROWS).saturating_sub(1)
    }

    /// Are there as many keys as a warpgroup sees, and as a tile does?
    fn window_fits(self, op: &FlashAttnSpec, group: usize) -> Result<(), String> {
        let Some(window) = op.mask.window() else { return Err("made for sliding windows, this mask has none".into()) };
        for (rows, keys) in [(GROUP_ROWS, self.0.block_n), (self.0.block_m, self.window_keys())] {
            // Rows may begin inside a query, keys inside an eight.
            let queries = if (rows as usize).is_multiple_of(group) {
                rows as usize / group
            } else {
                (rows as usize - 1) / group + 2
            };
            let most = (keys as usize + 2).saturating_sub(queries + EIGHT);
            if window > most {
                return Err(format!(
                    "made for windows of up to {most} keys at {group} query heads a key head, it is {window}"
                ));
            }
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

    /// `SHARED_BYTES` of prefill_sm90.cuh and window_sm90.cuh: queries, keys and values, results, sinks.
    pub(super) fn shared_bytes(self) -> u32 {
        let Artifact { block_m, block_n, block_k, stages, .. } = *self.0;
        let (tiles, keys) =
            if self.is_for_windows() { (stages, stages * self.window_keys()) } else { (2, stages * block_n) };
        ALIGNMENT + 2 * block_k * ((tiles + 1) * block_m + 2 * keys) + 4 * tiles * block_m + BARRIER_BYTES
    }

    /// Which of the kernels.
    pub(super) fn kernel(self, op: &FlashAttnSpec) -> usize {
        usize::from(op.q == DType::F16)
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
        // A box is whole queries.
        let group = op.q_heads / op.kv_heads.max(1);
        let mapped = |aligned, rows: u32| aligned && op.q_tokens > 0 && rows.is_multiple_of(group as u32);
        if mapped(p.q_aligned(), self.0.block_m) {
            let stride = args.q.info().row_stride;
            (params.q, params.q_mapped) = (map_of_rows(op, *args.q.mem(), op.q, stride, self.0.block_m)?, 1);
        }
        if mapped(p.out_aligned(), GROUP_ROWS) {
            let stride = args.out.info().row_stride;
            (params.out, params.out_mapped) = (map_of_rows(op, *args.out.mem(), op.out, stride, GROUP_ROWS)?, 1);
        }
        let shape = Shape { shared: self.shared_bytes(), overlap: true, ..Shape::default() };
        plan.record_as(self.kernel(op), [plan.info().units.max(1) as usize, 1, 1], &shape, stream, &params)
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
            KvStore::Packed { .. } if self.is_for_windows() => self.window_keys(),
            KvStore::Packed { .. } => self.0.block_n,
            KvStore::Paged { .. } if self.is_for_windows() => EIGHT as u32,
            KvStore::Paged { page_size, .. } => 1 << self.0.block_n.trailing_zeros().min(page_size.trailing_zeros()),
        };
        let dims = [op.head_dim, op.kv_heads, tokens, pages];
        TensorMap::new(*of.mem(), op.kv, dims, strides, [PART, 1, keys, 1], Swizzle::Bytes128)
    }
}

/// Of queries or results: {elements, heads of a key head, key heads, tokens}; a box is `rows` rows of a tile.
fn map_of_rows(op: &FlashAttnSpec, base: u64, dtype: DType, row_stride: usize, rows: u32) -> Result<TensorMap, Error> {
    let (group, head) = (op.q_heads / op.kv_heads.max(1), 2 * op.head_dim);
    let dims = [op.head_dim, group, op.kv_heads, op.q_tokens];
    let strides = [head, head * group, 2 * row_stride];
    let shape_of_box = [PART, group as u32, 1, rows / (group as u32).max(1)];
    TensorMap::new(base, dtype, dims, strides, shape_of_box, Swizzle::Bytes128)
}
