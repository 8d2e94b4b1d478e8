//! Attention with learned sinks, exact, over packed or paged keys.
//!
//! Sequence s owns rows `cu_seqlens_q[s] .. cu_seqlens_q[s + 1]` of q and has k_len keys. Query row r of it sits at position
//! `i = k_len - q_len + r` (bottom right: chunked prefill and decode need nothing else). Key j is visible by [`Mask`].
//! Query head h reads key head `h / (q_heads / kv_heads)`.
//!
//! `z_ij = sm_scale · q_i · k_j`; `out_i = Σ_j exp(z_ij - lse_i) v_j` with
//! `lse_i = ln(exp(sink_h) + Σ_visible exp(z_ij))`. The sink is neither scaled nor rotated and has no value; without sinks its
//! term is absent. No visible key: out 0, lse the sink, or -inf.
//!
//! What is not visible is never read as a number: unused slots may hold NaN, table entries outside the window anything.
//! A sequence's result depends on its own rows, keys and lengths and on the plan, not on its neighbours; across plans of other
//! batch sizes too where `FlashAttnSpec::splits` says in how many shares its keys are taken.
//! Bad lengths, offsets and pages: [`Fault::Length`](super::Fault::Length), [`Fault::Offsets`](super::Fault::Offsets),
//! [`Fault::Page`](super::Fault::Page).

#[cfg(feature = "testing")]
mod cases;

use super::{
    KvStore, Op, Operand, Operands, Work, args, check_sizes, need, need_cache, need_count, need_float, product,
};
use crate::backend::Backend;
use crate::dtype::{DType, Scalar};
use crate::error::SpecError;

/// Attention of a batch of sequences: prefill, chunked prefill and decode alike.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FlashAttnSpec {
    /// Sequences S.
    pub sequences: usize,
    /// Rows of q: the upper bound of the sum of query lengths.
    pub q_tokens: usize,
    /// Upper bound of one sequence's query length.
    pub max_q_len: usize,
    /// Upper bound of one sequence's key length.
    pub max_k_len: usize,
    /// Query heads, a multiple of `kv_heads`.
    pub q_heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Elements of a head. Matrix units take 64 and 128, plain kernels any up to 256, slowly.
    pub head_dim: usize,
    /// Type of `q`.
    pub q: DType,
    /// Type of `k` and `v`.
    pub kv: DType,
    /// Are keys and values kept divided by a scale of their head, `k_scale` and `v_scale`?
    pub kv_scales: bool,
    /// Type of `out`.
    pub out: DType,
    /// Factor on q · k: usually 1 / sqrt(head_dim).
    pub sm_scale: Scalar,
    /// Which keys a query sees.
    pub mask: Mask,
    /// Type of the sinks, if there are any.
    pub sinks: Option<DType>,
    /// Which log-sum-exp is written, if any.
    pub lse: Lse,
    /// Where keys and values live.
    pub store: KvStore,
    /// How a sequence's keys are found there.
    pub index: KvIndex,
    /// Shares in which a decode takes the keys of a sequence, as many as a backend has at most. With the same number, spec for
    /// spec, a sequence's result is the same bits whatever the size of the batch. `None`: as many as are fastest here.
    pub splits: Option<usize>,
}

/// Which keys a query at position i sees.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Mask {
    /// All of its sequence.
    Bidirectional,
    /// j <= i.
    Causal,
    /// j <= i and inside the window.
    Sliding(Window),
}

/// A sliding window, by what its number counts: gpt-oss's 128 is `VisibleKeys(128)`, FlashAttention's `(127, 0)` is
/// `KeysBefore(127)`, and both are the same window.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Window {
    /// Keys seen in all, the query's own included; at least 1.
    VisibleKeys(usize),
    /// Keys seen before the query's own.
    KeysBefore(usize),
}

impl Window {
    /// Keys seen in all, the query's own included.
    pub fn visible_keys(self) -> usize {
        match self {
            Window::VisibleKeys(n) => n,
            Window::KeysBefore(n) => n.saturating_add(1),
        }
    }
}

impl Mask {
    /// Keys seen in all by a query, where a window limits them.
    pub fn window(self) -> Option<usize> {
        match self {
            Mask::Sliding(window) => Some(window.visible_keys()),
            _ => None,
        }
    }

    /// Does the query at position `i` see key `j`? Positions may be negative (more queries than keys).
    pub fn visible(self, i: i64, j: i64) -> bool {
        match self {
            Mask::Bidirectional => true,
            Mask::Causal => j <= i,
            Mask::Sliding(window) => j <= i && i - j < i64::try_from(window.visible_keys()).unwrap_or(i64::MAX),
        }
    }
}

/// Which log-sum-exp is written: f32 \[q_tokens, q_heads\], natural logarithm.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Lse {
    /// None.
    None,
    /// Over the keys and the sink: what normalises `out`.
    WithSink,
    /// Over the keys alone: what merges partial results.
    WithoutSink,
}

/// How a sequence's keys are found.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum KvIndex {
    /// Packed: rows `cu_seqlens_k[s] .. cu_seqlens_k[s + 1]`.
    CuSeqlens,
    /// Packed: rows `k_start[s] .. k_start[s] + k_len[s]`. A contiguous cache \[S, max, heads, D\] is start = s * max.
    StartLen,
    /// Paged: key j in page `block_table[s, j / page_size]`, `k_len[s]` keys (vLLM, FlashAttention).
    BlockTable {
        /// Columns of the table.
        max_pages: usize,
    },
    /// Paged: key j in page `kv_indices[kv_indptr[s] + j / page_size]`, the last page holding `kv_last_page_len[s]`
    /// (FlashInfer).
    Indptr {
        /// Entries of `kv_indices`.
        entries: usize,
    },
}

args! {
    /// Operands of [`FlashAttnSpec`].
    FlashAttnArgs {
        /// \[q_tokens, q_heads, D\], tokens may be strided.
        q: input,
        /// As [`KvStore::shapes`]; rows (pages) may be strided.
        k: input,
        /// As [`KvStore::shapes`]; rows (pages) may be strided.
        v: input,
        /// f32 \[kv_heads\], with [`FlashAttnSpec::kv_scales`]: key = `k` times it.
        k_scale: optional_input,
        /// f32 \[kv_heads\], likewise.
        v_scale: optional_input,
        /// i32 \[S + 1\], ascending from 0. Rows past its last entry are not written.
        cu_seqlens_q: input,
        /// i32 \[S + 1\], for [`KvIndex::CuSeqlens`].
        cu_seqlens_k: optional_input,
        /// i32 \[S\], for [`KvIndex::StartLen`].
        k_start: optional_input,
        /// i32 \[S\], for [`KvIndex::StartLen`] and [`KvIndex::BlockTable`].
        k_len: optional_input,
        /// i32 \[S, max_pages\], for [`KvIndex::BlockTable`]; unused entries may hold anything.
        block_table: optional_input,
        /// i32 \[S + 1\], for [`KvIndex::Indptr`].
        kv_indptr: optional_input,
        /// i32 \[entries\], for [`KvIndex::Indptr`].
        kv_indices: optional_input,
        /// i32 \[S\], 1 to page_size, for [`KvIndex::Indptr`]; ignored for a sequence of no pages.
        kv_last_page_len: optional_input,
        /// \[q_heads\].
        sinks: optional_input,
        /// \[q_tokens, q_heads, D\], tokens may be strided.
        out: output,
        /// \[q_tokens, q_heads\] f32 (f64 beside an f64 `out`).
        lse: optional_output,
        /// u32 \[1\], optional.
        status: optional_output,
    }
}

impl FlashAttnSpec {
    /// Type of `lse`: f32, or f64 beside an f64 `out`.
    pub fn lse_dtype(&self) -> DType {
        if self.out == DType::F64 { DType::F64 } else { DType::F32 }
    }

    /// What a probability may be rounded to before it meets a value: the type of the values, of f8e4m3 ones f16.
    pub(crate) fn probability(&self) -> DType {
        if self.kv == DType::F8E4m3 { DType::F16 } else { self.kv }
    }

    fn index_operands(&self) -> Operands {
        let (s, i32s) = (self.sequences, |name, dims: &[usize]| Operand::input(name, DType::I32, dims));
        match self.index {
            KvIndex::CuSeqlens => Operands::from_iter([i32s("cu_seqlens_k", &[s.saturating_add(1)])]),
            KvIndex::StartLen => Operands::from_iter([i32s("k_start", &[s]), i32s("k_len", &[s])]),
            KvIndex::BlockTable { max_pages } => {
                Operands::from_iter([i32s("k_len", &[s]), i32s("block_table", &[s, max_pages]).strided()])
            }
            KvIndex::Indptr { entries } => Operands::from_iter([
                i32s("kv_indptr", &[s.saturating_add(1)]),
                i32s("kv_indices", &[entries]),
                i32s("kv_last_page_len", &[s]),
            ]),
        }
    }
}

impl Op for FlashAttnSpec {
    const NAME: &'static str = "flash_attn";
    type Args<'a, B: Backend> = FlashAttnArgs<'a, B>;

    fn check(&self) -> Result<(), SpecError> {
        need_count(Self::NAME, "sequences", self.sequences, 0)?;
        need_count(Self::NAME, "q_tokens", self.q_tokens, 0)?;
        need_count(Self::NAME, "max_k_len", self.max_k_len, 0)?;
        need_count(Self::NAME, "max_q_len", self.max_q_len, 0)?;
        need_count(Self::NAME, "kv_heads", self.kv_heads, 1)?;
        let heads = self.q_heads >= 1 && self.q_heads.is_multiple_of(self.kv_heads);
        need(Self::NAME, "q_heads", heads, format!("a multiple of kv_heads {}", self.kv_heads), self.q_heads)?;
        need(Self::NAME, "head_dim", (1..=256).contains(&self.head_dim), "1 to 256", self.head_dim)?;
        for (name, dtype) in [("q", self.q), ("out", self.out), ("sinks", self.sinks.unwrap_or(DType::F32))] {
            need_float(Self::NAME, name, dtype)?;
        }
        need_cache(Self::NAME, "k", self.kv)?;
        need(Self::NAME, "sm_scale", self.sm_scale.0.is_finite(), "finite", self.sm_scale.0)?;
        let window = self.mask.window();
        need(Self::NAME, "mask", window != Some(0), "a window of at least one key", "a window of none")?;
        need(Self::NAME, "splits", self.splits != Some(0), "at least one share", "none")?;
        self.store.check(Self::NAME, self.head_dim)?;
        let paged = matches!(self.store, KvStore::Paged { .. });
        let by_page = matches!(self.index, KvIndex::BlockTable { .. } | KvIndex::Indptr { .. });
        let want =
            if paged { "BlockTable or Indptr for a paged store" } else { "CuSeqlens or StartLen for a packed store" };
        need(Self::NAME, "index", paged == by_page, want, format!("{:?}", self.index))?;
        check_sizes(Self::NAME, &self.operands())
    }

    fn operands(&self) -> Operands {
        let q = [self.q_tokens, self.q_heads, self.head_dim];
        let (k, v) = self.store.shapes(self.kv_heads, self.head_dim);
        let mut out = Operands::from_iter([
            Operand::input("q", self.q, &q).strided(),
            Operand::input("k", self.kv, &k).strided(),
            Operand::input("v", self.kv, &v).strided(),
            Operand::input("cu_seqlens_q", DType::I32, &[self.sequences.saturating_add(1)]),
            Operand::output("out", self.out, &q).strided(),
            Operand::status(),
        ]);
        if self.kv_scales {
            out.extend(["k_scale", "v_scale"].map(|name| Operand::input(name, DType::F32, &[self.kv_heads])));
        }
        out.extend(self.index_operands());
        out.extend(self.sinks.map(|dtype| Operand::input("sinks", dtype, &[self.q_heads])));
        if self.lse != Lse::None {
            out.push(Operand::output("lse", self.lse_dtype(), &[self.q_tokens, self.q_heads]));
        }
        out
    }

    /// At the upper bounds: `q_tokens` queries spread evenly over S sequences of `max_k_len` keys; masked pairs not counted.
    fn work(&self) -> Work {
        let s = self.sequences.max(1);
        let (q_len, k_len) = (self.q_tokens.div_ceil(s), self.max_k_len);
        let window = self.mask.window().unwrap_or(k_len);
        // Keys seen by all queries up to the one at position x - 1, of a sequence from its first token on.
        let seen = |x: usize| {
            let ramp = x.min(window) as u128;
            ramp * (ramp + 1) / 2 + (x as u128 - ramp) * window as u128
        };
        let pairs = match self.mask {
            Mask::Bidirectional => k_len as u128 * q_len as u128,
            _ => seen(k_len) - seen(k_len.saturating_sub(q_len)),
        };
        let pairs = u64::try_from(pairs).unwrap_or(u64::MAX);
        let read_keys = k_len.min(window.saturating_add(q_len));
        let keys_and_values = product(&[2, s, read_keys, self.kv_heads, self.head_dim, self.kv.bytes()]);
        let rows = product(&[self.q_tokens, self.q_heads, self.head_dim, self.q.bytes() + self.out.bytes()]);
        Work {
            flops: pairs.saturating_mul(product(&[4, s, self.q_heads, self.head_dim])),
            bytes: keys_and_values.saturating_add(rows),
        }
    }
}
