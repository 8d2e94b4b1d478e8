//! The bench itself, on the reference: every kind of row runs and its check passes.
#![cfg(feature = "testing")]

use dropless::testing::bench::{About, ModelOptions, Options, Report, Select, Skew, Weights, run};
use dropless::{Cpu, DType};
use std::sync::Arc;

fn bench(cases: &[&str], ops: &[&str], presets: &[&str], tokens: &[usize], openai_weights: bool) -> Report {
    let list = |names: &[&str]| names.iter().map(|n| n.to_string()).collect();
    let select = Select {
        ops: list(ops),
        presets: list(presets),
        cases: list(cases),
        tokens: tokens.to_vec(),
        ..Select::default()
    };
    let options = Options { select, seconds: 1e-3, openai_weights, ..Options::default() };
    run(&Arc::new(Cpu::new()), &options, &About::default(), |_| {}).unwrap()
}

fn assert_right(report: &Report, rows: usize) {
    assert!(report.wrong.is_empty(), "{:#?}", report.wrong);
    assert_eq!(report.rows.len(), rows, "{:#?}", report.skipped);
    for row in &report.rows {
        let name = format!("{} {} {}", row.op, row.case, row.tokens);
        assert!(row.us_median > 0.0 && row.us_p20 <= row.us_p80, "{name}: {row:?}");
        assert!(row.rel_err < 0.01 && row.roof_pct > 0.0 && row.roof_pct <= 101.0, "{name}: {row:?}");
    }
}

#[test]
fn every_part_of_a_layer() {
    let report = bench(&[], &[], &["tiny"], &[1, 9], false);
    assert_right(&report, 10);
    assert!(report.roof.gbps.rate > 0.0 && report.roof.tflops.rate > 0.0, "{:?}", report.roof);
    assert_right(&bench(&[], &["moe_block_from_logits"], &["tiny"], &[3], true), 1);
}

#[test]
fn skewed_routing() {
    for (routing, case) in [(Skew::Half, "tiny half"), (Skew::Same, "tiny same")] {
        let ops = ["moe_block_from_logits", "grouped_gemm_bf16"].map(String::from).to_vec();
        let select = Select { ops, presets: vec!["tiny".into()], tokens: vec![9], routing, ..Select::default() };
        let options = Options { select, seconds: 1e-3, ..Options::default() };
        let report = run(&Arc::new(Cpu::new()), &options, &About::default(), |_| {}).unwrap();
        assert_right(&report, 2);
        assert_eq!(report.rows[0].case, case);
    }
}

/// A forced variant runs where it belongs; what nothing of a row has is said in words. The roof is measured all the same.
#[test]
fn forced_variants() {
    let with = |variant: &str| {
        let ops = vec!["moe_block_from_logits".into()];
        let select = Select { ops, presets: vec!["tiny".into()], tokens: vec![1], ..Select::default() };
        let options = Options { select, seconds: 1e-3, variant: Some(variant.into()), ..Options::default() };
        run(&Arc::new(Cpu::new()), &options, &About::default(), |_| {}).unwrap()
    };
    assert_right(&with("reference"), 1);
    let report = with("nothing");
    assert!(report.rows.is_empty() && report.roof.tflops.rate > 0.0);
    assert!(report.skipped[0].reason.contains("none of its ops has a variant `nothing`"), "{:?}", report.skipped);
}

#[test]
fn attention() {
    assert_right(&bench(&["decode full kv1024", "decode window128"], &["flash_attn"], &[], &[1], false), 2);
    assert_right(&bench(&["prefill window128"], &["flash_attn"], &[], &[1024], false), 1);
}

#[test]
fn a_whole_model() {
    let model = ModelOptions {
        prefill: vec![5],
        decode: vec![(1, 9), (2, 9)],
        ..ModelOptions::new(Weights::Random("tiny".into()))
    };
    let narrow = ModelOptions { decode: Vec::new(), kv: Some(DType::F8E4m3), ..model.clone() };
    let select = Select { ops: vec!["model".into()], ..Select::default() };
    let options = Options { select, seconds: 1e-3, model: Some(model), ..Options::default() };
    let report = run(&Arc::new(Cpu::new()), &options, &About::default(), |_| {}).unwrap();
    assert_right(&report, 3);
    let rows: Vec<(&str, usize)> = report.rows.iter().map(|r| (r.case.as_str(), r.tokens)).collect();
    assert_eq!(rows, [("tiny prefill", 5), ("tiny decode ctx9", 1), ("tiny decode ctx9", 2)]);
    let report = run(&Arc::new(Cpu::new()), &Options { model: Some(narrow), ..options }, &About::default(), |_| {});
    let report = report.unwrap();
    assert_right(&report, 1);
    assert_eq!(report.rows[0].case, "tiny kv f8e4m3 prefill");
}

#[test]
fn names_that_nothing_has_are_refused() {
    let select = Select { ops: vec!["convolution".into()], ..Select::default() };
    let refused = run(&Arc::new(Cpu::new()), &Options { select, ..Options::default() }, &About::default(), |_| {});
    assert!(refused.unwrap_err().to_string().contains("convolution"));
}
