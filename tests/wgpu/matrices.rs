//! Cooperative matrices, emulated: no software driver has them. Each variant that uses them runs all cases it may run, with every
//! access checked; and with faults in its text, a case fails.

use dropless::Wgpu;
use dropless::testing::{Filter, Status, conform, present};
use dropless::wgpu::wgpu::Features;

/// Side of the matrices, op, variant.
const VARIANTS: [(u32, &str, &str); 9] = [
    (16, "grouped_gemm", "coop_16"),
    (16, "grouped_gemm", "coop_64"),
    (16, "grouped_gemm", "coop_128"),
    (16, "grouped_gemm", "coop_dense"),
    (16, "flash_attn", "coop"),
    (8, "grouped_gemm", "coop8_16"),
    (8, "grouped_gemm", "coop8_64"),
    (8, "grouped_gemm", "coop8_dense"),
    (8, "flash_attn", "coop8"),
];

/// None where there is no adapter, or one without f16 (SwiftShader).
fn device(side: u32, edit: impl Fn(String) -> String + Send + Sync + 'static) -> Option<Wgpu> {
    let plain = present(Wgpu::new(0)).unwrap()?;
    if !plain.capabilities().features.contains(Features::SHADER_F16) {
        eprintln!("this adapter has no f16: cooperative matrices are not emulated");
        return None;
    }
    Some(Wgpu::emulating_matrices(0, side, edit).unwrap())
}

#[test]
fn every_variant_with_matrices_is_right() {
    let mut failures = Vec::new();
    for (side, op, variant) in VARIANTS {
        let Some(wgpu) = device(side, |text| text) else { return };
        assert_eq!(wgpu.capabilities().faults, []);
        // The text of attention is that of `coop`, but for the tiles and their sizes; emulated, a case of it takes seconds.
        let cases =
            if variant == "coop8" { &["tiles", "keys_1024", "window_8", "heads", "f16", "faulty"][..] } else { &[] };
        let cases = cases.iter().map(|part| part.to_string()).collect();
        let filter = Filter { ops: vec![op.into()], variant: Some(variant.into()), cases, ..Filter::default() };
        let report = conform::run(&wgpu, &filter, |_| {});
        let failed = report.with(Status::Failed);
        failures.extend(failed.map(|r| format!("{op} {variant} {}: {}", r.case, r.message)));
        assert!(report.count(Status::Passed) > 5, "{op} {variant}: {report}");
        eprintln!("{op} {variant}: {report}");
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

/// Barriers that the probe of matrices has, and lines around them.
const BARRIERS: [(&str, &str); 3] = [
    ("turn++) {\n        workgroupBarrier();", "turn++) {"),
    ("    }\n        workgroupBarrier();\n        let x", "    }\n        let x"),
    ("SIDE);\n    workgroupBarrier();", "SIDE);"),
];

#[test]
fn a_driver_that_moves_accesses_across_barriers_fails_the_probe() {
    for (side, probe) in [(16, "matrices_16"), (8, "matrices_8")] {
        for (from, to) in BARRIERS {
            let edit = move |text: String| match text.contains("alias Left") && text.contains("fn probe(") {
                true => {
                    assert!(text.contains(from), "the probe has no `{from}`");
                    text.replace(from, to)
                }
                false => text,
            };
            let Some(wgpu) = device(side, edit) else { return };
            let faults: Vec<_> = wgpu.capabilities().faults.iter().map(|fault| fault.probe).collect();
            assert_eq!(faults, [probe], "{to}");
        }
    }
}

/// A variant, a case that must fail, and what stands in the text for what.
const FAULTS: [(&str, &str, &str, &str); 13] = [
    // Tiles are overwritten while others still read them, and read before they are whole.
    ("coop_16", "weights_tiled", "        workgroupBarrier();\n        put_weights", "        put_weights"),
    ("coop_16", "weights_tiled", "        workgroupBarrier();\n        // Without", "        // Without"),
    ("coop_16", "weights_tiled", "* LINE + v], LINE);", "* LINE + v], LINE - 2u);"),
    ("coop_16", "weights_tiled", "coopLoadT<Left>", "coopLoad<Left>"),
    ("coop_16", "weights_tiled", "&right[(first_n", "&right[(first_n + BLOCK_N"),
    ("coop_16", "weights_tiled", "let own_patch = subgroup * SIDE * SIDE;", "let own_patch = 0u;"),
    ("coop_64", "weights_tiled", "lane: u32) {\n    workgroupBarrier();\n    for", "lane: u32) {\n    for"),
    ("coop", "tiles_window_paged", "        workgroupBarrier();\n        // Values take", "        // Values take"),
    ("coop", "tiles_window_paged", "coopLoad<Right>", "coopLoadT<Right>"),
    ("coop8_16", "weights_tiled", "left[at + 1u] = x.y;", "left[at + 2u] = x.y;"),
    ("coop8_64", "weights_tiled", "v += SIDE / 4u * FOUR", "v += SIDE / 2u * FOUR"),
    ("coop8", "tiles_window_paged", "&right[(first_n + 1u * SIDE)", "&right[(first_n + 0u * SIDE)"),
    ("coop8", "tiles_window_paged", "put_right(place.x, place.y", "put_right(place.x, place.y / 2u"),
];

#[test]
fn faults_in_what_uses_matrices_are_found() {
    for (variant, case, from, to) in FAULTS {
        let edit =
            move |text: String| match ["fn grouped_gemm(", "fn flash_attn("].iter().any(|entry| text.contains(entry)) {
                true => {
                    assert!(text.contains(from), "{variant} has no `{from}`");
                    text.replace(from, to)
                }
                false => text,
            };
        let side = if variant.starts_with("coop8") { 8 } else { 16 };
        let Some(wgpu) = device(side, edit) else { return };
        let filter = Filter { variant: Some(variant.into()), ..Filter::case(case) };
        let report = conform::run(&wgpu, &filter, |_| {});
        // By what came out, not because it does not compile.
        assert!(report.with(Status::Failed).all(|r| !r.message.contains("compiling")), "{:#?}", report.rows);
        assert!(report.count(Status::Failed) > 0, "{variant}, {case}: `{to}` for `{from}` is not noticed: {report}");
    }
}
