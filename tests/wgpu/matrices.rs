//! Cooperative matrices, emulated: no software driver has them. Each variant that uses them runs all cases it may run, with every
//! access checked; and with faults in its text, a case fails.

use dropless::Wgpu;
use dropless::testing::{Filter, Status, conform, present};
use dropless::wgpu::wgpu::Features;

const VARIANTS: [(&str, &str); 5] = [
    ("grouped_gemm", "coop_16"),
    ("grouped_gemm", "coop_64"),
    ("grouped_gemm", "coop_128"),
    ("grouped_gemm", "coop_dense"),
    ("flash_attn", "coop"),
];

/// None where there is no adapter, or one without f16 (SwiftShader).
fn device(edit: impl Fn(String) -> String + Send + Sync + 'static) -> Option<Wgpu> {
    let plain = present(Wgpu::new(0)).unwrap()?;
    if !plain.capabilities().features.contains(Features::SHADER_F16) {
        eprintln!("this adapter has no f16: cooperative matrices are not emulated");
        return None;
    }
    Some(Wgpu::emulating_matrices(0, edit).unwrap())
}

#[test]
fn every_variant_with_matrices_is_right() {
    let Some(wgpu) = device(|text| text) else { return };
    assert_eq!(wgpu.capabilities().faults, []);
    let mut failures = Vec::new();
    for (op, variant) in VARIANTS {
        let filter = Filter { ops: vec![op.into()], variant: Some(variant.into()), ..Filter::default() };
        let report = conform::run(&wgpu, &filter, |_| {});
        let failed = report.with(Status::Failed);
        failures.extend(failed.map(|r| format!("{op} {variant} {}: {}", r.case, r.message)));
        assert!(report.count(Status::Passed) > 5, "{op} {variant}: {report}");
        eprintln!("{op} {variant}: {report}");
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

/// A variant, a case that must fail, and what stands in the text for what.
const FAULTS: [(&str, &str, &str, &str); 9] = [
    // Tiles are overwritten while others still read them, and read before they are whole.
    ("coop_16", "weights_tiled", "        workgroupBarrier();\n        put_weights", "        put_weights"),
    ("coop_16", "weights_tiled", "        workgroupBarrier();\n        if (kt", "        if (kt"),
    ("coop_16", "weights_tiled", "* LINE + v], LINE);", "* LINE + v], LINE - 2u);"),
    ("coop_16", "weights_tiled", "coopLoadT<coop_mat16x16<f16, A>>", "coopLoad<coop_mat16x16<f16, A>>"),
    ("coop_16", "weights_tiled", "&w_tile[(first_n", "&w_tile[(first_n + BLOCK_N"),
    ("coop_16", "weights_tiled", "let own_patch = subgroup * 256u;", "let own_patch = 0u;"),
    ("coop_64", "weights_tiled", "lane: u32) {\n    workgroupBarrier();\n    let r", "lane: u32) {\n    let r"),
    ("coop", "tiles_window_paged", "        workgroupBarrier();\n        // Values take", "        // Values take"),
    ("coop", "tiles_window_paged", "coopLoad<coop_mat16x16<f16, B>>", "coopLoadT<coop_mat16x16<f16, B>>"),
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
        let Some(wgpu) = device(edit) else { return };
        let filter = Filter { variant: Some(variant.into()), ..Filter::case(case) };
        let report = conform::run(&wgpu, &filter, |_| {});
        // By what came out, not because it does not compile.
        assert!(report.with(Status::Failed).all(|r| !r.message.contains("compiling")), "{:#?}", report.rows);
        assert!(report.count(Status::Failed) > 0, "{variant}, {case}: `{to}` for `{from}` is not noticed: {report}");
    }
}
