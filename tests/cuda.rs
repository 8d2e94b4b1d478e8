//! The CUDA backend on whatever device is here. Without one these tests say so and pass, unless DROPLESS_REQUIRE names cuda.
#![cfg(all(feature = "cuda", feature = "testing"))]

use dropless::testing::vectors::{Class, Vectors};
use dropless::testing::{Filter, Report, Status, conform, present};
use dropless::{Cuda, Error};
use std::sync::Arc;

fn device() -> Option<Cuda> {
    present(Cuda::new(0)).unwrap()
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

/// Each variant on every case that it may run, whether the chooser would take it or not. What it may not run is refused and
/// never run by another.
#[test]
fn every_variant_when_forced() {
    let Some(cuda) = device() else { return };
    for (op, variant) in dropless::cuda::variants() {
        let filter = Filter { ops: vec![op.into()], variant: Some(variant.into()), ..Filter::default() };
        let report = conform::run(&cuda, &filter, |_| {});
        let failed: Vec<String> = report.with(Status::Failed).map(|r| format!("{}: {}", r.case, r.message)).collect();
        assert!(failed.is_empty(), "{op} {variant}: {failed:#?}");
        // Made for another generation, or a later one: every case is refused for that.
        let other = report.rows.iter().all(|r| r.status == Status::Skipped && r.message.contains("this is sm_"));
        assert!(report.count(Status::Passed) > 0 || other, "{op} {variant}: {report}");
        eprintln!("{op} {variant}: {report}{}", if other { ", not for this device" } else { "" });
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
