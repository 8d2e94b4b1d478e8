//! What Vulkan, Metal and DX12 get: languages with limits of their own. Naga writes them; compilers of theirs read them, where
//! they are installed.

use super::{Parsed, every_module, every_text};
use crate::devices::required;
use crate::wgpu::spirv;
use naga::back::{hlsl, msl, spv};
use rayon::prelude::*;
use std::io::Write;
use std::process::{Command, Stdio};

/// The first of these that is installed. None of them: said, or a failure where DROPLESS_REQUIRE names the first.
fn installed(names: &[&'static str]) -> Option<&'static str> {
    let runs = |name: &&&str| Command::new(name).arg("--version").output().is_ok_and(|out| out.status.success());
    let found = names.iter().find(runs).copied();
    if found.is_none() {
        assert!(!required(names[0]), "{} is not installed", names[0]);
        println!("skipped: {} is not installed", names[0]);
    }
    found
}

/// What the tool has against this input, if anything.
fn complaint(tool: &str, arguments: &[&str], input: &[u8]) -> Option<String> {
    let mut child = Command::new(tool)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let out = child.wait_with_output().unwrap();
    (!out.status.success()).then(|| String::from_utf8_lossy(&out.stderr).into_owned())
}

/// Every kernel in a language, through a tool; what the tool refuses, by its kernel.
fn refused(tool: &str, arguments: &[&str], all: &[(String, Vec<u8>)]) {
    assert!(all.len() > 100, "only {} kernels", all.len());
    let wrong: Vec<String> = all
        .par_iter()
        .filter_map(|(name, input)| complaint(tool, arguments, input).map(|words| format!("{name}: {words}")))
        .collect();
    assert!(wrong.is_empty(), "{tool} refuses {} of {}, such as\n{}", wrong.len(), all.len(), wrong[0]);
}

#[test]
fn spirv() {
    // As wgpu asks for it on Vulkan 1.3.
    let options = spv::Options { lang_version: (1, 6), ..spv::Options::default() };
    let written = |parsed: &Parsed| {
        let words = spv::write_vec(&parsed.module, &parsed.info, &options, None);
        let words = words.unwrap_or_else(|e| panic!("{} as SPIR-V: {e}", parsed.name()));
        (parsed.name(), bytemuck::cast_slice(&words).to_vec())
    };
    // Debian's tool is older than cooperative matrices.
    let (matrices, rest): (Vec<Parsed>, _) = every_module().into_iter().partition(|parsed| parsed.side().is_some());
    assert!(matrices.iter().map(written).all(|(_, bytes): (_, Vec<u8>)| bytes.len() > 400));
    let all: Vec<_> = rest.iter().map(written).collect();
    let Some(tool) = installed(&["spirv-val"]) else { return };
    refused(tool, &["--target-env", "vulkan1.3", "-"], &all);
}

/// What drivers get of texts with matrices is ours: under Vulkan's memory model, with every access and barrier marked.
#[test]
fn spirv_of_ours() {
    let mut count = 0;
    for (text, (artifact, _)) in every_text().into_iter().filter(|(_, (artifact, _))| artifact.size("SIDE") == 16) {
        let name = format!("{} {}", artifact.op, artifact.variant);
        let (entries, words) = spirv::compiled(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(entries.len(), 1, "{name}");
        let model = text.contains("coopMultiplyAdd");
        assert_eq!(spirv::unmarked(&words).is_empty(), model, "{name}: in the older model nothing is marked");
        count += usize::from(model);
    }
    assert!(count > 30, "only {count} texts with matrices");
}

/// What has no matrices, or those of these sides.
fn with_matrices(sides: &[u32]) -> Vec<Parsed> {
    let taken = |parsed: &Parsed| parsed.side().is_none_or(|side| sides.contains(&side));
    every_module().into_iter().filter(taken).collect()
}

#[test]
fn metal() {
    // Metal 2.4 is what wgpu asks for on macOS 12.
    let options = msl::Options { lang_version: (2, 4), ..msl::Options::default() };
    let written = |parsed: &Parsed| {
        let text = msl::write_string(&parsed.module, &parsed.info, &options, &msl::PipelineOptions::default());
        let (text, _) = text.unwrap_or_else(|e| panic!("{} as MSL: {e}", parsed.name()));
        (parsed.name(), text.into_bytes())
    };
    let all: Vec<_> = with_matrices(&[8]).iter().map(written).collect();
    let Some(tool) = installed(&["clang", "clang-22"]) else { return };
    // A header of ours stands for Metal's own; its attributes are nothing that clang knows, and 1.0 is an f32 there.
    let headers = concat!("-I", env!("CARGO_MANIFEST_DIR"), "/tests/metal");
    let language = ["-x", "c++", "-std=c++17", "-Xclang", "-cl-single-precision-constant"];
    let arguments = [&language[..], &["-fsyntax-only", "-Wno-unknown-attributes", headers, "-"]].concat();
    let wrong = b"#include <metal_stdlib>\nmetal::float2 x = metal::float2(1.0, 2.0, 3.0);";
    assert!(complaint(tool, &arguments, wrong).is_some_and(|words| words.contains("as many elements")));
    refused(tool, &arguments, &all);
}

#[test]
fn hlsl() {
    let (options, all) = (hlsl::Options::default(), hlsl::PipelineOptions::default());
    for parsed in with_matrices(&[]) {
        let mut text = String::new();
        let written = hlsl::Writer::new(&mut text, &options, &all).write(&parsed.module, &parsed.info, None);
        written.unwrap_or_else(|e| panic!("{} as HLSL: {e}", parsed.name()));
        assert!(text.contains("[numthreads("), "{}", parsed.name());
    }
}
