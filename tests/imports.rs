//! Imports go one way: `dtype, tensor, error, host, mutation <- op, mxfp4 <- backend <- kernel`; backends never see each other;
//! `gpt_oss` uses the public API alone; nothing but tests uses `testing`.

use std::path::{Path, PathBuf};

/// Modules in layers, lowest first. `tensor` and `op` name the trait `Backend` of a higher layer: views and arguments are
/// generic over it. That trait is all they may name.
const LAYERS: [&[&str]; 5] =
    [&["dtype", "error", "mutation"], &["host", "tensor"], &["mxfp4", "op"], &["backend"], &["kernel"]];
const BACKENDS: [&str; 4] = ["cpu", "cuda", "hip", "wgpu"];
/// Files that may name something of a higher layer, and what.
const EXCEPTIONS: [(&str, &str); 2] = [("tensor", "backend::Backend"), ("op", "backend::Backend")];

fn sources(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

/// The top-level module that a file belongs to; `None` for the root.
fn module_of(src: &Path, file: &Path) -> Option<String> {
    let first = file.strip_prefix(src).unwrap().components().next()?;
    let name = first.as_os_str().to_string_lossy().trim_end_matches(".rs").to_string();
    (name != "lib").then_some(name)
}

/// Every path under `crate::` that the code names, in `use` items and elsewhere, test modules left out.
fn imports(text: &str) -> Vec<String> {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let code: String = code.lines().filter(|l| !l.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut found = Vec::new();
    for piece in code.split("crate::").skip(1) {
        if let Some(list) = piece.strip_prefix('{') {
            let list = list.split('}').next().unwrap_or_default();
            found.extend(list.split(',').map(|p| p.trim().to_string()).filter(|p| !p.is_empty()));
        } else {
            found.push(piece.chars().take_while(|c| c.is_alphanumeric() || "_:".contains(*c)).collect());
        }
    }
    found
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|l| l.contains(&module))
}

/// Why this import is not allowed, if it is not. Names re-exported at the root count as the root, which has no layer.
fn forbidden(from: &str, import: &str) -> Option<&'static str> {
    let to = import.split("::").next().unwrap_or_default();
    if from == to || EXCEPTIONS.contains(&(from, import)) {
        return None;
    }
    if from != "testing" && to == "testing" {
        return Some("only tests use testing");
    }
    if from == "gpt_oss" && BACKENDS.contains(&to) {
        return Some("gpt_oss runs on any backend");
    }
    if BACKENDS.contains(&from) && (BACKENDS.contains(&to) || to == "gpt_oss") {
        return Some("backends see neither each other nor the model");
    }
    match (layer(from), layer(to)) {
        (Some(a), Some(b)) if b > a => Some("a lower layer imports a higher one"),
        (Some(_), None) if BACKENDS.contains(&to) || to == "gpt_oss" => Some("a layer imports what stands on it"),
        _ => None,
    }
}

#[test]
fn imports_go_one_way() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for file in &files {
        let Some(module) = module_of(&src, file) else { continue };
        for import in imports(&std::fs::read_to_string(file).unwrap()) {
            seen += 1;
            if let Some(why) = forbidden(&module, &import) {
                wrong.push(format!("{}: crate::{import}: {why}", file.strip_prefix(&src).unwrap().display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(seen > 100, "only {seen} imports found: the scan is broken");
}

#[test]
fn the_scan_sees_what_it_must() {
    assert_eq!(
        imports("use crate::{dtype::DType, cuda::X};\nlet x = crate::hip::y();\n// crate::no"),
        ["dtype::DType", "cuda::X", "hip::y"]
    );
    assert!(forbidden("op", "backend::Runtime").is_some());
    assert!(forbidden("op", "backend::Backend").is_none());
    assert!(forbidden("dtype", "op::Op").is_some());
    assert!(forbidden("cuda", "hip::Hip").is_some());
    assert!(forbidden("gpt_oss", "cpu::Cpu").is_some());
    assert!(forbidden("kernel", "testing::harness").is_some());
    assert!(forbidden("kernel", "op::Op").is_none());
}
