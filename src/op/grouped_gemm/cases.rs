//! Test cases of the grouped GEMM.

use super::{Combine, Epilogue, Gather, GroupedGemmSpec, LocalExperts, WeightFormat};
use crate::dtype::{DType, Scalar};
use crate::op::cases::{Case, Cases, Data, sum_of_products};
use crate::op::{GateUp, Swiglu};

const BASE: GroupedGemmSpec = GroupedGemmSpec {
    experts: 5,
    local: LocalExperts { first: 0, count: 5 },
    rows: 37,
    n: 48,
    k: 96,
    a: DType::Bf16,
    weights: WeightFormat::Mxfp4,
    bias: Some(DType::Bf16),
    d: DType::Bf16,
    epilogue: Epilogue::None,
    grouped: true,
    gather: None,
    combine: None,
};

const GATHER: Gather = Gather { input_rows: 13, divide: 3 };
const COMBINE: Combine = Combine { tokens: 13, top_k: 3, weight: DType::F32 };
const FORMATS: [(&str, WeightFormat); 6] = [
    ("mxfp4", WeightFormat::Mxfp4),
    ("gguf", WeightFormat::Mxfp4Gguf),
    ("tiled", WeightFormat::Mxfp4Tiled),
    ("bf16", WeightFormat::Dense(DType::Bf16)),
    ("f16", WeightFormat::Dense(DType::F16)),
    ("f32", WeightFormat::Dense(DType::F32)),
];

impl Cases for GroupedGemmSpec {
    fn cases() -> Vec<Case<Self>> {
        let mut cases = formats_and_types();
        cases.extend(epilogues());
        cases.extend(indices());
        cases.extend(shapes());
        cases
    }

    /// K products and the bias.
    fn accumulation(&self) -> f64 {
        sum_of_products(self.k + 1)
    }
}

fn formats_and_types() -> Vec<Case<GroupedGemmSpec>> {
    let mut cases = Vec::new();
    for (name, weights) in FORMATS {
        cases.push(Case::usual(format!("weights_{name}"), GroupedGemmSpec { weights, ..BASE }));
        let extreme = GroupedGemmSpec { weights, a: DType::F32, d: DType::F32, ..BASE };
        cases.push(Case::usual(format!("weights_{name}_extreme"), extreme).on(Data::Extreme));
        cases.push(
            Case::usual(format!("weights_{name}_extreme_bf16"), GroupedGemmSpec { weights, ..BASE }).on(Data::Extreme),
        );
    }
    for (a, d) in
        [(DType::F16, DType::F16), (DType::F32, DType::F32), (DType::Bf16, DType::F32), (DType::F32, DType::Bf16)]
    {
        for (name, weights) in [FORMATS[0], FORMATS[3]] {
            cases.push(Case::usual(format!("a_{a}_d_{d}_{name}"), GroupedGemmSpec { a, d, weights, ..BASE }));
        }
    }
    for bias in [None, Some(DType::F16), Some(DType::F32)] {
        let name = bias.map_or("none".into(), |b| b.to_string());
        cases.push(Case::usual(format!("bias_{name}"), GroupedGemmSpec { bias, ..BASE }));
    }
    cases
}

fn epilogues() -> Vec<Case<GroupedGemmSpec>> {
    let (unlimited, halves) = (Swiglu { limit: None, ..Swiglu::GPT_OSS }, GateUp::Halves);
    let kinds = [
        ("gpt_oss", Swiglu::GPT_OSS),
        ("silu_halves", Swiglu::SILU),
        ("limit_halves", Swiglu { layout: halves, limit: Some(Scalar(2.0)), ..Swiglu::GPT_OSS }),
        ("unlimited", unlimited),
    ];
    let mut cases = Vec::new();
    for (name, swiglu) in kinds {
        let op = GroupedGemmSpec { epilogue: Epilogue::Swiglu(swiglu), ..BASE };
        cases.push(Case::usual(format!("swiglu_{name}"), op));
        let gathered = GroupedGemmSpec { gather: Some(GATHER), weights: WeightFormat::Mxfp4Tiled, ..op };
        cases.push(Case::usual(format!("swiglu_{name}_gather_tiled"), gathered));
        let combined = GroupedGemmSpec { combine: Some(COMBINE), d: DType::F32, ..op };
        cases.push(Case::usual(format!("swiglu_{name}_combine"), combined));
    }
    let narrow = GroupedGemmSpec { n: 2, epilogue: Epilogue::Swiglu(Swiglu::GPT_OSS), ..BASE };
    cases.push(Case::usual("swiglu_one_column", narrow));
    cases
}

fn indices() -> Vec<Case<GroupedGemmSpec>> {
    let (gather, combine) = (Some(GATHER), Some(COMBINE));
    let local = |first, count| GroupedGemmSpec { local: LocalExperts { first, count }, ..BASE };
    let k16 = Combine { tokens: 4, top_k: 16, weight: DType::F32 };
    vec![
        Case::usual("gather", GroupedGemmSpec { gather, ..BASE }),
        Case::usual("gather_undivided", GroupedGemmSpec { gather: Some(Gather { divide: 1, ..GATHER }), ..BASE }),
        Case::usual("combine", GroupedGemmSpec { combine, ..BASE }),
        Case::usual("gather_combine_f32", GroupedGemmSpec { gather, combine, a: DType::F32, d: DType::F32, ..BASE }),
        Case::usual("combine_k1", GroupedGemmSpec { combine: Some(Combine { top_k: 1, ..COMBINE }), ..BASE }),
        Case::usual("combine_k16", GroupedGemmSpec { rows: 64, combine: Some(k16), ..BASE }),
        Case::usual("local_middle", local(1, 2)),
        Case::usual("local_last", local(4, 1)),
        Case::usual("local_none", local(2, 0)),
        Case::usual("local_combine", GroupedGemmSpec { combine, ..local(2, 3) }),
        skewed("mxfp4", WeightFormat::Mxfp4),
        skewed("tiled", WeightFormat::Mxfp4Tiled),
        skewed("bf16", WeightFormat::Dense(DType::Bf16)),
        Case::usual("faulty", GroupedGemmSpec { gather, combine, ..BASE }).on(Data::Faulty),
        Case::usual("faulty_rows", GroupedGemmSpec { gather, ..BASE }).on(Data::Faulty),
    ]
}

/// More rows of one expert than any variant takes at once, and many experts without.
fn skewed(name: &str, weights: WeightFormat) -> Case<GroupedGemmSpec> {
    let local = LocalExperts { first: 0, count: 32 };
    let op = GroupedGemmSpec {
        experts: 32,
        local,
        rows: 540,
        weights,
        gather: Some(GATHER),
        combine: Some(COMBINE),
        ..BASE
    };
    Case::usual(format!("skewed_{name}"), op).on(Data::Skewed)
}

fn shapes() -> Vec<Case<GroupedGemmSpec>> {
    let dense = WeightFormat::Dense(DType::Bf16);
    let local = |count| LocalExperts { first: 0, count };
    let mut cases = vec![
        Case::usual("experts_512", GroupedGemmSpec { experts: 512, local: local(512), rows: 70, n: 8, k: 32, ..BASE }),
        Case::usual("experts_1", GroupedGemmSpec { experts: 1, local: local(1), ..BASE }),
        Case::usual("rows_0", GroupedGemmSpec { rows: 0, ..BASE }),
        Case::usual("rows_1", GroupedGemmSpec { rows: 1, ..BASE }),
        Case::usual("rows_200", GroupedGemmSpec { rows: 200, ..BASE }),
        Case::usual("k_7_dense", GroupedGemmSpec { k: 7, weights: dense, ..BASE }),
        Case::usual("linear", GroupedGemmSpec::linear(19, 33, 80, DType::Bf16, DType::Bf16, None, DType::F32)),
        Case::usual(
            "linear_bias",
            GroupedGemmSpec::linear(3, 40, 64, DType::F32, DType::Bf16, Some(DType::Bf16), DType::F32),
        ),
        Case::usual(
            "linear_tiles",
            GroupedGemmSpec::linear(200, 392, 520, DType::Bf16, DType::Bf16, Some(DType::Bf16), DType::Bf16),
        ),
    ];
    for (rows, n, k, dtype) in [
        (1, 37, 2880, DType::Bf16),
        (1, 6, 24, DType::F16),
        (2, 65, 520, DType::F16),
        (3, 40, 1032, DType::Bf16),
        (8, 33, 288, DType::Bf16),
        (20, 1041, 40, DType::Bf16),
        (40, 24, 72, DType::F16),
        (140, 150, 144, DType::F16),
    ] {
        let op = GroupedGemmSpec::linear(rows, n, k, dtype, dtype, Some(dtype), DType::F32);
        cases.push(Case::usual(format!("linear_{rows}x{n}_{dtype}"), op));
        cases.push(Case::usual(format!("linear_{rows}x{n}_{dtype}_extreme"), op).on(Data::Extreme));
    }
    for n in [1, 7, 65, 130] {
        cases.push(Case::usual(format!("n_{n}"), GroupedGemmSpec { n, ..BASE }));
        cases.push(Case::usual(
            format!("n_{n}_tiled"),
            GroupedGemmSpec { n, weights: WeightFormat::Mxfp4Tiled, ..BASE },
        ));
    }
    for k in [32, 160, 288] {
        cases.push(Case::usual(format!("k_{k}"), GroupedGemmSpec { k, ..BASE }));
        cases.push(Case::usual(
            format!("k_{k}_tiled"),
            GroupedGemmSpec { k, weights: WeightFormat::Mxfp4Tiled, ..BASE },
        ));
    }
    // A row that more invocations convert than a workgroup has.
    let tiled = WeightFormat::Mxfp4Tiled;
    let long = GroupedGemmSpec { experts: 2, local: local(2), rows: 5, n: 32, k: 2112, weights: tiled, ..BASE };
    cases.push(Case::usual("k_2112_tiled", long));
    cases
}
