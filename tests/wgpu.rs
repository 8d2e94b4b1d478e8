//! The wgpu backend on whatever adapter is here. Without one these tests say so and pass, unless DROPLESS_REQUIRE names wgpu.
#![cfg(all(feature = "wgpu", feature = "testing"))]

use dropless::testing::vectors::{Class, Vectors};
use dropless::testing::{Filter, Report, Status, conform, present};
use dropless::{Error, Wgpu};
use std::sync::Arc;

fn device() -> Option<Wgpu> {
    present(Wgpu::new(0)).unwrap()
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
fn an_adapter_that_is_not_there_is_refused_in_words() {
    match Wgpu::new(99) {
        Err(Error::Unavailable { backend: "wgpu", reason }) => assert!(reason.contains(' '), "{reason}"),
        other => panic!("{:?}", other.map(|_| "a device")),
    }
}

/// Every access checked.
#[test]
fn every_case_of_every_op_as_webgpu_runs_it() {
    let Some(wgpu) = present(Wgpu::portable(0)).unwrap() else { return };
    assert_all_passed(&conform::run(&wgpu, &Filter::default(), |_| {}));
}

/// Nothing checked: what a kernel wrote outside its operands would be found in their guard zones. Each variant on every case that
/// it may run, whether the chooser would take it or not.
#[test]
fn every_variant_when_forced() {
    let Some(wgpu) = device() else { return };
    for (op, variant) in dropless::wgpu::variants() {
        let filter = Filter { ops: vec![op.into()], variant: Some(variant.into()), ..Filter::default() };
        let report = conform::run(&wgpu, &filter, |_| {});
        let failed: Vec<String> = report.with(Status::Failed).map(|r| format!("{}: {}", r.case, r.message)).collect();
        assert!(failed.is_empty(), "{op} {variant}: {failed:#?}");
        let other = report.rows.iter().all(|r| r.status == Status::Skipped && r.message.contains("needs the feature"));
        assert!(report.count(Status::Passed) > 0 || other, "{op} {variant}: {report}");
        eprintln!("{op} {variant}: {report}{}", if other { ", not for this device" } else { "" });
    }
}

#[test]
fn golden_vectors() {
    let Some(wgpu) = device() else { return };
    assert_all_passed(&Vectors::bundled().unwrap().run(&Arc::new(wgpu), Class::F32, &Filter::default(), |_| {}));
}
