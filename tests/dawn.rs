//! The kernels of the wgpu backend through Dawn and its compiler Tint, on whatever adapter Dawn finds. Without Node, the packages of
//! tools/dawn or an adapter these tests say so and pass, unless DROPLESS_REQUIRE names dawn.
#![cfg(all(feature = "wgpu", feature = "testing"))]

mod common;

use common::assert_all_passed;
use dropless::op::moe::{CombineSpec, DispatchSpec, PermuteSpec, RouteSpec, SortSpec};
use dropless::op::{
    ArgmaxSpec, EmbeddingSpec, FlashAttnSpec, GroupedGemmSpec, KvAppendSpec, Mxfp4PrepackSpec, RmsNormSpec, RopeSpec,
    SwigluSpec,
};
use dropless::testing::conform::{Conform, run_op};
use dropless::testing::{Filter, Report, Status, present};
use dropless::wgpu::dawn::Dawn;
use dropless::{Cpu, Hint, Kernel, Provide};
use std::path::Path;

fn device() -> Option<Dawn> {
    present(Dawn::start(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/dawn"))).unwrap()
}

/// The cases that have a text which no case before them had.
fn new_texts<O: Conform>(dawn: &Dawn, report: &mut Report)
where
    Dawn: Provide<O>,
    Cpu: Provide<O>,
{
    for case in O::cases() {
        let known = dawn.texts();
        // What Tint refuses is reported by running it.
        let refused = Kernel::plan(dawn, case.op, Hint::default()).is_err();
        if refused || dawn.texts() > known {
            run_op::<O, Dawn>(dawn, &Filter::case(&case.name), &mut |_| {}, report);
        }
    }
}

/// Variants with subgroups, which nobody chooses yet, where Dawn has them.
#[test]
fn variants_with_subgroups() {
    let Some(dawn) = device() else { return };
    let ops = ["rms_norm", "argmax", "moe_route"].map(|op| (op, "subgroup"));
    for (op, variant) in
        ops.into_iter().chain([("grouped_gemm", "tiled_1_subgroup"), ("grouped_gemm", "dense_1_subgroup")])
    {
        let filter = Filter { ops: vec![op.into()], variant: Some(variant.into()), ..Filter::default() };
        let report = dropless::testing::conform::run(&dawn, &filter, |_| {});
        let failed: Vec<_> = report.with(Status::Failed).map(|r| format!("{}: {}", r.case, r.message)).collect();
        assert!(failed.is_empty(), "{op} {variant}: {failed:#?}");
        eprintln!("{op} {variant}: {report}");
    }
}

/// Software takes minutes for every case, and what is compared here is how a text is read.
#[test]
fn every_text_of_every_op() {
    let Some(dawn) = device() else { return };
    let mut report = Report::default();
    new_texts::<GroupedGemmSpec>(&dawn, &mut report);
    new_texts::<RouteSpec>(&dawn, &mut report);
    new_texts::<SortSpec>(&dawn, &mut report);
    new_texts::<DispatchSpec>(&dawn, &mut report);
    new_texts::<PermuteSpec>(&dawn, &mut report);
    new_texts::<CombineSpec>(&dawn, &mut report);
    new_texts::<FlashAttnSpec>(&dawn, &mut report);
    new_texts::<KvAppendSpec>(&dawn, &mut report);
    new_texts::<RopeSpec>(&dawn, &mut report);
    new_texts::<RmsNormSpec>(&dawn, &mut report);
    new_texts::<SwigluSpec>(&dawn, &mut report);
    new_texts::<EmbeddingSpec>(&dawn, &mut report);
    new_texts::<ArgmaxSpec>(&dawn, &mut report);
    new_texts::<Mxfp4PrepackSpec>(&dawn, &mut report);
    assert_all_passed(&report);
    eprintln!("{} texts", dawn.texts());
}
