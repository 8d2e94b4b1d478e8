//! The CUDA backend on whatever device is here. Without one these tests say so and pass, unless DROPLESS_REQUIRE names cuda.
#![cfg(all(feature = "cuda", feature = "testing"))]

use dropless::devices::required;
use dropless::testing::vectors::{Class, Vectors};
use dropless::testing::{Filter, Report, Status, conform};
use dropless::{Cuda, Error};
use std::sync::Arc;

fn device() -> Option<Cuda> {
    match Cuda::new(0) {
        Ok(cuda) => Some(cuda),
        Err(e) => {
            assert!(!required("cuda"), "{e}");
            eprintln!("skipped: {e}");
            None
        }
    }
}

/// Nothing failed; something passed; nothing was skipped but for f64, which is the oracle's alone.
fn assert_all_passed(report: &Report) {
    let words = |status| {
        let rows = report.with(status);
        rows.map(|r| format!("{} {}: {}\n", r.op, r.case, r.message)).collect::<String>()
    };
    assert!(report.ok(), "{report}\n{}", words(Status::Failed));
    assert!(report.count(Status::Passed) > 0, "{report}");
    let unexpected = report.with(Status::Skipped).filter(|r| !r.message.contains("f64")).count();
    assert_eq!(unexpected, 0, "{report}\n{}", words(Status::Skipped));
    eprintln!("{report}");
}

#[test]
fn a_device_that_is_not_there_is_refused_in_words() {
    match Cuda::new(99) {
        Err(Error::Unavailable { backend: "cuda", reason }) => assert!(reason.contains(' '), "{reason}"),
        other => panic!("{:?}", other.map(|_| "a device")),
    }
}

#[test]
fn every_case_of_every_op() {
    let Some(cuda) = device() else { return };
    assert_all_passed(&conform::run(&cuda, &Filter::default(), |_| {}));
}

/// Each attention variant on every case it may run: the others are refused, not run by another.
#[test]
fn attention_variants_when_forced() {
    let Some(cuda) = device() else { return };
    for variant in ["sm80_decode", "sm80_prefill", "simt"] {
        let filter = Filter { ops: vec!["flash_attn".into()], variant: Some(variant.into()), ..Filter::default() };
        let report = conform::run(&cuda, &filter, |_| {});
        let failed: Vec<String> =
            report.with(Status::Failed).map(|r| format!("{variant} {}: {}", r.case, r.message)).collect();
        assert!(failed.is_empty(), "{failed:#?}");
        assert!(report.count(Status::Passed) > 0, "{variant}: {report}");
    }
}

/// Variants that the chooser would not take at these sizes.
#[test]
fn every_variant_when_forced() {
    let Some(cuda) = device() else { return };
    for variant in ["one_block", "two_launches"] {
        let ops = ["moe_sort", "moe_dispatch"].map(String::from).into();
        assert_all_passed(&conform::run(
            &cuda,
            &Filter { ops, variant: Some(variant.into()), ..Filter::default() },
            |_| {},
        ));
    }
}

#[test]
fn golden_vectors() {
    let Some(cuda) = device() else { return };
    assert_all_passed(&Vectors::bundled().unwrap().run(&Arc::new(cuda), Class::Bf16, &Filter::default(), |_| {}));
}

/// The variants without tensor cores are exact enough for class f32.
#[test]
fn golden_vectors_in_f32() {
    let Some(cuda) = device() else { return };
    let ops = ["grouped_gemm", "flash_attn"].map(String::from).to_vec();
    let filter = Filter { ops, variant: Some("simt".into()), ..Filter::default() };
    assert_all_passed(&Vectors::bundled().unwrap().run(&Arc::new(cuda), Class::F32, &filter, |_| {}));
}
