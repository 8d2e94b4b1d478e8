//! `cargo x kernels cuda`: the tile table in, PTX, its Rust table and the LOCK out.

mod lock;
mod table;
mod toolchain;

use anyhow::{Context, bail, ensure};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use table::{Table, Variant};
use toolchain::Toolchain;

/// The data crate.
const CRATE: &str = "kernels-cuda";
/// The command that a stale LOCK asks for.
const COMMAND: &str = "cargo x kernels cuda";

/// Files by their path in the crate.
type Files = BTreeMap<String, Vec<u8>>;

pub fn cuda(check: bool) -> anyhow::Result<()> {
    let root = Path::new(CRATE);
    ensure!(root.is_dir(), "run this in the repository's root: there is no {CRATE}/ here");
    let table = Table::read(&root.join("variants.toml"))?;
    let toolchain = Toolchain::install(&root.join("toolchain.txt"))?;
    let mut made = Files::new();
    for variant in &table.variant {
        let ptx = compile(root, &toolchain, &table, variant)?;
        made.insert(variant.artifact(), ptx.into_bytes());
    }
    made.insert("src/artifacts.rs".into(), table.rust().into_bytes());
    made.insert("LOCK".into(), lock::write(root, &made)?.into_bytes());
    if check { compare(root, &made) } else { store(root, &made) }
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

fn store(root: &Path, made: &Files) -> anyhow::Result<()> {
    for stale in committed(root)?.into_iter().filter(|path| !made.contains_key(path)) {
        std::fs::remove_file(root.join(&stale))?;
        println!("removed {stale}");
    }
    for (path, bytes) in made {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap_or(root))?;
        std::fs::write(&path, bytes).with_context(|| format!("{}", path.display()))?;
    }
    println!("{} files written", made.len());
    Ok(())
}

fn compare(root: &Path, made: &Files) -> anyhow::Result<()> {
    let mut wrong: Vec<String> = committed(root)?
        .into_iter()
        .filter(|path| !made.contains_key(path))
        .map(|path| format!("{path} has no row in variants.toml"))
        .collect();
    for (path, bytes) in made {
        match std::fs::read(root.join(path)) {
            Ok(have) if &have == bytes => {}
            Ok(_) => wrong.push(format!("{path} differs from what its source compiles to")),
            Err(e) => wrong.push(format!("{path}: {e}")),
        }
    }
    if !wrong.is_empty() {
        bail!("{}\nrebuild with `{COMMAND}`", wrong.join("\n"));
    }
    println!("{} files equal byte for byte", made.len());
    Ok(())
}

/// Compiled files in the crate, whether they still have a row or not.
fn committed(root: &Path) -> anyhow::Result<Vec<String>> {
    let folder = root.join("ptx");
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let names = std::fs::read_dir(&folder)?.map(|e| Ok(format!("ptx/{}", e?.file_name().to_string_lossy())));
    names.collect()
}

fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from)
}
