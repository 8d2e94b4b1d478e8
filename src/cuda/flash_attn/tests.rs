//! Which variant, and which of its kernels.

use super::*;
use crate::backend::Arch;
use crate::cuda::choose::choose;
use crate::op::cases::Cases;
use crate::op::flash_attn::Window;
use crate::op::{KvIndex, Mask};
use crate::tensor::{View, ViewMut};
use dropless_kernels_cuda::ARTIFACTS;

fn device(sm: u16) -> DeviceInfo {
    DeviceInfo { name: "test".into(), arch: Arch::Sm(sm), units: 100, shared_bytes: 64 << 10 }
}

#[test]
fn every_generation_takes_every_case() {
    for sm in [75, 80, 90, 120] {
        for case in FlashAttnSpec::cases() {
            choose(&case.op, &device(sm), 80, Hint::default()).unwrap_or_else(|e| panic!("{}: {e}", case.name));
        }
    }
}

#[test]
fn tensor_cores_take_what_they_can() {
    let named = |name: &str| FlashAttnSpec::cases().into_iter().find(|c| c.name == name).unwrap().op;
    let variant = |op, sm| choose(&op, &device(sm), 80, Hint::default()).unwrap().variant();
    let device = |sm| DeviceInfo { shared_bytes: 232_448, ..device(sm) };
    let hopper = |op| choose(&op, &device(90), 80, Hint::default()).unwrap().variant();
    assert_eq!(hopper(named("causal_sinks")), "sm90_prefill_64");
    assert_eq!(hopper(named("dim_128")), "sm90_prefill_128");
    assert_eq!(hopper(named("nhd_8_table")), "sm90_prefill_64");
    assert_eq!(hopper(named("f8e4m3_queries")), "sm80_prefill_e4m3");
    assert_eq!(hopper(named("f8e4m3_decode")), "sm90_e4m3_8");
    assert_eq!(variant(named("decode"), 80), "sm80_decode");
    assert_eq!(variant(named("causal_sinks"), 80), "sm80_prefill");
    assert_eq!(variant(named("decode"), 75), "sm75");
    assert_eq!(variant(named("xsplit_8_table"), 90), "sm75");
    assert_eq!(variant(FlashAttnSpec { q: DType::F32, ..named("decode") }, 90), "simt");
    assert_eq!(variant(FlashAttnSpec { sm_scale: (-1.0).into(), ..named("decode") }, 90), "simt");
}

#[test]
fn hopper_variants_say_what_they_do_not_take() {
    let named = |name: &str| FlashAttnSpec::cases().into_iter().find(|c| c.name == name).unwrap().op;
    let refused = |op, sm, variant| {
        let device = DeviceInfo { units: 132, shared_bytes: 232_448, ..device(sm) };
        let hint = Hint { variant: Some(variant), ..Hint::default() };
        choose(&op, &device, 80, hint).map(|c| c.variant()).map_err(|e| e.to_string())
    };
    for variant in ["sm90_one_4", "sm90_one_16", "sm90_decode_4", "sm90_decode_8", "sm90_prefill_64"] {
        assert_eq!(refused(named("decode"), 90, variant), Ok(variant));
        assert!(refused(named("decode"), 100, variant).unwrap_err().contains("sm_90a alone"));
    }
    let wide = named("dim_128");
    assert_eq!(refused(wide, 90, "sm90_prefill_128"), Ok("sm90_prefill_128"));
    assert_eq!(refused(wide, 90, "sm90_decode_8"), Ok("sm90_decode_8"));
    let decode_128 = FlashAttnSpec { head_dim: 128, ..named("decode") };
    assert!(refused(decode_128, 90, "sm90_one_16").unwrap_err().contains("no kernel for 8 rows of 128 elements"));
    assert!(refused(wide, 90, "sm90_prefill_64").unwrap_err().contains("head_dim of 64, it is 128"));
    assert!(refused(wide, 90, "sm90_one_8").unwrap_err().contains("one query of up to 8 heads"));
    let narrow = named("f8e4m3_decode");
    assert_eq!(refused(narrow, 90, "sm90_e4m3_8"), Ok("sm90_e4m3_8"));
    assert!(refused(narrow, 90, "simt").unwrap_err().contains("they are f8e4m3"));
    assert!(refused(narrow, 90, "sm90_one_8").unwrap_err().contains("they are bf16 and f8e4m3"));
    assert!(refused(named("decode"), 90, "sm90_e4m3_8").unwrap_err().contains("made for k of f8e4m3"));
    for case in ["f8e4m3_queries", "scales"] {
        assert_eq!(refused(named(case), 90, "simt_scaled"), Ok("simt_scaled"));
    }
    assert_eq!(refused(named("f8e4m3_queries"), 80, "sm80_prefill_e4m3"), Ok("sm80_prefill_e4m3"));
    assert!(refused(named("scales"), 80, "sm80_prefill_e4m3").unwrap_err().contains("made for k of f8e4m3"));
    assert!(refused(named("decode"), 90, "simt_scaled").unwrap_err().contains("made for caches of f8e4m3"));
    assert!(refused(named("scales"), 90, "sm90_prefill_64").unwrap_err().contains("with scales are not taken"));
    assert!(refused(named("nhd_8_table"), 90, "sm90_decode_4").unwrap_err().contains("16 or more, it is 8"));
}

#[test]
fn hopper_takes_short_windows_apart() {
    let named = |name: &str| FlashAttnSpec::cases().into_iter().find(|c| c.name == name).unwrap().op;
    let device = DeviceInfo { shared_bytes: 232_448, ..device(90) };
    let windowed = |window, q_heads, kv_heads| {
        let mask = Mask::Sliding(Window::VisibleKeys(window));
        FlashAttnSpec { mask, q_heads, kv_heads, max_q_len: 40, ..named("causal_sinks") }
    };
    let chosen = |op| choose(&op, &device, 80, Hint::default()).unwrap().variant();
    assert_eq!(chosen(windowed(128, 64, 8)), "sm90_window_64");
    assert_eq!(chosen(windowed(130, 64, 8)), "sm90_window_64");
    assert_eq!(chosen(windowed(131, 64, 8)), "sm90_prefill_64");
    // 64 rows are 64 queries of one head, or parts of 12 queries of six.
    assert_eq!(chosen(windowed(128, 8, 8)), "sm90_prefill_64");
    assert_eq!(chosen(windowed(127, 12, 2)), "sm90_prefill_64");
    assert_eq!(chosen(windowed(122, 12, 2)), "sm90_window_64");
    assert_eq!(chosen(FlashAttnSpec { out: DType::F32, ..windowed(128, 64, 8) }), "sm80_prefill");
    let hint = Hint { variant: Some("sm90_window_64"), ..Hint::default() };
    let refused = choose(&named("causal_sinks"), &device, 80, hint).unwrap_err().to_string();
    assert!(refused.contains("this mask has none"), "{refused}");
}

#[test]
fn hopper_decodes_by_how_many_blocks_there_are() {
    let decode = FlashAttnSpec::cases().into_iter().find(|c| c.name == "decode").unwrap().op;
    let chosen_of = |sequences: usize, keys: usize, splits: Option<usize>| {
        let pages = sequences * keys / 16;
        let index = KvIndex::BlockTable { max_pages: keys / 16 };
        let store = KvStore::Paged { pages, page_size: 16, layout: PageLayout::Nhd };
        let (q_heads, kv_heads) = (64, 8);
        let op = FlashAttnSpec {
            sequences,
            q_tokens: sequences,
            max_k_len: keys,
            q_heads,
            kv_heads,
            store,
            index,
            splits,
            ..decode
        };
        let device = DeviceInfo { units: 132, shared_bytes: 232_448, ..device(90) };
        let choice = choose(&op, &device, 80, Hint::default()).unwrap();
        (choice.variant(), op.cluster(choice.artifact, &device))
    };
    let chosen = |sequences, keys| chosen_of(sequences, keys, None);
    assert_eq!(chosen(1, 1024), ("sm90_one_8", 8));
    assert_eq!(chosen(1, 8192), ("sm90_one_8", 16));
    assert_eq!(chosen(1, 32768), ("sm90_one_16", 8));
    assert_eq!(chosen(8, 8192), ("sm90_one_16", 2));
    assert_eq!(chosen(32, 8192), ("sm90_one_8", 1));
    assert_eq!(chosen(64, 8192), ("sm90_decode_4", 1));
    for (sequences, keys) in [(1, 1024), (1, 32768), (8, 8192), (64, 8192)] {
        assert_eq!(chosen_of(sequences, keys, Some(5)), ("sm90_one_8", 5));
    }
    assert_eq!(chosen_of(1, 1024, Some(100)), ("sm90_one_8", 16));
}

/// Specs that differ in what kernels are chosen by.
fn specs() -> Vec<FlashAttnSpec> {
    let decode = FlashAttnSpec::cases().into_iter().find(|c| c.name == "decode").unwrap().op;
    let masks = [Mask::Causal, Mask::Sliding(Window::VisibleKeys(8))];
    let mut all: Vec<_> = FlashAttnSpec::cases().into_iter().map(|c| c.op).collect();
    for (q, narrow, head_dim) in [DType::Bf16, DType::F16]
        .into_iter()
        .flat_map(|q| [(q, false, 64), (q, false, 128), (q, true, 64), (q, true, 128)])
    {
        let kv = if narrow { DType::F8E4m3 } else { q };
        for (mask, max_q_len, q_heads) in masks.into_iter().flat_map(|m| [(m, 1, 16), (m, 2, 16), (m, 40, 4)]) {
            let q_tokens = decode.sequences * max_q_len;
            let (out, kv_heads) = (q, 2);
            all.push(FlashAttnSpec { q, kv, out, head_dim, mask, max_q_len, q_tokens, q_heads, kv_heads, ..decode });
        }
    }
    all
}

/// What `launch` records for operands that are aligned or not.
fn kernels(op: &FlashAttnSpec, artifact: &Artifact, aligned: bool) -> Vec<Option<usize>> {
    match Family::of(artifact) {
        Family::ClusterDecode(kernel) => vec![kernel.kernel(op, aligned)],
        Family::TmaPrefill(kernel) => vec![Some(kernel.kernel(op))],
        Family::Decode => vec![Some(op.decode_kernel(artifact)), Some(op.combine_kernel(artifact))],
        Family::Prefill | Family::NarrowPrefill => vec![Some(op.type_and_dim())],
        Family::Rebased => vec![Some(op.rebased_kernel())],
        Family::Simt | Family::Scaled => vec![Some(0)],
    }
}

#[test]
fn every_kernel_is_some_spec_s_and_every_legal_spec_has_one() {
    for artifact in ARTIFACTS.iter().filter(|a| a.ops.contains(&FlashAttnSpec::NAME)) {
        let mut picked = vec![false; artifact.entries.len()];
        for op in specs().iter().filter(|op| op.check().is_ok() && op.legal(artifact).is_ok()) {
            for kernel in [true, false].into_iter().flat_map(|aligned| kernels(op, artifact, aligned)) {
                let kernel = kernel.unwrap_or_else(|| panic!("{} has no kernel for {op:?}", artifact.variant));
                picked[kernel] = true;
            }
        }
        let unused: Vec<_> = artifact.entries.iter().zip(picked).filter(|(_, picked)| !picked).collect();
        assert!(unused.is_empty(), "{}: {unused:?}", artifact.variant);
    }
}

#[test]
fn tokens_that_are_too_far_apart_for_tensor_cores_are_found_without_overflow() {
    let op = FlashAttnSpec::cases().into_iter().find(|c| c.name == "causal_sinks").unwrap().op;
    let KvStore::Packed { tokens } = op.store else { panic!("{op:?}") };
    let (q, kv) = ([op.q_tokens, op.q_heads, op.head_dim], [tokens, op.kv_heads, op.head_dim]);
    // SAFETY: nothing reads these views.
    let eights = |stride: usize| unsafe {
        let of = |dtype, shape: &[usize]| View::<Cuda>::from_raw(256, dtype, shape);
        let keys = || of(op.kv, &kv).with_row_stride(stride);
        let lengths = of(DType::I32, &[op.sequences + 1]);
        let out = ViewMut::from_raw(256, op.out, &q);
        let args = FlashAttnArgs::new(of(op.q, &q), keys(), keys(), lengths, out);
        Params::new(&op, &args).with_eights(&op, &args).is_some()
    };
    let most = isize::MAX as usize / (2 * tokens);
    assert_eq!([128, (1 << 31) - 1, 1 << 31, most].map(eights), [true, true, false, false]);
}
