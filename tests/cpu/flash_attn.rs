//! Attention against the formula written out, from every store by every index.

mod problem;

use super::*;
use dropless::backend::Backend;
use dropless::op::{FlashAttnArgs, FlashAttnSpec, KvIndex, KvStore, Lse, Mask, PageLayout, Window};
use dropless::{View, ViewMut};
use problem::*;

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
        let args = FlashAttnArgs { cu_seqlens_k: Some(cu.view()), ..FlashAttnArgs::new(q, k, v, cu.view(), out) };
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
