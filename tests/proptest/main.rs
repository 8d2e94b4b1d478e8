//! Random specs against the oracle, and properties that hold whatever the numbers are.

#[cfg(feature = "cuda")]
mod cuda;
#[cfg(feature = "hip")]
mod hip;
mod strategies;

use dropless::op::cases::Data;
use dropless::op::moe::{CombineSpec, DispatchSpec, RouteSpec, SortSpec};
use dropless::op::*;
use dropless::testing::conform::{Conform, Inputs, judge_on};
use dropless::testing::harness::{Options, run};
use dropless::testing::random::Random;
use dropless::{Cpu, DType, HostTensor, Provide};
use proptest::prelude::*;
use strategies::*;

/// The reference in f32 against itself in f64.
fn conforms<O: Conform>(op: O, seed: u64) -> Result<(), TestCaseError>
where
    Cpu: Provide<O>,
{
    prop_assert!(op.check().is_ok(), "{:?}: {:?}", op, op.check());
    let inputs = op.fill(Data::Usual, &mut Random::new(seed)).unwrap();
    let judged = judge_on(&Cpu::new(), &op, &inputs, None);
    let wrong = judged.map_or_else(|e| vec![e.to_string()], |j| j.wrong);
    prop_assert!(wrong.is_empty(), "{:?} of seed {}: {:?}", op, seed, wrong);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn grouped_gemm_conforms(op in grouped_gemm(&SMALL), seed: u64) {
        conforms(op, seed)?;
    }

    #[test]
    fn flash_attn_conforms(op in flash_attn(&SMALL), seed: u64) {
        conforms(op, seed)?;
    }

    #[test]
    fn dispatch_conforms(route in route(&SMALL), seed: u64) {
        conforms(DispatchSpec { route }, seed)?;
        conforms(SortSpec { tokens: route.tokens, experts: route.experts, top_k: route.top_k }, seed)?;
        let RouteSpec { tokens, top_k, logits: y, weight, .. } = route;
        conforms(CombineSpec { tokens, rows: tokens * top_k, top_k, dim: 24, y, weight, out: DType::F32 }, seed)?;
    }

    #[test]
    fn rms_norm_conforms(rows in 0usize..9, dim in 1usize..300, x in float(), out in float(), residual: bool, seed: u64) {
        conforms(RmsNormSpec { rows, dim, eps: 1e-5.into(), x, weight: x, out, residual }, seed)?;
    }

    /// Nothing is dropped: every assignment has a row of its expert, experts ascend, and so do assignments within one.
    #[test]
    fn sorting_is_a_stable_permutation(route in route(&SMALL), seed: u64) {
        let op = SortSpec { tokens: route.tokens, experts: route.experts, top_k: route.top_k };
        let inputs = op.fill(Data::Usual, &mut Random::new(seed)).unwrap();
        let out = run(&Cpu::new(), &op, &inputs, Options::default()).unwrap();
        let ints = |name: &str| out.get(name).unwrap().to_i32().unwrap();
        let (ids, sorted, inverse) = (inputs[0].1.to_i32().unwrap(), ints("sorted_assignment"), ints("assignment_to_row"));
        let keys: Vec<(i32, i32)> = sorted.iter().map(|a| (ids[*a as usize], *a)).collect();
        prop_assert!(keys.is_sorted());
        prop_assert!(sorted.iter().enumerate().all(|(row, a)| inverse[*a as usize] == row as i32));
        prop_assert_eq!(ints("expert_count").iter().sum::<i32>() as usize, ids.len());
    }

    /// Tokens in another order are routed the same.
    #[test]
    fn routing_does_not_see_other_tokens(route in route(&SMALL), seed: u64) {
        let mut random = Random::new(seed);
        let logits = route.fill(Data::Usual, &mut random).unwrap().remove(0).1;
        let mut order: Vec<usize> = (0..route.tokens).collect();
        random.shuffle(&mut order);
        let permuted = rows(&logits, &order);
        let of = |logits: HostTensor| run(&Cpu::new(), &route, &[("logits", logits)], Options::default()).unwrap();
        let (plain, other) = (of(logits), of(permuted));
        for name in ["topk_idx", "topk_weight"] {
            let expected = rows(plain.get(name).unwrap(), &order);
            prop_assert_eq!(expected.bytes.as_slice(), other.get(name).unwrap().bytes.as_slice());
        }
    }

    /// Rows of a grouped GEMM do not see each other: two batches in one call give what each gives alone.
    #[test]
    fn batches_may_be_concatenated(rows in 2usize..12, at in any::<prop::sample::Index>(), n in 1usize..20, weights in weights(), seed: u64) {
        let linear = GroupedGemmSpec::linear(rows, n, 64, DType::Bf16, DType::F32, Some(DType::F32), DType::F32);
        let whole = GroupedGemmSpec { weights, ..linear };
        let inputs = whole.fill(Data::Usual, &mut Random::new(seed)).unwrap();
        let of = |rows: std::ops::Range<usize>| {
            let mut inputs = inputs.clone();
            let a = &mut inputs[0].1;
            let bytes = a.bytes.slice(rows.start * 128..rows.end * 128).unwrap();
            *a = HostTensor::new(a.dtype, &[rows.len(), 64], bytes).unwrap();
            let op = GroupedGemmSpec { rows: rows.len(), ..whole };
            run(&Cpu::new(), &op, &inputs, Options::default()).unwrap().get("d").unwrap().bytes.as_slice().to_vec()
        };
        let cut = 1 + at.index(rows - 1);
        prop_assert_eq!(of(0..rows), [of(0..cut), of(cut..rows)].concat());
    }

    /// A prompt in two chunks through the cache gives what it gives at once; so do pages of any size in any layout.
    #[test]
    fn chunks_and_pages_do_not_show(len in 2usize..40, at in any::<prop::sample::Index>(), mask in mask(), place in place(), seed: u64) {
        prop_assume!(mask != Mask::Bidirectional);
        let (heads, dim) = (2, 16);
        let mut random = Random::new(seed);
        let mut reals = |heads: usize| random.reals(DType::F32, &[len, heads, dim], -4.0, 1.0).unwrap();
        let (q, k, v) = (reals(2 * heads), reals(heads), reals(heads));
        let whole = attend(mask, Place::Packed, &q, &k, &v, 0..len, seed);
        let cut = 1 + at.index(len - 1);
        let first = attend(mask, place, &q, &k, &v, 0..cut, seed);
        let second = attend(mask, place, &q, &k, &v, cut..len, seed ^ 1);
        prop_assert_eq!(whole, [first, second].concat());
    }
}

/// Rows of the first dimension in another order.
fn rows(tensor: &HostTensor, order: &[usize]) -> HostTensor {
    let row = tensor.bytes.as_slice().len() / order.len().max(1);
    let bytes: Vec<u8> = order.iter().flat_map(|r| &tensor.bytes.as_slice()[r * row..(r + 1) * row]).copied().collect();
    HostTensor::new(tensor.dtype, &tensor.shape, bytes.into()).unwrap()
}

/// `out` and `lse` bits of queries `chunk`, the keys up to its end being in the cache, wherever that keeps them.
fn attend(
    mask: Mask,
    place: Place,
    q: &HostTensor,
    k: &HostTensor,
    v: &HostTensor,
    chunk: std::ops::Range<usize>,
    seed: u64,
) -> Vec<u8> {
    let (heads, dim, keys) = (k.shape[1], k.shape[2], chunk.end);
    let mut inputs: Inputs = Vec::new();
    let ints = |values: &[i32]| HostTensor::from_i32(&[values.len()], values).unwrap();
    let mut slots: Vec<usize> = (0..keys).collect();
    let (store, index) = match place {
        Place::Packed => {
            inputs.push(("cu_seqlens_k", ints(&[0, keys as i32])));
            (KvStore::Packed { tokens: keys }, KvIndex::CuSeqlens)
        }
        Place::Paged(page_size, layout, table) => {
            let count = keys.div_ceil(page_size);
            let mut pages: Vec<i32> = (0..count as i32 + 2).collect();
            Random::new(seed).shuffle(&mut pages);
            pages.truncate(count);
            slots.iter_mut().for_each(|s| *s = pages[*s / page_size] as usize * page_size + *s % page_size);
            let index = if table {
                inputs.push(("block_table", HostTensor::from_i32(&[1, count], &pages).unwrap()));
                inputs.push(("k_len", ints(&[keys as i32])));
                KvIndex::BlockTable { max_pages: count }
            } else {
                inputs.push(("kv_indptr", ints(&[0, count as i32])));
                inputs.push(("kv_indices", ints(&pages)));
                inputs.push(("kv_last_page_len", ints(&[(keys - (count - 1) * page_size) as i32])));
                KvIndex::Indptr { entries: count }
            };
            (KvStore::Paged { pages: count + 2, page_size, layout }, index)
        }
    };
    let op = FlashAttnSpec {
        sequences: 1,
        q_tokens: chunk.len(),
        max_q_len: chunk.len(),
        max_k_len: keys,
        q_heads: q.shape[1],
        kv_heads: heads,
        head_dim: dim,
        q: DType::F32,
        kv: DType::F32,
        kv_scales: false,
        out: DType::F32,
        sm_scale: 0.25.into(),
        mask,
        sinks: None,
        lse: Lse::None,
        store,
        index,
        splits: None,
    };
    let q_rows: Vec<f64> = q.to_f64()[chunk.start * q.shape[1] * dim..chunk.end * q.shape[1] * dim].to_vec();
    inputs.push(("q", HostTensor::from_f64(DType::F32, &[chunk.len(), q.shape[1], dim], &q_rows).unwrap()));
    inputs.push(("cu_seqlens_q", ints(&[0, chunk.len() as i32])));
    let (k_shape, v_shape) = op.store.shapes(heads, dim);
    let (mut ks, mut vs) = (vec![f64::NAN; k_shape.iter().product()], vec![f64::NAN; v_shape.iter().product()]);
    let (k, v) = (k.to_f64(), v.to_f64());
    let (k_row, v_row): (usize, usize) = (k_shape[1..].iter().product(), v_shape[1..].iter().product());
    for (key, slot) in slots.into_iter().enumerate() {
        for (head, d) in (0..heads).flat_map(|h| (0..dim).map(move |d| (h, d))) {
            let from = (key * heads + head) * dim + d;
            let (row, within) = op.store.key_at(slot, head, d, heads, dim);
            ks[row * k_row + within] = k[from];
            let (row, within) = op.store.value_at(slot, head, d, heads, dim);
            vs[row * v_row + within] = v[from];
        }
    }
    inputs.push(("k", HostTensor::from_f64(DType::F32, &k_shape, &ks).unwrap()));
    inputs.push(("v", HostTensor::from_f64(DType::F32, &v_shape, &vs).unwrap()));
    run(&Cpu::new(), &op, &inputs, Options::default()).unwrap().get("out").unwrap().bytes.as_slice().to_vec()
}
