//! `cargo x kernels cuda`: the tile table in, PTX, its Rust table and the LOCK out. And the same for [`hip`].

mod data;
pub mod hip;
mod lock;
mod table;
mod toolchain;

use anyhow::{Context, ensure};
use data::{DataCrate, Files};
use std::path::Path;
use table::{Table, Variant};
use toolchain::Toolchain;

const CUDA: DataCrate = DataCrate { folder: "kernels-cuda", compiled: "ptx", command: "cargo x kernels cuda" };

/// `only`: names of the variants to compile, the others staying as they are committed; none: all.
pub fn cuda(check: bool, only: &[String]) -> anyhow::Result<()> {
    let root = CUDA.root()?;
    let table = Table::read(&root.join("variants.toml"))?;
    let unknown = only.iter().find(|name| !table.variant.iter().any(|v| v.name == **name));
    ensure!(unknown.is_none(), "variants.toml has no variant {:?}", unknown.map_or("", |name| name));
    let toolchain = Toolchain::install(&root.join("toolchain.txt"))?;
    let mut made = Files::new();
    for variant in &table.variant {
        let ptx = match only.is_empty() || only.contains(&variant.name) {
            true => compile(root, &toolchain, &table, variant)?.into_bytes(),
            false => std::fs::read(root.join(variant.artifact())).with_context(|| variant.artifact())?,
        };
        made.insert(variant.artifact(), ptx);
    }
    made.insert("src/artifacts.rs".into(), table.rust().into_bytes());
    let sources = lock::sources(root, &["cu", "cuh"])?;
    made.insert("LOCK".into(), lock::write(&CUDA, &made, sources)?.into_bytes());
    if check { CUDA.compare(&made) } else { CUDA.store(&made) }
}

/// PTX of a row, its version lowered to the row's floor, proven to assemble.
fn compile(root: &Path, toolchain: &Toolchain, table: &Table, variant: &Variant) -> anyhow::Result<String> {
    let lowered = lower(&toolchain.nvcc(root, table, variant)?, variant.ptx);
    for entry in &variant.entries {
        let declared = lowered.contains(&format!(".entry {entry}("));
        ensure!(declared, "{}: {} declares no kernel `{entry}`", variant.artifact(), variant.source);
    }
    let report = toolchain.assemble(variant, &lowered)?;
    println!("{:<34} sm_{:<5} {}", variant.artifact(), variant.arch, report);
    Ok(lowered)
}

/// The same PTX for a lower version. What a version adds to the instruction set is not translated: if it is used, the
/// assembler says so. "used_bytes_mask" is a hint about the load that follows, unknown before 8.3.
fn lower(ptx: &str, version: u16) -> String {
    let mut out = String::new();
    for line in ptx.lines().filter(|l| version >= 83 || !l.contains(".pragma \"used_bytes_mask")) {
        if line.starts_with(".version ") {
            out += &format!(".version {}.{}", version / 10, version % 10);
        } else {
            out += line;
        }
        out.push('\n');
    }
    out
}
