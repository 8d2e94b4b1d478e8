//! Specs of any size: whatever the numbers are, `check`, `operands`, `work` and `explain` answer.

use dropless::op::flash_attn::{KvIndex, Lse, Mask, Window};
use dropless::op::grouped_gemm::{Combine, Epilogue, Gather, LocalExperts};
use dropless::op::moe::{CombineSpec, DispatchSpec, PermuteSpec, RouteSpec, Score, SortSpec};
use dropless::op::*;
use dropless::{Cpu, DType, Op};
use proptest::prelude::*;

/// None, few, more than i32 counts, more than there are addresses.
fn size() -> impl Strategy<Value = usize> {
    prop::sample::select(&[0, 1, 2, 4, 32, 64, 128, 1 << 31, 1 << 33, 1 << 61, usize::MAX - 1, usize::MAX][..])
}

fn sizes<const N: usize>() -> impl Strategy<Value = [usize; N]> {
    prop::collection::vec(size(), N).prop_map(|v| v.try_into().unwrap_or([0; N]))
}

/// A spec that passes asks for operands that can be addressed; one that does not names what is wrong.
fn answers<O: Op>(op: O) -> Result<(), TestCaseError> {
    let (operands, _) = (op.operands(), op.work());
    match op.check() {
        Ok(()) => prop_assert!(operands.iter().all(|o| o.shape.checked_len().is_some()), "{op:?}"),
        Err(e) => prop_assert!(!e.operand.is_empty() && e.op == O::NAME, "{op:?}: {e}"),
    }
    Ok(())
}

/// With a hint of any size, for any known device.
#[cfg(all(feature = "cuda", feature = "hip", feature = "wgpu"))]
fn explained<O: Op>(op: O) -> Result<(), TestCaseError>
where
    dropless::Cuda: dropless::Explain<O>,
    dropless::Hip: dropless::Explain<O>,
    dropless::Wgpu: dropless::Explain<O>,
{
    use dropless::backend::Arch;
    use dropless::devices::known::{KNOWN, Known};
    use dropless::{Cuda, Explain, Hint, Hip, Wgpu};
    for rows in [None, Some(0), Some(1 << 33), Some(usize::MAX)] {
        let hint = Hint { rows, ..Hint::default() };
        for device in KNOWN.iter().map(Known::info) {
            // The one of wgpu is told for WebGPU's default limits, whatever the device.
            let told = match device.arch {
                Arch::Gfx(_) => Hip::explain(&op, &device, hint),
                _ => Cuda::explain(&op, &device, hint),
            };
            for told in [told, Wgpu::explain(&op, &device, hint)] {
                prop_assert!(told.is_ok() || !told.unwrap_err().to_string().is_empty(), "{op:?}");
            }
        }
    }
    Ok(())
}

#[cfg(not(all(feature = "cuda", feature = "hip", feature = "wgpu")))]
fn explained<O: Op>(_: O) -> Result<(), TestCaseError> {
    Ok(())
}

macro_rules! answers {
    ($op:expr) => {{
        let op = $op;
        answers(op).and_then(|()| explained(op))
    }};
}

fn store() -> impl Strategy<Value = KvStore> {
    let layouts = |x| [PageLayout::Nhd, PageLayout::Hnd, PageLayout::XSplit { x }];
    (sizes::<3>(), 0usize..4).prop_map(move |([n, page_size, x], which)| match layouts(x).get(which) {
        Some(layout) => KvStore::Paged { pages: n, page_size, layout: *layout },
        None => KvStore::Packed { tokens: n },
    })
}

fn index() -> impl Strategy<Value = KvIndex> {
    (size(), 0usize..4).prop_map(|(n, which)| match which {
        0 => KvIndex::CuSeqlens,
        1 => KvIndex::StartLen,
        2 => KvIndex::BlockTable { max_pages: n },
        _ => KvIndex::Indptr { entries: n },
    })
}

fn mask() -> impl Strategy<Value = Mask> {
    (size(), 0usize..4).prop_map(|(n, which)| match which {
        0 => Mask::Bidirectional,
        1 => Mask::Causal,
        2 => Mask::Sliding(Window::VisibleKeys(n)),
        _ => Mask::Sliding(Window::KeysBefore(n)),
    })
}

fn attention([sequences, q_tokens, max_q_len, max_k_len, q_heads, kv_heads, head_dim]: [usize; 7]) -> FlashAttnSpec {
    FlashAttnSpec {
        sequences,
        q_tokens,
        max_q_len,
        max_k_len,
        q_heads,
        kv_heads,
        head_dim,
        q: DType::Bf16,
        kv: DType::Bf16,
        kv_scales: false,
        out: DType::Bf16,
        sm_scale: 0.125.into(),
        mask: Mask::Causal,
        sinks: Some(DType::Bf16),
        lse: Lse::WithSink,
        store: KvStore::Packed { tokens: 1 },
        index: KvIndex::CuSeqlens,
        splits: None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn attention_of_any_size(s in sizes::<7>(), store in store(), index in index(), mask in mask()) {
        answers!(FlashAttnSpec { store, index, mask, ..attention(s) })?;
    }

    #[test]
    fn gemms_of_any_size(s in sizes::<10>(), which in 0usize..4, options in any::<[bool; 4]>()) {
        let [experts, first, count, rows, n, k, input_rows, divide, tokens, top_k] = s;
        let formats = [WeightFormat::Mxfp4, WeightFormat::Mxfp4Gguf, WeightFormat::Mxfp4Tiled];
        let [grouped, gated, gather, combine] = options;
        answers!(GroupedGemmSpec {
            experts,
            local: LocalExperts { first, count },
            weights: formats.get(which).copied().unwrap_or(WeightFormat::Dense(DType::F16)),
            epilogue: if gated { Epilogue::Swiglu(Swiglu::GPT_OSS) } else { Epilogue::None },
            grouped,
            gather: gather.then_some(Gather { input_rows, divide }),
            combine: combine.then_some(Combine { tokens, top_k, weight: DType::F32 }),
            ..GroupedGemmSpec::linear(rows, n, k, DType::Bf16, DType::Bf16, Some(DType::Bf16), DType::Bf16)
        })?;
    }

    #[test]
    fn dispatch_of_any_size([tokens, experts, top_k, dim, rows] in sizes::<5>()) {
        let (bf16, f32, score) = (DType::Bf16, DType::F32, Score::SoftmaxAfterTopK);
        let route = RouteSpec { tokens, experts, top_k, logits: f32, weight: f32, score };
        answers!(route)?;
        answers!(SortSpec { tokens, experts, top_k })?;
        answers!(DispatchSpec { route })?;
        answers!(PermuteSpec { tokens, top_k, dim, x: bf16 })?;
        answers!(CombineSpec { tokens, rows, top_k, dim, y: bf16, weight: f32, out: bf16 })?;
    }

    #[test]
    fn small_ops_of_any_size([tokens, dim, heads, kv_heads, head_dim, positions] in sizes::<6>(), store in store()) {
        let (x, table, pairing) = (DType::Bf16, DType::F32, Pairing::HalfSplit);
        answers!(RmsNormSpec { rows: tokens, dim, eps: 1e-5.into(), x, weight: x, out: x, residual: true })?;
        answers!(SwigluSpec { rows: tokens, width: dim, x, out: x, swiglu: Swiglu::SILU })?;
        answers!(EmbeddingSpec { tokens, vocab: positions, dim, table: x, out: x })?;
        answers!(ArgmaxSpec { rows: tokens, columns: dim, x })?;
        answers!(Mxfp4PrepackSpec { experts: tokens, n: positions, k: dim })?;
        answers!(RopeSpec { tokens, heads, head_dim, positions, x, out: x, table, pairing })?;
        answers!(KvAppendSpec {
            tokens, kv_heads, q_heads: heads, head_dim, x, q_out: x, cache: x, scales: false, store, positions, table, pairing,
        })?;
    }

    /// Two flops a product, one product for q·k and one for p·v, in every element of every visible pair.
    #[test]
    fn attention_counts_visible_pairs(q_len in 0usize..20, k_len in 0usize..20, window in 1usize..24, which in 0usize..3) {
        let masks = [Mask::Bidirectional, Mask::Causal, Mask::Sliding(Window::VisibleKeys(window))];
        let op = FlashAttnSpec { mask: masks[which], ..attention([1, q_len, q_len, k_len, 4, 2, 64]) };
        let visible = |r: usize| (0..k_len).filter(|j| op.mask.visible((k_len + r) as i64 - q_len as i64, *j as i64)).count();
        let pairs: usize = (0..q_len).map(visible).sum();
        prop_assert_eq!(op.work().flops, (pairs * 4 * 4 * 64) as u64);
    }
}

/// What no random spec may be: one that real kernels take.
#[test]
fn hints_of_any_size() {
    let bf16 = DType::Bf16;
    let linear = GroupedGemmSpec::linear(64, 5120, 2880, bf16, bf16, Some(bf16), bf16);
    let local = LocalExperts { first: 0, count: 32 };
    let grouped = GroupedGemmSpec { experts: 32, local, grouped: true, rows: 256, n: 5760, ..linear };
    answers!(linear).unwrap();
    for weights in [WeightFormat::Mxfp4, WeightFormat::Mxfp4Tiled, WeightFormat::Dense(bf16)] {
        answers!(GroupedGemmSpec { weights, ..grouped }).unwrap();
    }
}

/// Rows may be apart, but not below one another, and not where their places are no numbers.
#[test]
fn strides_are_held_to_what_can_be_addressed() {
    let (x, most) = (DType::Bf16, isize::MAX as usize);
    let op = RmsNormSpec { rows: 2, dim: 8, eps: 1e-5.into(), x, weight: x, out: x, residual: false };
    let (input, mut output) = (vec![0u8; 32], vec![0u8; 32]);
    let mut bound = |x_stride: usize, weight_stride: usize| {
        let y = Cpu::view_mut(&mut output, x, &[2, 8]).unwrap();
        // SAFETY: nothing reads these views.
        let of = |shape: &[usize], stride| unsafe { Cpu::view(&input, x, shape).unwrap().with_row_stride(stride) };
        op.bind(&RmsNormArgs::new(of(&[2, 8], x_stride), of(&[8], weight_stride), y)).map_err(|e| e.to_string())
    };
    assert_eq!([bound(8, 1), bound(9, 1), bound(most / 4, 1)], [const { Ok(()) }; 3]);
    assert!(bound(7, 1).unwrap_err().contains("row stride >= 8"));
    assert!(bound(8, 2).unwrap_err().contains("`weight`"));
    for stride in [most / 4 + 1, most, most + 1, usize::MAX] {
        let refused = bound(stride, 1).unwrap_err();
        assert!(refused.contains("`x`") && refused.contains("addressed") && refused.contains(&stride.to_string()));
    }
}
