//! The grouped GEMM against a triple loop, and its options one by one.

use super::*;
use dropless::mxfp4::{OpenAi, tiled_experts, to_gguf};
use dropless::op::{
    Combine, Epilogue, GateUp, Gather, GroupedGemmArgs, GroupedGemmSpec, LocalExperts, Swiglu, WeightFormat,
};
use dropless::{View, mxfp4};

const E: usize = 3;
const N: usize = 4;
const K: usize = 32;
/// Expert 0 owns rows 0..2, expert 1 none, expert 2 rows 2..5; row 5 belongs to nobody.
const OFFSETS: [i32; 4] = [0, 2, 2, 5];
const ROWS: usize = 6;

fn spec(weights: WeightFormat) -> GroupedGemmSpec {
    GroupedGemmSpec {
        experts: E,
        local: LocalExperts { first: 0, count: E },
        grouped: true,
        weights,
        ..GroupedGemmSpec::linear(ROWS, N, K, DType::F32, DType::F32, Some(DType::F32), DType::F32)
    }
}

/// Small whole numbers: every sum of products is exact in f32.
fn small(n: usize, seed: usize) -> Vec<f64> {
    (0..n).map(|i| ((i * 7 + seed) * 13 % 9) as f64 - 4.0).collect()
}

struct Case {
    a: Vec<f64>,
    bias: Vec<f64>,
    w: Vec<f64>,
    blocks: Vec<u8>,
    scales: Vec<u8>,
}

impl Case {
    /// MXFP4 weights with scales 1/2, 1, 2, and their values.
    fn new(input_rows: usize) -> Self {
        let blocks: Vec<u8> = (0..E * N * K / 2).map(|i| (i * 37 % 251) as u8).collect();
        let scales: Vec<u8> = (0..E * N * K / 32).map(|i| 126 + (i % 3) as u8).collect();
        let w = blocks.iter().enumerate().flat_map(|(i, byte)| {
            let scale = mxfp4::scale_value(scales[i / 16]);
            [byte & 15, byte >> 4].map(|code| f64::from(mxfp4::E2M1[usize::from(code)]) * scale)
        });
        Case { a: small(input_rows * K, 1), bias: small(E * N, 5), w: w.collect(), blocks, scales }
    }

    /// `a[row] · W[e]ᵀ + bias[e]`.
    fn y(&self, row: usize, e: usize) -> Vec<f64> {
        let one = |n: usize| {
            (0..K).map(|k| self.a[row * K + k] * self.w[(e * N + n) * K + k]).sum::<f64>() + self.bias[e * N + n]
        };
        (0..N).map(one).collect()
    }

    /// `w`, and `w_scales` if the format has them, of the local experts.
    fn weights(&self, spec: &GroupedGemmSpec) -> (Tensor<Cpu>, Option<Tensor<Cpu>>) {
        let LocalExperts { first, count } = spec.local;
        let per = |len: usize| first * len / E..(first + count) * len / E;
        let (blocks, scales) = (&self.blocks[per(self.blocks.len())], &self.scales[per(self.scales.len())]);
        let raw = |shape: &[usize], dtype, bytes: &[u8]| Tensor::from_bytes(&Cpu::new(), dtype, shape, bytes).unwrap();
        let view = OpenAi::new(blocks, scales, count * N, K).unwrap();
        match spec.weights {
            WeightFormat::Dense(dtype) => (floats(dtype, &[count, N, K], &self.w[per(self.w.len())]), None),
            WeightFormat::Mxfp4 => {
                (raw(&[count, N, 1, 16], DType::E2m1x2, blocks), Some(raw(&[count, N, 1], DType::E8m0, scales)))
            }
            WeightFormat::Mxfp4Gguf => (raw(&[count, N, 1, 17], DType::U8, &to_gguf(&view)), None),
            WeightFormat::Mxfp4Tiled => {
                let tiles: Vec<u8> = tiled_experts(blocks, scales, N, K).flat_map(Result::unwrap).collect();
                (raw(&[count, tiles.len() / count], DType::U8, &tiles), None)
            }
        }
    }

    fn bias(&self, spec: &GroupedGemmSpec) -> Option<Tensor<Cpu>> {
        let LocalExperts { first, count } = spec.local;
        spec.bias.map(|dtype| floats(dtype, &[count, N], &self.bias[first * N..(first + count) * N]))
    }
}

/// Index operands of a call.
#[derive(Default)]
struct Indices<'a> {
    row_index: Option<&'a [i32]>,
    row_of: Option<&'a [i32]>,
    weight: Option<&'a [f64]>,
}

fn call(
    cpu: &Cpu,
    spec: GroupedGemmSpec,
    case: &Case,
    offsets: &[i32],
    indices: Indices<'_>,
) -> (Vec<f64>, Vec<Fault>) {
    let (w, w_scales) = case.weights(&spec);
    let (bias, a) = (case.bias(&spec), floats(spec.a, &[case.a.len() / K, K], &case.a));
    let offsets = ints(&[offsets.len()], offsets);
    let row_index = indices.row_index.map(|i| ints(&[i.len()], i));
    let row_of = indices.row_of.map(|i| ints(&[i.len()], i));
    let weight = indices.weight.map(|v| floats(DType::F32, &[spec.out_rows(), v.len() / spec.out_rows()], v));
    let (mut d, mut word) =
        (floats(spec.d, &[spec.out_rows(), spec.n_out()], &vec![99.0; spec.out_rows() * spec.n_out()]), status());
    let args = GroupedGemmArgs {
        a: a.view(),
        w: w.view(),
        w_scales: w_scales.as_ref().map(Tensor::view),
        bias: bias.as_ref().map(Tensor::view),
        offsets: Some(offsets.view()),
        row_index: row_index.as_ref().map(Tensor::view),
        row_of: row_of.as_ref().map(Tensor::view),
        combine_weight: weight.as_ref().map(Tensor::view),
        d: d.view_mut(),
        status: Some(word.view_mut()),
    };
    run(cpu, spec, args);
    (values(&d), faults(&word))
}

const FORMATS: [WeightFormat; 6] = [
    WeightFormat::Mxfp4,
    WeightFormat::Mxfp4Gguf,
    WeightFormat::Mxfp4Tiled,
    WeightFormat::Dense(DType::F32),
    WeightFormat::Dense(DType::Bf16),
    WeightFormat::Dense(DType::F16),
];

#[test]
fn every_format_is_the_triple_loop() {
    let case = Case::new(ROWS);
    let want: Vec<f64> =
        [(0, 0), (1, 0), (2, 2), (3, 2), (4, 2)].iter().flat_map(|(r, e)| case.y(*r, *e)).chain([99.0; N]).collect();
    for weights in FORMATS {
        for cpu in [Cpu::new(), Cpu::oracle(), Cpu::twin()] {
            let got = call(&cpu, spec(weights), &case, &OFFSETS, Indices::default());
            assert_eq!(got, (want.clone(), vec![]), "{weights:?}");
        }
    }
}

#[test]
fn rows_of_experts_elsewhere_are_zero() {
    let case = Case::new(ROWS);
    for weights in FORMATS {
        let spec = GroupedGemmSpec { local: LocalExperts { first: 1, count: 2 }, ..spec(weights) };
        let want: Vec<f64> =
            [0.0; 2 * N].into_iter().chain((2..5).flat_map(|r| case.y(r, 2))).chain([99.0; N]).collect();
        assert_eq!(call(&Cpu::new(), spec, &case, &OFFSETS, Indices::default()), (want, vec![]), "{weights:?}");
    }
}

#[test]
fn bad_offsets_are_clamped() {
    let case = Case::new(ROWS);
    // Meant 0, 4, 3, 99: expert 0 owns 0..4, expert 1 none, expert 2 the rest.
    let (got, fault) = call(&Cpu::new(), spec(WeightFormat::Mxfp4), &case, &[-1, 4, 3, 99], Indices::default());
    let want: Vec<f64> = (0..6).flat_map(|r| case.y(r, if r < 4 { 0 } else { 2 })).collect();
    assert_eq!((got, fault), (want, vec![Fault::Offsets]));
}

#[test]
fn a_gather_divides_and_reads_zeros_outside() {
    let case = Case::new(3);
    let spec = GroupedGemmSpec { gather: Some(Gather { input_rows: 3, divide: 2 }), ..spec(WeightFormat::Mxfp4) };
    // Rows 2, 0, 1, outside, outside; the last entry belongs to nobody and is not looked at.
    let indices = Indices { row_index: Some(&[5, 1, 2, 6, -1, 77]), ..Indices::default() };
    let (got, fault) = call(&Cpu::new(), spec, &case, &OFFSETS, indices);
    let bias = &case.bias[2 * N..];
    let want = [&case.y(2, 0)[..], &case.y(0, 0), &case.y(1, 2), bias, bias, &[99.0; N]].concat();
    assert_eq!((got, fault), (want, vec![Fault::RowIndex]));
}

#[test]
fn a_combine_sums_weighted_rows() {
    let case = Case::new(ROWS);
    let combine = Combine { tokens: 4, top_k: 2, weight: DType::F32 };
    let spec = GroupedGemmSpec { combine: Some(combine), ..spec(WeightFormat::Mxfp4) };
    // Row 5 belongs to nobody; a NaN weight on what contributes nothing does not matter.
    let weight = [2.0, 0.5, 1.0, f64::NAN, f64::NAN, f64::NAN, 1.0, 1.0];
    let sum = |terms: &[(f64, usize, usize)]| {
        (0..N).map(|n| terms.iter().map(|(w, r, e)| w * case.y(*r, *e)[n]).sum::<f64>()).collect::<Vec<_>>()
    };
    let want = [sum(&[(2.0, 0, 0), (0.5, 4, 2)]), sum(&[(1.0, 2, 2)]), vec![0.0; N], sum(&[(1.0, 1, 0), (1.0, 1, 0)])];
    for (stray, fault) in [(-1, vec![]), (6, vec![Fault::RowIndex])] {
        let rows = [0, 4, 2, 5, stray, -1, 1, 1];
        let indices = Indices { row_of: Some(&rows), weight: Some(&weight), ..Indices::default() };
        assert_eq!(call(&Cpu::new(), spec, &case, &OFFSETS, indices), (want.concat(), fault));
    }
    // Expert 0 elsewhere: its rows add nothing.
    let spec = GroupedGemmSpec { local: LocalExperts { first: 2, count: 1 }, ..spec };
    let indices = Indices { row_of: Some(&[0, 4, 2, 5, -1, -1, 1, 1]), weight: Some(&weight), ..Indices::default() };
    let want = [sum(&[(0.5, 4, 2)]), sum(&[(1.0, 2, 2)]), vec![0.0; 2 * N]];
    assert_eq!(call(&Cpu::new(), spec, &case, &OFFSETS, indices), (want.concat(), vec![]));
}

#[test]
fn rows_are_not_rounded_before_they_are_combined() {
    // Rows 1 + 2^-8 and 1: the difference is 2^-8, and would be 0 had the rows been bf16 like the output.
    let (a, w) = (floats(DType::F32, &[2, 1], &[1.0 + 1.0 / 256.0, 1.0]), floats(DType::F32, &[1, 1, 1], &[1.0]));
    let (row_of, weight) = (ints(&[2], &[0, 1]), floats(DType::F32, &[1, 2], &[1.0, -1.0]));
    for cpu in [Cpu::new(), Cpu::oracle(), Cpu::twin()] {
        let mut d = unwritten(DType::Bf16, &[1, 1]);
        let spec = GroupedGemmSpec {
            combine: Some(Combine { tokens: 1, top_k: 2, weight: DType::F32 }),
            ..GroupedGemmSpec::linear(2, 1, 1, DType::F32, DType::F32, None, DType::Bf16)
        };
        let args = GroupedGemmArgs {
            row_of: Some(row_of.view()),
            combine_weight: Some(weight.view()),
            ..linear_args(&a, &w, &mut d)
        };
        run(&cpu, spec, args);
        assert_eq!(values(&d), [1.0 / 256.0], "{:?}", cpu.arithmetic());
    }
}

/// Operands of a linear layer without bias.
fn linear_args<'a>(a: &'a Tensor<Cpu>, w: &'a Tensor<Cpu>, d: &'a mut Tensor<Cpu>) -> GroupedGemmArgs<'a, Cpu> {
    GroupedGemmArgs {
        a: a.view(),
        w: w.view(),
        w_scales: None,
        bias: None,
        offsets: None,
        row_index: None,
        row_of: None,
        combine_weight: None,
        d: d.view_mut(),
        status: None,
    }
}

#[test]
fn nothing_to_do_is_no_error() {
    let case = Case::new(ROWS);
    for weights in FORMATS {
        // No local experts: zeros for whoever owns rows.
        let none = GroupedGemmSpec { local: LocalExperts { first: 1, count: 0 }, bias: None, ..spec(weights) };
        if weights != WeightFormat::Mxfp4Tiled {
            let want = [[0.0; 5 * N].as_slice(), &[99.0; N]].concat();
            assert_eq!(call(&Cpu::new(), none, &case, &OFFSETS, Indices::default()).0, want, "{weights:?}");
        }
        let (no_rows, _) = call(&Cpu::new(), spec(weights), &case, &[0; 4], Indices::default());
        assert_eq!(no_rows, [99.0; ROWS * N]);
    }
    let (a, w, mut d) =
        (floats(DType::F32, &[0, 3], &[]), floats(DType::F32, &[1, 2, 3], &[1.0; 6]), unwritten(DType::F32, &[0, 2]));
    run(
        &Cpu::new(),
        GroupedGemmSpec::linear(0, 2, 3, DType::F32, DType::F32, None, DType::F32),
        linear_args(&a, &w, &mut d),
    );
}

#[test]
fn swiglu_follows_the_bias() {
    let case = Case::new(ROWS);
    // alpha 0: half the gate times up.
    for (layout, (g0, u0), (g1, u1)) in [(GateUp::Interleaved, (0, 1), (2, 3)), (GateUp::Halves, (0, 2), (1, 3))] {
        let unit = Swiglu { alpha: 0.0.into(), limit: None, up_offset: 0.0.into(), layout };
        let spec = GroupedGemmSpec { epilogue: Epilogue::Swiglu(unit), ..spec(WeightFormat::Mxfp4Tiled) };
        let (got, _) = call(&Cpu::new(), spec, &case, &OFFSETS, Indices::default());
        let y = case.y(3, 2);
        assert_eq!(got[6..8], [y[g0] / 2.0 * y[u0], y[g1] / 2.0 * y[u1]]);
        assert_eq!(got[10..], [99.0; 2]);
    }
}

#[test]
fn a_scale_of_255_makes_its_row_nan_and_no_other() {
    let mut case = Case::new(ROWS);
    case.scales[2 * N + 1] = 255;
    let (got, _) = call(&Cpu::new(), spec(WeightFormat::Mxfp4), &case, &OFFSETS, Indices::default());
    let nans: Vec<usize> = (0..got.len()).filter(|i| got[*i].is_nan()).collect();
    assert_eq!(nans, [2 * N + 1, 3 * N + 1, 4 * N + 1]);
}

#[test]
fn many_rows_and_long_sums_do_not_depend_on_the_chunk() {
    // 130 rows: three chunks. Products in f32 whatever the order: whole numbers.
    let (rows, n, k) = (130, 5, 100);
    let (a, w) = (small(rows * k, 3), small(n * k, 8));
    let (ta, tw, mut d) =
        (floats(DType::Bf16, &[rows, k], &a), floats(DType::F16, &[1, n, k], &w), unwritten(DType::F32, &[rows, n]));
    let spec = GroupedGemmSpec::linear(rows, n, k, DType::Bf16, DType::F16, None, DType::F32);
    run(&Cpu::new(), spec, linear_args(&ta, &tw, &mut d));
    let want: Vec<f64> = (0..rows * n).map(|i| (0..k).map(|j| a[i / n * k + j] * w[i % n * k + j]).sum()).collect();
    assert_eq!(values(&d), want);
}

/// Weights and rows past 2^31 elements from the start of their memory. The memory is zero pages, of which few are touched.
#[test]
fn elements_past_2_to_the_31st_are_found() {
    let (experts, n, k) = (512, 4112, 1024);
    assert!((experts - 1) * n * k > 1 << 31);
    let mut blocks = vec![0u8; experts * n * k / 2];
    let scales = vec![127u8; experts * n * k / 32];
    // Weight 0 of the last expert's last row: 6.
    blocks[(experts * n - 1) * k / 2] = 7;
    let stride = (1 << 31) + 8;
    let mut a = vec![0u16; stride + k];
    a[stride] = half::bf16::from_f32(1.5).to_bits();
    let mut offsets = vec![0; experts + 1];
    offsets[experts] = 2;
    let (offsets, mut d) = (ints(&[experts + 1], &offsets), unwritten(DType::F32, &[2, n]));
    let view = Cpu::view(&a, DType::Bf16, &[1, k]).unwrap();
    let args = GroupedGemmArgs {
        // SAFETY: two rows of k elements at this stride are what `a` holds.
        a: unsafe { View::from_raw(*view.mem(), DType::Bf16, &[2, k]).with_row_stride(stride) },
        w: Cpu::view(&blocks, DType::E2m1x2, &[experts, n, k / 32, 16]).unwrap(),
        w_scales: Cpu::view(&scales, DType::E8m0, &[experts, n, k / 32]),
        bias: None,
        offsets: Some(offsets.view()),
        row_index: None,
        row_of: None,
        combine_weight: None,
        d: d.view_mut(),
        status: None,
    };
    let spec = GroupedGemmSpec {
        experts,
        local: LocalExperts { first: 0, count: experts },
        grouped: true,
        weights: WeightFormat::Mxfp4,
        ..GroupedGemmSpec::linear(2, n, k, DType::Bf16, DType::F32, None, DType::F32)
    };
    run(&Cpu::new(), spec, args);
    let got = values(&d);
    assert_eq!(got.iter().position(|y| *y != 0.0), Some(2 * n - 1));
    assert_eq!(got[2 * n - 1], 9.0);
}
