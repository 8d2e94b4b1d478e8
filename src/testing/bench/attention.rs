//! The attention rows: prefill of one sequence, decode of a batch.

use super::catalog::HEADS;
use super::check::{allowed, relative_error, sample};
use super::experts::Named;
use super::operand::{Call, Slot};
use super::pattern::Pattern;
use super::{Measured, Runner};
use crate::backend::{Runtime, Timing};
use crate::cpu::Cpu;
use crate::dtype::DType;
use crate::error::Error;
use crate::host::HostTensor;
use crate::kernel::AllOps;
use crate::op::{FlashAttnSpec, KvIndex, KvStore, Lse, Mask, Op, PageLayout, Window};
use std::ops::Range;
use std::sync::Arc;

/// Roundings to bf16 in series: of the probabilities, and of the result.
const ROUNDINGS: f64 = 2.0;
/// Queries that are checked.
pub(super) const CHECKED: usize = 4;

/// Causal attention; a cache of f8e4m3 has scales.
pub(super) fn spec(
    sequences: usize,
    max_q: usize,
    max_k: usize,
    dim: usize,
    window: Option<usize>,
    cache: DType,
) -> FlashAttnSpec {
    FlashAttnSpec {
        sequences,
        q_tokens: sequences * max_q,
        max_q_len: max_q,
        max_k_len: max_k,
        q_heads: HEADS.0,
        kv_heads: HEADS.1,
        head_dim: dim,
        q: DType::Bf16,
        kv: cache,
        kv_scales: cache == DType::F8E4m3,
        out: DType::Bf16,
        sm_scale: (dim as f64).sqrt().recip().into(),
        mask: window.map_or(Mask::Causal, |w| Mask::Sliding(Window::VisibleKeys(w))),
        sinks: Some(DType::Bf16),
        lse: Lse::None,
        store: KvStore::Packed { tokens: 0 },
        index: KvIndex::StartLen,
        splits: None,
    }
}

/// One sequence's keys contiguous, or in pages of `page`.
pub(super) fn stored(one: FlashAttnSpec, page: Option<usize>) -> FlashAttnSpec {
    let (sequences, keys) = (one.sequences, one.max_k_len);
    match page {
        None => FlashAttnSpec { store: KvStore::Packed { tokens: sequences * keys }, ..one },
        Some(page_size) => {
            let max_pages = keys.div_ceil(page_size);
            let store = KvStore::Paged { pages: sequences * max_pages, page_size, layout: PageLayout::Nhd };
            FlashAttnSpec { store, index: KvIndex::BlockTable { max_pages }, ..one }
        }
    }
}

/// Where a sequence's first `count` keys are whose pages are these.
fn slots_of(pages: &[i32], page: usize, count: usize) -> Vec<Range<usize>> {
    let firsts = pages.iter().map(|p| *p as usize * page).enumerate().take(count.div_ceil(page));
    firsts.map(|(i, at)| at..at + page.min(count - i * page)).collect()
}

/// A query that is checked: its row of q and out, and the slots of the keys up to its own position.
pub(super) struct Checked {
    pub(super) row: usize,
    pub(super) keys: Vec<Range<usize>>,
}

impl<B: Timing + AllOps> Runner<'_, B> {
    /// Attention of the last `tokens` of one sequence of `keys`, in pages of `page` or contiguous.
    pub(super) fn prefill(
        &mut self,
        tokens: usize,
        keys: usize,
        window: Option<usize>,
        dim: usize,
        page: Option<usize>,
        cache: DType,
    ) -> Result<Measured, Error> {
        let spec = stored(spec(1, tokens, keys, dim, window, cache), page);
        let sets = self.sets(spec.work().bytes as usize);
        let numbers = Pattern::normals(DType::Bf16, 1.0, &mut self.random)?;
        let ints = |values: &[i32]| Slot::of(self.backend, &[HostTensor::from_i32(&[values.len()], values)?]);
        let kv = spec.store.shapes(HEADS.1, dim).0;
        let cached = Pattern::normals(cache, 1.0, &mut self.random)?;
        let k = Slot::filled(self.backend, cache, &kv, sets, &cached)?;
        let v = Slot::filled(self.backend, cache, &kv, sets, &cached)?;
        let mut order: Vec<i32> = (0..keys.div_ceil(page.unwrap_or(keys)) as i32).collect();
        self.random.shuffle(&mut order);
        let mut index = vec![("k_len", ints(&[keys as i32])?)];
        index.push(match page {
            None => ("k_start", ints(&[0])?),
            Some(_) => {
                let table = HostTensor::from_i32(&[1, order.len()], &order)?;
                ("block_table", Slot::of(self.backend, std::slice::from_ref(&table))?)
            }
        });
        index.extend(self.scales(&spec)?);
        let seen = |t: usize| slots_of(&order, page.unwrap_or(keys), keys - tokens + t + 1);
        let checked = sample(tokens, CHECKED).into_iter().map(|t| Checked { row: t, keys: seen(t) });
        self.attention(spec, sets, &numbers, (k, v), index, &checked.collect::<Vec<_>>())
    }

    /// One query for each of a batch of sequences of `kv` keys.
    pub(super) fn decode(
        &mut self,
        batch: usize,
        window: Option<usize>,
        kv: usize,
        page: Option<usize>,
        cache: DType,
    ) -> Result<Measured, Error> {
        let dim = 64;
        let one = spec(batch, 1, kv, dim, window, cache);
        let seen = window.map_or(kv, |w| w.min(kv));
        let sets = self.sets(batch * seen * 2 * HEADS.1 * dim * cache.bytes());
        // Sequences overlap where a window hides all but their ends.
        let slots = (sets * batch - 1) * seen + kv;
        let ints = |shape: &[usize], values: &[i32]| HostTensor::from_i32(shape, values);
        let start = |set: usize, s: usize| (set * batch + s) * seen;
        let mut index = vec![("k_len", Slot::of(self.backend, &[ints(&[batch], &vec![kv as i32; batch])?])?)];
        let mut checked: Vec<Checked> =
            sample(batch, CHECKED).into_iter().map(|row| Checked { row, keys: Vec::new() }).collect();
        let spec = match page {
            None => {
                let starts = |set| ints(&[batch], &(0..batch).map(|s| start(set, s) as i32).collect::<Vec<_>>());
                let starts: Vec<_> = (0..sets).map(starts).collect::<Result<_, _>>()?;
                index.push(("k_start", Slot::of(self.backend, &starts)?));
                checked.iter_mut().for_each(|c| c.keys.push(start(0, c.row)..start(0, c.row) + kv));
                FlashAttnSpec { store: KvStore::Packed { tokens: slots }, ..one }
            }
            Some(page) => {
                let max_pages = kv.div_ceil(page);
                let pages = sets * batch * max_pages;
                let mut order: Vec<i32> = (0..pages as i32).collect();
                self.random.shuffle(&mut order);
                let tables = order.chunks_exact(batch * max_pages).map(|table| ints(&[batch, max_pages], table));
                index.push(("block_table", Slot::of(self.backend, &tables.collect::<Result<Vec<_>, _>>()?)?));
                for c in &mut checked {
                    c.keys = slots_of(&order[c.row * max_pages..(c.row + 1) * max_pages], page, kv);
                }
                let store = KvStore::Paged { pages, page_size: page, layout: PageLayout::Nhd };
                FlashAttnSpec { store, index: KvIndex::BlockTable { max_pages }, ..one }
            }
        };
        index.extend(self.scales(&one)?);
        let numbers = Pattern::normals(DType::Bf16, 1.0, &mut self.random)?;
        let cached = Pattern::normals(cache, 1.0, &mut self.random)?;
        let shape = spec.store.shapes(HEADS.1, dim).0;
        let k = Slot::filled(self.backend, cache, &shape, 1, &cached)?;
        let v = Slot::filled(self.backend, cache, &shape, 1, &cached)?;
        self.attention(spec, sets, &numbers, (k, v), index, &checked)
    }

    /// Scales of 1, where the cache has any.
    fn scales(&self, spec: &FlashAttnSpec) -> Result<Named<B>, Error> {
        let scales = HostTensor::from_f64(DType::F32, &[HEADS.1], &[1.0; HEADS.1])?;
        let names: &[&str] = if spec.kv_scales { &["k_scale", "v_scale"] } else { &[] };
        names.iter().map(|name| Ok((*name, Slot::of(self.backend, std::slice::from_ref(&scales))?))).collect()
    }

    pub(super) fn attention(
        &mut self,
        spec: FlashAttnSpec,
        sets: usize,
        numbers: &Pattern,
        (k, v): (Arc<Slot<B>>, Arc<Slot<B>>),
        index: Named<B>,
        checked: &[Checked],
    ) -> Result<Measured, Error> {
        let backend = self.backend;
        let cu: Vec<i32> = (0..=spec.sequences).map(|s| (s * spec.max_q_len) as i32).collect();
        let q = [spec.q_tokens, spec.q_heads, spec.head_dim];
        let mut named = vec![
            ("q", Slot::filled(backend, DType::Bf16, &q, sets, numbers)?),
            ("k", k),
            ("v", v),
            ("cu_seqlens_q", Slot::of(backend, &[HostTensor::from_i32(&[cu.len()], &cu)?])?),
            ("sinks", Slot::filled(backend, DType::Bf16, &[spec.q_heads], 1, numbers)?),
            ("out", Slot::filled(backend, DType::Bf16, &q, sets, numbers)?),
        ];
        named.extend(index);
        let call = Call::new(backend, spec, self.hint(), named)?;
        let times = self.measure(sets, |set, q| call.enqueue(backend, set, q))?;
        Ok(Measured {
            shape: format!("{}/{} heads, head_dim {}", spec.q_heads, spec.kv_heads, spec.head_dim),
            variant: call.variant().into(),
            times,
            work: spec.work(),
            rel_err: check(backend, &call, checked)?,
            allowed: allowed(DType::Bf16, ROUNDINGS),
            scratch_bytes: call.scratch_bytes(),
            peak_bytes: call.peak_bytes(),
        })
    }
}

/// Each query as a sequence of its own, with a copy of the keys up to its position.
fn check<B: Runtime + AllOps>(backend: &B, call: &Call<FlashAttnSpec, B>, checked: &[Checked]) -> Result<f64, Error> {
    let (cpu, of) = (Cpu::oracle(), call.op());
    let row_bytes = of.kv_heads * of.head_dim * of.kv.bytes();
    let (mut q, mut k, mut v, mut got) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut starts, mut lens) = (Vec::new(), Vec::new());
    for query in checked {
        q.extend_from_slice(call.slot("q")?.host_rows(query.row, 1)?.bytes.as_slice());
        got.extend(call.slot("out")?.read_rows(backend, query.row, 1)?.to_f64());
        starts.push((k.len() / row_bytes) as i32);
        for range in &query.keys {
            k.extend(call.slot("k")?.host_bytes(range.start * row_bytes, range.len() * row_bytes)?);
            v.extend(call.slot("v")?.host_bytes(range.start * row_bytes, range.len() * row_bytes)?);
        }
        lens.push((k.len() / row_bytes) as i32 - starts.last().copied().unwrap_or(0));
    }
    let (count, slots) = (checked.len(), k.len() / row_bytes);
    let max_k = lens.iter().copied().max().unwrap_or(0) as usize;
    let reference = FlashAttnSpec {
        kv: of.kv, // scales of 1 are left out
        out: DType::F64,
        store: KvStore::Packed { tokens: slots },
        ..spec(count, 1, max_k, of.head_dim, of.mask.window(), DType::Bf16)
    };
    let import =
        |dtype, shape: &[usize], bytes: Vec<u8>| Slot::import(&cpu, &HostTensor::new(dtype, shape, bytes.into())?);
    let ints = |values: Vec<i32>| Slot::import(&cpu, &HostTensor::from_i32(&[values.len()], &values)?);
    let kv_shape = [slots, of.kv_heads, of.head_dim];
    let q_shape = [count, of.q_heads, of.head_dim];
    let out = Slot::empty(&cpu, DType::F64, &q_shape, 1)?;
    let named = vec![
        ("q", import(DType::Bf16, &q_shape, q)?),
        ("k", import(of.kv, &kv_shape, k)?),
        ("v", import(of.kv, &kv_shape, v)?),
        ("cu_seqlens_q", ints((0..=count as i32).collect())?),
        ("k_start", ints(starts)?),
        ("k_len", ints(lens)?),
        ("sinks", Slot::import(&cpu, call.slot("sinks")?.host()?)?),
        ("out", out.clone()),
    ];
    Call::new(&cpu, reference, Default::default(), named)?.run(&cpu)?;
    Ok(relative_error(&got, &out.read(&cpu)?.to_f64()))
}
