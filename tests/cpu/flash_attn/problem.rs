//! A batch of sequences of every kind, its caches in every store, and the formula written out.

use crate::{faults, floats, ints, run, status, values};
use dropless::op::{Fault, FlashAttnArgs, FlashAttnSpec, KvIndex, KvStore, Lse, Mask, PageLayout};
use dropless::{Cpu, DType, Tensor};

pub const HEADS: usize = 4;
pub const KV_HEADS: usize = 2;
pub const DIM: usize = 6;
pub const PAGE: usize = 4;
pub const PAGES: usize = 9;
/// Query and key lengths: prefill, a chunk, decode, no queries, no keys, more queries than keys.
pub const LENGTHS: [(usize, usize); 6] = [(5, 5), (3, 10), (1, 8), (0, 3), (2, 0), (4, 2)];
pub const Q_TOKENS: usize = 16; // The last one belongs to nobody.
pub const UNTOUCHED: f64 = 77.0;

pub fn noise(n: usize, seed: u64) -> Vec<f64> {
    let one = |i: u64| {
        let bits =
            (i + 1).wrapping_mul(0x9e3779b97f4a7c15 ^ (seed << 32)).rotate_left(29).wrapping_mul(0xbf58476d1ce4e5b9);
        ((bits >> 40) as f64 / (1u64 << 23) as f64 - 1.0) * 2.0
    };
    // Rounded to bf16, so that every type here holds them.
    (0..n as u64).map(|i| DType::Bf16.round(one(i))).collect()
}

pub fn spec(mask: Mask, lse: Lse, sinks: bool, store: KvStore, index: KvIndex) -> FlashAttnSpec {
    FlashAttnSpec {
        sequences: LENGTHS.len(),
        q_tokens: Q_TOKENS,
        max_q_len: 5,
        max_k_len: 10,
        q_heads: HEADS,
        kv_heads: KV_HEADS,
        head_dim: DIM,
        q: DType::F32,
        kv: DType::Bf16,
        kv_scales: false,
        out: DType::F32,
        sm_scale: 0.7.into(),
        mask,
        sinks: sinks.then_some(DType::F32),
        lse,
        store,
        index,
        splits: None,
    }
}

/// Queries; keys and values of each sequence, \[k_len, KV_HEADS, DIM\]; sinks.
pub struct Case {
    pub q: Vec<f64>,
    pub k: Vec<Vec<f64>>,
    pub v: Vec<Vec<f64>>,
    pub sinks: Vec<f64>,
}

impl Case {
    pub fn new() -> Self {
        let keys = |seed| {
            let one = |(s, (_, k_len)): (usize, &(usize, usize))| noise(k_len * KV_HEADS * DIM, seed + s as u64);
            LENGTHS.iter().enumerate().map(one).collect()
        };
        Case {
            q: noise(Q_TOKENS * HEADS * DIM, 1),
            k: keys(10),
            v: keys(20),
            sinks: vec![0.5, -1.0, 3.0, f64::NEG_INFINITY],
        }
    }

    /// The formula, with sums of exponentials as they stand: `out`, `lse` with and without the sink.
    pub fn want(&self, mask: Mask, sinks: bool) -> [Vec<f64>; 3] {
        let (mut out, mut lse, mut lse_keys) = (Vec::new(), Vec::new(), Vec::new());
        let mut row = 0;
        for (s, (q_len, k_len)) in LENGTHS.iter().enumerate() {
            for r in 0..*q_len {
                let i = *k_len as i64 - *q_len as i64 + r as i64;
                for h in 0..HEADS {
                    let q = &self.q[(row * HEADS + h) * DIM..][..DIM];
                    let of = |kv: &[f64], j: usize, d: usize| kv[(j * KV_HEADS + h / 2) * DIM + d];
                    let z = |j: usize| 0.7 * (0..DIM).map(|d| q[d] * of(&self.k[s], j, d)).sum::<f64>();
                    let seen: Vec<usize> = (0..*k_len).filter(|j| mask.visible(i, *j as i64)).collect();
                    let keys: f64 = seen.iter().map(|j| z(*j).exp()).sum();
                    let all = keys + if sinks { self.sinks[h].exp() } else { 0.0 };
                    lse_keys.push(keys.ln());
                    lse.push(all.ln());
                    let weighted = |d| seen.iter().map(|j| z(*j).exp() * of(&self.v[s], *j, d)).sum::<f64>();
                    out.extend((0..DIM).map(|d| if seen.is_empty() { 0.0 } else { weighted(d) / all }));
                }
                row += 1;
            }
        }
        out.extend([UNTOUCHED; HEADS * DIM]);
        lse.extend([UNTOUCHED; HEADS]);
        lse_keys.extend([UNTOUCHED; HEADS]);
        [out, lse, lse_keys]
    }

    /// The caches in a store, NaN wherever no sequence has a key. `slot(s, j)` is where key j of sequence s goes.
    pub fn caches(&self, store: KvStore, slot: impl Fn(usize, usize) -> usize) -> [Tensor<Cpu>; 2] {
        let (k_shape, v_shape) = store.shapes(KV_HEADS, DIM);
        let (mut k, mut v) = (vec![f64::NAN; k_shape.iter().product()], vec![f64::NAN; v_shape.iter().product()]);
        let (k_row, v_row) = (k.len() / k_shape[0], v.len() / v_shape[0]);
        for (s, (_, k_len)) in LENGTHS.iter().enumerate() {
            for (j, h, d) in (0..*k_len).flat_map(|j| (0..KV_HEADS).flat_map(move |h| (0..DIM).map(move |d| (j, h, d))))
            {
                let from = (j * KV_HEADS + h) * DIM + d;
                let (row, at) = store.key_at(slot(s, j), h, d, KV_HEADS, DIM);
                k[row * k_row + at] = self.k[s][from];
                let (row, at) = store.value_at(slot(s, j), h, d, KV_HEADS, DIM);
                v[row * v_row + at] = self.v[s][from];
            }
        }
        [floats(DType::Bf16, &k_shape, &k), floats(DType::Bf16, &v_shape, &v)]
    }
}

/// Index operands of a call, by their fields' names; absent ones empty.
#[derive(Clone, Default)]
pub struct Indices {
    pub cu_seqlens_q: Vec<i32>,
    pub cu_seqlens_k: Vec<i32>,
    pub k_start: Vec<i32>,
    pub k_len: Vec<i32>,
    pub block_table: Vec<i32>,
    pub kv_indptr: Vec<i32>,
    pub kv_indices: Vec<i32>,
    pub kv_last_page_len: Vec<i32>,
}

pub fn sums(lengths: impl Iterator<Item = usize>) -> Vec<i32> {
    let next = |sum: &mut i32, n: usize| {
        *sum += n as i32;
        Some(*sum)
    };
    [0].into_iter().chain(lengths.scan(0, next)).collect()
}

/// `out`, `lse`, faults.
pub fn call(
    cpu: &Cpu,
    spec: FlashAttnSpec,
    case: &Case,
    caches: &[Tensor<Cpu>; 2],
    at: &Indices,
) -> (Vec<f64>, Vec<f64>, Vec<Fault>) {
    let tensor = |v: &Vec<i32>| (!v.is_empty()).then(|| ints(&[v.len()], v));
    let q = floats(spec.q, &[Q_TOKENS, HEADS, DIM], &case.q);
    let sinks = spec.sinks.map(|dtype| floats(dtype, &[HEADS], &case.sinks));
    let mut out = floats(spec.out, &[Q_TOKENS, HEADS, DIM], &vec![UNTOUCHED; Q_TOKENS * HEADS * DIM]);
    let mut lse = floats(spec.lse_dtype(), &[Q_TOKENS, HEADS], &[UNTOUCHED; Q_TOKENS * HEADS]);
    let (cu_q, cu_k, start, len) =
        (tensor(&at.cu_seqlens_q), tensor(&at.cu_seqlens_k), tensor(&at.k_start), tensor(&at.k_len));
    let table = match spec.index {
        KvIndex::BlockTable { max_pages } => Some(ints(&[LENGTHS.len(), max_pages], &at.block_table)),
        _ => None,
    };
    let (indptr, indices, last) = (tensor(&at.kv_indptr), tensor(&at.kv_indices), tensor(&at.kv_last_page_len));
    let mut word = status();
    let args = FlashAttnArgs {
        q: q.view(),
        k: caches[0].view(),
        v: caches[1].view(),
        k_scale: None,
        v_scale: None,
        cu_seqlens_q: cu_q.as_ref().unwrap().view(),
        cu_seqlens_k: cu_k.as_ref().map(Tensor::view),
        k_start: start.as_ref().map(Tensor::view),
        k_len: len.as_ref().map(Tensor::view),
        block_table: table.as_ref().map(Tensor::view),
        kv_indptr: indptr.as_ref().map(Tensor::view),
        kv_indices: indices.as_ref().map(Tensor::view),
        kv_last_page_len: last.as_ref().map(Tensor::view),
        sinks: sinks.as_ref().map(Tensor::view),
        out: out.view_mut(),
        lse: (spec.lse != Lse::None).then(|| lse.view_mut()),
        status: Some(word.view_mut()),
    };
    run(cpu, spec, args);
    (values(&out), values(&lse), faults(&word))
}

/// The pages of each sequence, scattered over the cache.
pub fn pages_of(s: usize) -> Vec<usize> {
    let before: usize = LENGTHS[..s].iter().map(|(_, k)| k.div_ceil(PAGE)).sum();
    (before..before + LENGTHS[s].1.div_ceil(PAGE)).map(|n| n * 5 % PAGES).collect()
}

/// A way to keep the same keys: where key j of sequence s goes, and what leads there.
pub fn placed(store: KvStore, index: KvIndex) -> (impl Fn(usize, usize) -> usize, Indices) {
    let k_lens = || LENGTHS.iter().map(|(_, k)| *k);
    let cu_k = sums(k_lens());
    let start = move |s: usize| match index {
        KvIndex::CuSeqlens => cu_k[s] as usize,
        _ => s * 10 + 1,
    };
    let mut at = Indices { cu_seqlens_q: sums(LENGTHS.iter().map(|(q, _)| *q)), ..Indices::default() };
    match index {
        KvIndex::CuSeqlens => at.cu_seqlens_k = sums(k_lens()),
        KvIndex::StartLen => {
            at.k_start = (0..LENGTHS.len()).map(|s| start(s) as i32).collect();
            at.k_len = k_lens().map(|k| k as i32).collect();
        }
        KvIndex::BlockTable { max_pages } => {
            at.k_len = k_lens().map(|k| k as i32).collect();
            for s in 0..LENGTHS.len() {
                let mut row: Vec<i32> = pages_of(s).iter().map(|p| *p as i32).collect();
                row.resize(max_pages, -9);
                at.block_table.extend(row);
            }
        }
        KvIndex::Indptr { .. } => {
            at.kv_indptr = sums((0..LENGTHS.len()).map(|s| pages_of(s).len()));
            at.kv_indices = (0..LENGTHS.len()).flat_map(pages_of).map(|p| p as i32).collect();
            // Of no pages: ignored.
            at.kv_last_page_len =
                k_lens().map(|k| if k == 0 { -5 } else { (k - 1) as i32 % PAGE as i32 + 1 }).collect();
        }
    }
    let slot = move |s: usize, j: usize| match store {
        KvStore::Packed { .. } => start(s) + j,
        KvStore::Paged { .. } => pages_of(s)[j / PAGE] * PAGE + j % PAGE,
    };
    (slot, at)
}

pub fn paged(layout: PageLayout) -> KvStore {
    KvStore::Paged { pages: PAGES, page_size: PAGE, layout }
}
