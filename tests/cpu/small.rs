//! rms_norm, rope, kv_append, embedding, argmax, swiglu, and what all ops share.

use super::*;
use dropless::op::{
    ArgmaxArgs, ArgmaxSpec, EmbeddingArgs, EmbeddingSpec, GateUp, KvAppendArgs, KvAppendSpec, KvStore, PageLayout,
    Pairing, RmsNormArgs, RmsNormSpec, RopeArgs, RopeSpec, Swiglu, SwigluArgs, SwigluSpec,
};
use dropless::{View, ViewMut};

fn embedding(table: DType, out: DType) -> EmbeddingSpec {
    EmbeddingSpec { tokens: 3, vocab: 2, dim: 2, table, out }
}

#[test]
fn embedding_copies_rows_and_zeroes_unknown_tokens() {
    let (table, ids) = (floats(DType::Bf16, &[2, 2], &[1.0, -2.5, 3.0, 4.0]), ints(&[3], &[1, 2, 0]));
    let (mut y, mut word) = (unwritten(DType::F32, &[3, 2]), status());
    let args = EmbeddingArgs { ids: ids.view(), table: table.view(), y: y.view_mut(), status: Some(word.view_mut()) };
    run(&Cpu::new(), embedding(DType::Bf16, DType::F32), args);
    assert_eq!(values(&y), [3.0, 4.0, 0.0, 0.0, 1.0, -2.5]);
    assert_eq!(faults(&word), [Fault::TokenId]);
}

#[test]
fn argmax_takes_the_first_of_the_largest() {
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    let rows = [[1.0, 3.0, 3.0], [-0.0, 0.0, -1.0], [-inf, -inf, -inf], [0.0, nan, 9.0], [inf, 0.0, 1.0]];
    let (x, mut ids) = (floats(DType::F32, &[5, 3], rows.as_flattened()), unwritten(DType::I32, &[5]));
    let spec = ArgmaxSpec { rows: 5, columns: 3, x: DType::F32 };
    run(&Cpu::new(), spec, ArgmaxArgs { x: x.view(), ids: ids.view_mut() });
    assert_eq!(values(&ids), [1.0, 0.0, 0.0, -1.0, -1.0]);
}

#[test]
fn f64_and_unknown_variants_are_refused_in_words() {
    let spec = embedding(DType::F64, DType::F32);
    for cpu in [Cpu::new(), Cpu::twin()] {
        let error = Kernel::plan(&cpu, spec, Hint::default()).err().unwrap().to_string();
        assert!(error.contains("`table` is f64"), "{error}");
    }
    assert!(Kernel::plan(&Cpu::oracle(), spec, Hint::default()).is_ok());
    let hint = Hint { variant: Some("wgmma"), ..Hint::default() };
    let error = Kernel::plan(&Cpu::oracle(), spec, hint).err().unwrap().to_string();
    assert!(error.contains("`wgmma`") && error.contains("`reference`"), "{error}");
    let hint = Hint { variant: Some("reference"), ..Hint::default() };
    assert_eq!(Kernel::plan(&Cpu::oracle(), spec, hint).unwrap().variant(), "reference");
}

#[test]
fn operands_that_do_not_fit_are_refused_by_name() {
    let (table, ids, mut y) =
        (floats(DType::F32, &[2, 2], &[0.0; 4]), ints(&[3], &[0; 3]), unwritten(DType::F32, &[3, 3]));
    let args = EmbeddingArgs { ids: ids.view(), table: table.view(), y: y.view_mut(), status: None };
    let error = try_run(&Cpu::new(), embedding(DType::F32, DType::F32), args).unwrap_err().to_string();
    assert_eq!(error, "embedding: `y` must be f32 [3, 2], got f32 [3, 3]");
}

fn norm(rows: usize, dim: usize, x: DType, residual: bool) -> RmsNormSpec {
    RmsNormSpec { rows, dim, eps: 0.5.into(), x, weight: DType::F32, out: DType::F32, residual }
}

#[test]
fn rms_norm_divides_by_the_root_of_mean_square_plus_eps() {
    // Mean square 3.5 (and 0), eps 0.5: roots 2 and sqrt(0.5).
    let (x, weight) =
        (floats(DType::Bf16, &[2, 2], &[2.0, 3f64.sqrt(), 0.0, 0.0]), floats(DType::F32, &[2], &[1.0, 3.0]));
    let mut y = unwritten(DType::F32, &[2, 2]);
    let args = RmsNormArgs { x: x.view(), residual: None, weight: weight.view(), sum: None, y: y.view_mut() };
    run(&Cpu::new(), norm(2, 2, DType::Bf16, false), args);
    // sqrt 3 is 1.734375 in bf16.
    let root = ((4.0 + 1.734375f64.powi(2)) / 2.0 + 0.5).sqrt();
    assert_close(&values(&y), &[2.0 / root, 3.0 * 1.734375 / root, 0.0, 0.0], 1e-6);
}

#[test]
fn rms_norm_adds_the_residual_rounded_and_in_place() {
    // 256 + 1 is 256 in bf16 (ties to even), and that is what is normed.
    let (mut x, residual) = (floats(DType::Bf16, &[1, 1], &[256.0]), floats(DType::Bf16, &[1, 1], &[1.0]));
    let (weight, mut y) = (floats(DType::F32, &[1], &[1.0]), unwritten(DType::F32, &[1, 1]));
    let memory = *x.view().mem();
    let args = RmsNormArgs {
        // SAFETY: the same memory as `sum`, which the op allows.
        x: unsafe { View::from_raw(memory, DType::Bf16, &[1, 1]) },
        residual: Some(residual.view()),
        weight: weight.view(),
        sum: Some(x.view_mut()),
        y: y.view_mut(),
    };
    run(&Cpu::oracle(), norm(1, 1, DType::Bf16, true), args);
    assert_eq!(values(&x), [256.0]);
    assert_close(&values(&y), &[256.0 / (65536.5f64).sqrt()], 1e-7);
}

#[test]
fn swiglu_clamps_the_gate_above_and_the_up_on_both_sides() {
    let clamped =
        Swiglu { alpha: 0.0.into(), limit: Some(2.0.into()), up_offset: 1.0.into(), layout: GateUp::Interleaved };
    let spec = |swiglu| SwigluSpec { rows: 1, width: 6, x: DType::F32, out: DType::F32, swiglu };
    let (gate_up, mut y) =
        (floats(DType::F32, &[1, 6], &[9.0, -5.0, -9.0, 5.0, f64::NAN, 1.0]), unwritten(DType::F32, &[1, 3]));
    run(&Cpu::new(), spec(clamped), SwigluArgs { gate_up: gate_up.view(), y: y.view_mut() });
    // alpha 0: sigmoid 1/2. Gates 2, -9, NaN; ups -2, 2, 1.
    let got = values(&y);
    assert_eq!(got[..2], [-1.0, -9.0 / 2.0 * 3.0]);
    assert!(got[2].is_nan(), "a NaN gate stays one: {got:?}");

    let halves = floats(DType::F32, &[1, 6], &[0.0, 3f64.ln(), -40.0, 7.0, 2.0, 1.0]);
    run(&Cpu::oracle(), spec(Swiglu::SILU), SwigluArgs { gate_up: halves.view(), y: y.view_mut() });
    assert_close(&values(&y), &[0.0, 3f64.ln() * 0.75 * 2.0, 0.0], 1e-6);
}

/// Two positions: no rotation, and a quarter turn of the first pair and half a turn of the second.
fn turns() -> (Tensor<Cpu>, Tensor<Cpu>) {
    (floats(DType::F32, &[2, 2], &[1.0, 1.0, 0.0, -1.0]), floats(DType::F32, &[2, 2], &[0.0, 0.0, 1.0, 0.0]))
}

#[test]
fn rope_turns_pairs() {
    let ((cos, sin), positions) = (turns(), ints(&[3], &[1, 0, 2]));
    for (pairing, turned) in
        [(Pairing::HalfSplit, [-3.0, -2.0, 1.0, -4.0]), (Pairing::Interleaved, [-2.0, 1.0, -3.0, -4.0])]
    {
        let mut x = floats(DType::F32, &[3, 1, 4], &[1.0, 2.0, 3.0, 4.0].repeat(3));
        let spec = RopeSpec {
            tokens: 3,
            heads: 1,
            head_dim: 4,
            positions: 2,
            x: DType::F32,
            out: DType::F32,
            table: DType::F32,
            pairing,
        };
        let (memory, mut word) = (*x.view().mem(), status());
        let args = RopeArgs {
            // SAFETY: the same memory as `y`, which the op allows.
            x: unsafe { View::from_raw(memory, DType::F32, &[3, 1, 4]) },
            positions: positions.view(),
            cos: cos.view(),
            sin: sin.view(),
            y: x.view_mut(),
            status: Some(word.view_mut()),
        };
        run(&Cpu::new(), spec, args);
        assert_eq!(values(&x), [&turned[..], &[1.0, 2.0, 3.0, 4.0], &[0.0; 4]].concat());
        assert_eq!(faults(&word), [Fault::Position]);
    }
}

const STORES: [KvStore; 4] = [
    KvStore::Packed { tokens: 4 },
    KvStore::Paged { pages: 2, page_size: 2, layout: PageLayout::Nhd },
    KvStore::Paged { pages: 2, page_size: 2, layout: PageLayout::Hnd },
    KvStore::Paged { pages: 2, page_size: 2, layout: PageLayout::XSplit { x: 2 } },
];

#[test]
fn kv_append_writes_rotated_keys_and_plain_values_where_the_store_keeps_them() {
    let (cos, sin) = turns();
    let x: Vec<f64> = (1..=40).map(f64::from).collect();
    // Tokens of two heads of four, taken from rows that also hold something else.
    let (k, v) = (floats(DType::F32, &[4, 10], &x), floats(DType::F32, &[4, 10], &x));
    // SAFETY: four rows of ten elements hold four rows of eight at a stride of ten.
    let strided =
        |t: &Tensor<Cpu>| unsafe { View::from_raw(*t.view().mem(), DType::F32, &[4, 2, 4]).with_row_stride(10) };
    let q = floats(DType::F32, &[4, 1, 4], &[1.0, 2.0, 3.0, 4.0].repeat(4));
    let (positions, slots) = (ints(&[4], &[0, 1, 0, 1]), ints(&[4], &[2, 1, -1, 4]));
    for store in STORES {
        let spec = KvAppendSpec {
            tokens: 4,
            kv_heads: 2,
            q_heads: 1,
            head_dim: 4,
            x: DType::F32,
            q_out: DType::F32,
            cache: DType::F32,
            scales: false,
            store,
            positions: 2,
            table: DType::F32,
            pairing: Pairing::HalfSplit,
        };
        let (k_shape, v_shape) = store.shapes(2, 4);
        let (mut k_cache, mut v_cache) =
            (floats(DType::F32, &k_shape, &[0.0; 32]), floats(DType::F32, &v_shape, &[0.0; 32]));
        let (mut q_out, mut word) = (unwritten(DType::F32, &[4, 1, 4]), status());
        let args = KvAppendArgs {
            k: strided(&k),
            v: strided(&v),
            q: Some(q.view()),
            positions: positions.view(),
            cos: cos.view(),
            sin: sin.view(),
            slots: slots.view(),
            k_scale: None,
            v_scale: None,
            k_cache: k_cache.view_mut(),
            v_cache: v_cache.view_mut(),
            q_out: Some(q_out.view_mut()),
            status: Some(word.view_mut()),
        };
        run(&Cpu::new(), spec, args);
        assert_eq!(faults(&word), [Fault::Slot]);
        let turned = [-3.0, -2.0, 1.0, -4.0];
        assert_eq!(values(&q_out), [[1.0, 2.0, 3.0, 4.0], turned, [1.0, 2.0, 3.0, 4.0], turned].concat());
        let (keys, vals) = (values(&k_cache), values(&v_cache));
        for slot in 0..4 {
            for head in 0..2 {
                let token = |first: f64| [0.0, 1.0, 2.0, 3.0].map(|d| first + 4.0 * head as f64 + d);
                let (key, value) = match slot {
                    2 => (token(1.0), token(1.0)),
                    1 => {
                        let [a, b, c, d] = token(11.0);
                        ([-c, -b, a, -d], token(11.0))
                    }
                    _ => ([0.0; 4], [0.0; 4]),
                };
                for d in 0..4 {
                    let (row, at) = store.key_at(slot, head, d, 2, 4);
                    assert_eq!(keys[row * keys.len() / k_shape[0] + at], key[d], "{store:?}");
                    let (row, at) = store.value_at(slot, head, d, 2, 4);
                    assert_eq!(vals[row * vals.len() / v_shape[0] + at], value[d], "{store:?}");
                }
            }
        }
    }
}

#[test]
fn strided_outputs_keep_what_lies_between_rows() {
    let (gate_up, mut memory) =
        (floats(DType::F32, &[2, 2], &[2.0, 3.0, 4.0, 5.0]), floats(DType::Bf16, &[5], &[9.0; 5]));
    let swiglu = Swiglu { alpha: 0.0.into(), ..Swiglu::SILU };
    let spec = SwigluSpec { rows: 2, width: 2, x: DType::F32, out: DType::Bf16, swiglu };
    // SAFETY: rows 0 and 1 of one element each are elements 0 and 3 of five.
    let y = unsafe { ViewMut::from_raw(*memory.view_mut().mem(), DType::Bf16, &[2, 1]).with_row_stride(3) };
    run(&Cpu::new(), spec, SwigluArgs { gate_up: gate_up.view(), y });
    assert_eq!(values(&memory), [3.0, 9.0, 9.0, 10.0, 9.0]);
}
