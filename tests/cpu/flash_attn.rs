//! Attention against the formula written out, from every store by every index.

use super::*;
use dropless::backend::Backend;
use dropless::op::{FlashAttnArgs, FlashAttnSpec, KvIndex, KvStore, Lse, Mask, PageLayout, Window};
use dropless::{View, ViewMut};

const HEADS: usize = 4;
const KV_HEADS: usize = 2;
const DIM: usize = 6;
const PAGE: usize = 4;
const PAGES: usize = 9;
/// Query and key lengths: prefill, a chunk, decode, no queries, no keys, more queries than keys.
const LENGTHS: [(usize, usize); 6] = [(5, 5), (3, 10), (1, 8), (0, 3), (2, 0), (4, 2)];
const Q_TOKENS: usize = 16; // The last one belongs to nobody.
const UNTOUCHED: f64 = 77.0;

fn noise(n: usize, seed: u64) -> Vec<f64> {
    let one = |i: u64| {
        let bits =
            (i + 1).wrapping_mul(0x9e3779b97f4a7c15 ^ (seed << 32)).rotate_left(29).wrapping_mul(0xbf58476d1ce4e5b9);
        ((bits >> 40) as f64 / (1u64 << 23) as f64 - 1.0) * 2.0
    };
    // Rounded to bf16, so that every type here holds them.
    (0..n as u64).map(|i| DType::Bf16.round(one(i))).collect()
}

fn spec(mask: Mask, lse: Lse, sinks: bool, store: KvStore, index: KvIndex) -> FlashAttnSpec {
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
        out: DType::F32,
        sm_scale: 0.7.into(),
        mask,
        sinks: sinks.then_some(DType::F32),
        lse,
        store,
        index,
    }
}

/// Queries; keys and values of each sequence, \[k_len, KV_HEADS, DIM\]; sinks.
struct Case {
    q: Vec<f64>,
    k: Vec<Vec<f64>>,
    v: Vec<Vec<f64>>,
    sinks: Vec<f64>,
}

impl Case {
    fn new() -> Self {
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
    fn want(&self, mask: Mask, sinks: bool) -> [Vec<f64>; 3] {
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
    fn caches(&self, store: KvStore, slot: impl Fn(usize, usize) -> usize) -> [Tensor<Cpu>; 2] {
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
struct Indices {
    cu_seqlens_q: Vec<i32>,
    cu_seqlens_k: Vec<i32>,
    k_start: Vec<i32>,
    k_len: Vec<i32>,
    block_table: Vec<i32>,
    kv_indptr: Vec<i32>,
    kv_indices: Vec<i32>,
    kv_last_page_len: Vec<i32>,
}

fn sums(lengths: impl Iterator<Item = usize>) -> Vec<i32> {
    let next = |sum: &mut i32, n: usize| {
        *sum += n as i32;
        Some(*sum)
    };
    [0].into_iter().chain(lengths.scan(0, next)).collect()
}

/// `out`, `lse`, faults.
fn call(
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
fn pages_of(s: usize) -> Vec<usize> {
    let before: usize = LENGTHS[..s].iter().map(|(_, k)| k.div_ceil(PAGE)).sum();
    (before..before + LENGTHS[s].1.div_ceil(PAGE)).map(|n| n * 5 % PAGES).collect()
}

/// A way to keep the same keys: where key j of sequence s goes, and what leads there.
fn placed(store: KvStore, index: KvIndex) -> (impl Fn(usize, usize) -> usize, Indices) {
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

fn paged(layout: PageLayout) -> KvStore {
    KvStore::Paged { pages: PAGES, page_size: PAGE, layout }
}

/// Every store with every index that fits it.
fn places() -> Vec<(KvStore, KvIndex)> {
    let packed = KvStore::Packed { tokens: 64 };
    let mut all = vec![(packed, KvIndex::CuSeqlens), (packed, KvIndex::StartLen)];
    for layout in [PageLayout::Nhd, PageLayout::Hnd, PageLayout::XSplit { x: 2 }] {
        let entries = (0..LENGTHS.len()).map(|s| pages_of(s).len()).sum();
        all.extend([KvIndex::BlockTable { max_pages: 3 }, KvIndex::Indptr { entries }].map(|i| (paged(layout), i)));
    }
    all
}

const MASKS: [Mask; 5] = [
    Mask::Bidirectional,
    Mask::Causal,
    Mask::Sliding(Window::VisibleKeys(1)),
    Mask::Sliding(Window::VisibleKeys(3)),
    Mask::Sliding(Window::KeysBefore(4)),
];

#[test]
fn every_store_and_index_is_the_formula() {
    let case = Case::new();
    for (store, index) in places() {
        let (slot, at) = placed(store, index);
        let caches = case.caches(store, slot);
        for (mask, sinks) in MASKS.into_iter().flat_map(|m| [(m, true), (m, false)]) {
            let [want, with_sink, without] = case.want(mask, sinks);
            for (lse, want_lse) in [(Lse::WithSink, &with_sink), (Lse::WithoutSink, &without)] {
                for (cpu, tolerance) in [(Cpu::oracle(), 5e-7), (Cpu::new(), 4e-6), (Cpu::twin(), 2e-2)] {
                    let (out, got_lse, fault) = call(&cpu, spec(mask, lse, sinks, store, index), &case, &caches, &at);
                    assert_close(&out, &want, tolerance);
                    assert_close(&got_lse, want_lse, 4e-6);
                    assert_eq!(fault, [], "{store:?} {index:?} {mask:?}");
                }
            }
        }
    }
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let (case, (store, index)) = (Case::new(), places()[2]);
    let (slot, at) = placed(store, index);
    let caches = case.caches(store, slot);
    let spec = spec(Mask::Causal, Lse::WithSink, true, store, index);
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let (out, lse, _) = pool.install(|| call(&Cpu::new(), spec, &case, &caches, &at));
        out.into_iter().chain(lse).map(f64::to_bits).collect::<Vec<_>>()
    };
    assert_eq!(with(1), with(3));
}

#[test]
fn the_twin_rounds_p_and_nothing_else() {
    // Scores -1 and 0, values 1 and 0: exp(-1) is rounded to bf16 where it meets the value, the row's sum is not.
    let case = Case { q: vec![1.0; Q_TOKENS * HEADS * DIM], k: vec![], v: vec![], sinks: vec![] };
    let store = KvStore::Packed { tokens: 2 };
    let key = |first: f64| [first].into_iter().chain([0.0; DIM - 1]).collect::<Vec<_>>().repeat(KV_HEADS);
    let caches = [-1.0, 1.0].map(|x| floats(DType::Bf16, &[2, KV_HEADS, DIM], &[key(x), key(0.0)].concat()));
    let spec = FlashAttnSpec {
        sequences: 1,
        sm_scale: 1.0.into(),
        ..spec(Mask::Bidirectional, Lse::None, false, store, KvIndex::CuSeqlens)
    };
    let at = Indices { cu_seqlens_q: vec![0, 1], cu_seqlens_k: vec![0, 2], ..Indices::default() };
    let p = (-1f64).exp();
    for (cpu, p_v) in [(Cpu::new(), p), (Cpu::twin(), DType::Bf16.round(p))] {
        let (out, _, _) = call(&cpu, spec, &case, &caches, &at);
        assert_close(&out[..1], &[p_v / (1.0 + p)], 1e-7);
    }
}

#[test]
fn pages_outside_the_cache_are_not_seen_and_outside_the_window_not_looked_at() {
    let (case, store) = (Case::new(), paged(PageLayout::Nhd));
    let index = KvIndex::BlockTable { max_pages: 3 };
    let (slot, at) = placed(store, index);
    let caches = case.caches(store, slot);
    // Sequence 2 decodes key 7 of 8: a window of 4 sees its second page only.
    let window = Mask::Sliding(Window::VisibleKeys(4));
    let spec = |mask| spec(mask, Lse::WithSink, true, store, index);
    let (out, lse, _) = call(&Cpu::new(), spec(window), &case, &caches, &at);
    for page in [-1, PAGES as i32] {
        let mut bad = at.clone();
        bad.block_table[2 * 3] = page;
        let got = call(&Cpu::new(), spec(window), &case, &caches, &bad);
        assert_eq!(got, (out.clone(), lse.clone(), vec![]));
        // Without a window the page is missed, and what is left is what the window sees.
        let (got, got_lse, fault) = call(&Cpu::new(), spec(Mask::Causal), &case, &caches, &bad);
        let row = 8 * HEADS;
        assert_eq!(got[row * DIM..(row + HEADS) * DIM], out[row * DIM..(row + HEADS) * DIM]);
        assert_eq!(got_lse[row..row + HEADS], lse[row..row + HEADS]);
        assert_eq!(fault, [Fault::Page]);
    }
}

#[test]
fn bad_lengths_and_offsets_are_clamped() {
    let case = Case::new();
    // What each bad operand is clamped to, given by a good call.
    let same = |store, index, bad: &dyn Fn(&mut Indices), good: &dyn Fn(&mut Indices), want: Fault| {
        let (slot, at) = placed(store, index);
        let caches = case.caches(store, slot);
        let spec = spec(Mask::Bidirectional, Lse::WithSink, true, store, index);
        let [mut bad_at, mut good_at] = [at.clone(), at];
        bad(&mut bad_at);
        good(&mut good_at);
        let (out, lse, fault) = call(&Cpu::new(), spec, &case, &caches, &bad_at);
        let (good_out, good_lse, none) = call(&Cpu::new(), spec, &case, &caches, &good_at);
        let bits = |v: &[f64]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!((bits(&out), bits(&lse)), (bits(&good_out), bits(&good_lse)), "{index:?}");
        assert_eq!((fault, none), (vec![want], vec![]), "{index:?}");
    };
    let packed = KvStore::Packed { tokens: 64 };
    let all = places();
    let (table, indptr) = (all[2], all[3]);
    same(packed, KvIndex::StartLen, &|i| i.k_len[3] = -4, &|i| i.k_len[3] = 0, Fault::Length);
    same(packed, KvIndex::StartLen, &|i| i.k_len[1] = 11, &|i| i.k_len[1] = 10, Fault::Length);
    same(packed, KvIndex::StartLen, &|i| i.k_start[4] = -1, &|i| i.k_start[4] = 0, Fault::Offsets);
    same(packed, KvIndex::StartLen, &|i| i.k_start[4] = 65, &|i| i.k_start[4] = 64, Fault::Offsets);
    same(
        packed,
        KvIndex::CuSeqlens,
        &|i| i.cu_seqlens_k[6] = 3,
        &|i| i.cu_seqlens_k[6] = i.cu_seqlens_k[5],
        Fault::Offsets,
    );
    same(packed, KvIndex::CuSeqlens, &|i| i.cu_seqlens_q[6] = 99, &|i| i.cu_seqlens_q[6] = 16, Fault::Offsets);
    same(table.0, table.1, &|i| i.k_len[1] = i32::MAX, &|i| i.k_len[1] = 10, Fault::Length);
    same(indptr.0, indptr.1, &|i| i.kv_last_page_len[0] = 0, &|i| i.kv_last_page_len[0] = 1, Fault::Length);
    same(indptr.0, indptr.1, &|i| i.kv_last_page_len[2] = 9, &|i| i.kv_last_page_len[2] = 4, Fault::Length);
    same(indptr.0, indptr.1, &|i| i.kv_indptr[6] = 99, &|i| i.kv_indptr[6] = i.kv_indices.len() as i32, Fault::Offsets);
}

#[test]
fn a_query_length_past_the_spec_is_cut() {
    let (case, store) = (Case::new(), KvStore::Packed { tokens: 64 });
    let (slot, mut at) = placed(store, KvIndex::CuSeqlens);
    let caches = case.caches(store, slot);
    let spec = spec(Mask::Bidirectional, Lse::None, false, store, KvIndex::CuSeqlens);
    at.cu_seqlens_q = vec![0, 6, 6, 6, 6, 6, 6];
    let (out, _, fault) = call(&Cpu::new(), spec, &case, &caches, &at);
    assert_eq!(fault, [Fault::Length]);
    let written = out.iter().position(|x| *x == UNTOUCHED);
    assert_eq!(written, Some(5 * HEADS * DIM));
}

#[test]
fn large_scores_and_sinks_do_not_overflow() {
    let case = Case {
        q: vec![100.0; Q_TOKENS * HEADS * DIM],
        k: vec![],
        v: vec![],
        sinks: vec![1000.0, -1000.0, 0.0, 6000.0],
    };
    let (store, ones) = (KvStore::Packed { tokens: 1 }, vec![1.0; KV_HEADS * DIM]);
    let cache = || floats(DType::Bf16, &[1, KV_HEADS, DIM], &ones);
    let at = Indices { cu_seqlens_q: vec![0, 1], cu_seqlens_k: vec![0, 1], ..Indices::default() };
    let spec = FlashAttnSpec {
        sequences: 1,
        sm_scale: 10.0.into(),
        ..spec(Mask::Causal, Lse::WithSink, true, store, KvIndex::CuSeqlens)
    };
    let (out, lse, _) = call(&Cpu::new(), spec, &case, &[cache(), cache()], &at);
    // Every score is 6000.
    let want = [1.0, 1.0, 1.0, 0.5].map(|x| [x; DIM]).concat();
    assert_close(&out[..HEADS * DIM], &want, 1e-6);
    assert_close(&lse[..HEADS], &[6000.0, 6000.0, 6000.0, 6000.0 + 2f64.ln()], 1e-3);
}

#[test]
fn q_k_v_and_out_may_be_slices_of_wider_rows() {
    const ROW: usize = (HEADS + 2 * KV_HEADS) * DIM;
    let (tokens, q_part, kv_part) = (3, HEADS * DIM, KV_HEADS * DIM);
    let fused = noise(tokens * ROW, 5);
    let part =
        |from: usize, len: usize| fused.chunks(ROW).flat_map(|row| row[from..][..len].to_vec()).collect::<Vec<_>>();
    let store = KvStore::Packed { tokens };
    let spec = FlashAttnSpec {
        sequences: 1,
        q_tokens: tokens,
        q: DType::Bf16,
        ..spec(Mask::Causal, Lse::None, false, store, KvIndex::CuSeqlens)
    };
    let attend = |[q, k, v]: [View<'_, Cpu>; 3], out: ViewMut<'_, Cpu>| {
        let cu = ints(&[2], &[0, tokens as i32]);
        let args = FlashAttnArgs {
            q,
            k,
            v,
            cu_seqlens_q: cu.view(),
            cu_seqlens_k: Some(cu.view()),
            k_start: None,
            k_len: None,
            block_table: None,
            kv_indptr: None,
            kv_indices: None,
            kv_last_page_len: None,
            sinks: None,
            out,
            lse: None,
            status: None,
        };
        run(&Cpu::new(), spec, args);
    };
    let q = floats(DType::Bf16, &[tokens, HEADS, DIM], &part(0, q_part));
    let [k, v] = [q_part, q_part + kv_part].map(|at| floats(DType::Bf16, &[tokens, KV_HEADS, DIM], &part(at, kv_part)));
    let mut packed = unwritten(DType::F32, &[tokens, HEADS, DIM]);
    attend([q.view(), k.view(), v.view()], packed.view_mut());

    let qkv = floats(DType::Bf16, &[tokens, ROW], &fused);
    let slice = |from: usize, heads: usize| {
        let mem = <Cpu as Backend>::offset(qkv.view().mem(), from * 2);
        // SAFETY: these heads of every row are inside the fused tensor, whose rows are ROW apart.
        unsafe { View::from_raw(mem, DType::Bf16, &[tokens, heads, DIM]).with_row_stride(ROW) }
    };
    let mut wide = floats(DType::F32, &[tokens, q_part + 1], &vec![UNTOUCHED; tokens * (q_part + 1)]);
    // SAFETY: rows of q_part elements, q_part + 1 apart, are inside `wide`.
    let out = unsafe {
        ViewMut::from_raw(*wide.view_mut().mem(), DType::F32, &[tokens, HEADS, DIM]).with_row_stride(q_part + 1)
    };
    attend([slice(0, HEADS), slice(q_part, KV_HEADS), slice(q_part + kv_part, KV_HEADS)], out);
    let want: Vec<f64> = values(&packed).chunks(q_part).flat_map(|row| [row, &[UNTOUCHED]].concat()).collect();
    assert_eq!(values(&wide), want);
}
