//! Which kernel of a variant runs.

use super::*;
use crate::op::grouped_gemm::Gather;
use crate::op::{Op, Swiglu};
use dropless_kernels_cuda::ARTIFACTS;

/// Specs that differ in what kernels are chosen by.
fn specs() -> Vec<GroupedGemmSpec> {
    let mut all = Vec::new();
    for a in [DType::Bf16, DType::F16] {
        let formats = [WeightFormat::Dense(a), WeightFormat::Mxfp4, WeightFormat::Mxfp4Gguf, WeightFormat::Mxfp4Tiled];
        for (weights, rows) in formats.into_iter().flat_map(|w| [1, 2, 4, 8, 16, 32].map(|rows| (w, rows))) {
            for (n, epilogue) in [(64, Epilogue::None), (5120, Epilogue::None), (64, Epilogue::Swiglu(Swiglu::GPT_OSS))]
            {
                let linear = GroupedGemmSpec::linear(rows, n, 64, a, a, None, a);
                all.push(GroupedGemmSpec { weights, epilogue, ..linear });
            }
        }
    }
    all
}

/// What `launch` records, but for the passes that gather and combine.
fn kernel(op: &GroupedGemmSpec, artifact: &Artifact) -> usize {
    match Kind::of(artifact) {
        Kind::Tiles(tiles) => tiles.kernel(op),
        Kind::Rebased(rebased) => rebased.kernel(op),
        Kind::Prefill(prefill) => prefill.kernel(op),
        Kind::Vector(vector) => vector.kernel(op),
        Kind::Split(split) => split.kernel(op),
        Kind::Decode(_) | Kind::Streamed(_) | Kind::Direct(_) | Kind::Simt => 0,
    }
}

#[test]
fn every_kernel_is_some_spec_s_and_of_its_type() {
    for artifact in ARTIFACTS.iter().filter(|a| a.ops.contains(&GroupedGemmSpec::NAME)) {
        let names: Vec<_> = artifact.entries.iter().map(|e| e.to_str().unwrap()).collect();
        let mut picked: Vec<_> = names.iter().map(|n| ["grouped_gather", "grouped_finish"].contains(n)).collect();
        for op in specs().iter().filter(|op| op.check().is_ok() && op.legal(artifact).is_ok()) {
            let kernel = kernel(op, artifact);
            assert!(kernel < names.len(), "{} has no kernel {kernel} for {op:?}", artifact.variant);
            picked[kernel] = true;
            let of: Vec<_> = names[kernel].split('_').filter(|part| ["bf16", "f16"].contains(part)).collect();
            assert!(of.is_empty() || of == [op.a.to_string()], "{}: {} for {op:?}", artifact.variant, names[kernel]);
        }
        let unused: Vec<_> = names.iter().zip(picked).filter(|(_, picked)| !picked).collect();
        assert!(unused.is_empty(), "{}: {unused:?}", artifact.variant);
    }
}

#[test]
fn passes_before_and_after_lie_where_launches_look_for_them() {
    let gather = Some(Gather { input_rows: 9, divide: 4 });
    for artifact in ARTIFACTS.iter().filter(|a| a.ops.contains(&GroupedGemmSpec::NAME)) {
        let finishes = |op: &GroupedGemmSpec| {
            op.legal(artifact).is_ok()
                && !matches!(Kind::of(artifact), Kind::Vector(_) | Kind::Direct(_) | Kind::Split(_))
        };
        if specs().iter().any(finishes) {
            assert_eq!(artifact.entries.last(), Some(&c"grouped_finish"), "{}", artifact.variant);
        }
        let gathers = |op: GroupedGemmSpec| {
            matches!(Kind::of(artifact), Kind::Prefill(_)) && GroupedGemmSpec { gather, ..op }.legal(artifact).is_ok()
        };
        if specs().into_iter().any(gathers) {
            assert_eq!(artifact.entries.first(), Some(&c"grouped_gather"), "{}", artifact.variant);
        }
    }
}
