//! `cargo x kernels cuda`: the tile table in, PTX, its Rust table and the LOCK out. And the same for [`hip`].

mod data;
pub mod hip;
mod lock;
mod sass;
mod table;
mod toolchain;

use anyhow::{Context, ensure};
use data::{DataCrate, Files};
use sass::Sass;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use table::{Table, Variant};
use toolchain::Toolchain;

const CUDA: DataCrate = DataCrate { folder: "kernels-cuda", compiled: "ptx", command: "cargo x kernels cuda" };

/// `only`: names of the variants to compile, the others staying as they are committed; none: all.
pub fn cuda(check: bool, only: &[String]) -> anyhow::Result<()> {
    let root = CUDA.root()?;
    let table = Table::read(&root.join("variants.toml"))?;
    let unknown = only.iter().find(|name| !table.variant.iter().any(|v| v.name == **name));
    ensure!(unknown.is_none(), "variants.toml has no variant {:?}", unknown.map_or("", |name| name));
    let sass = Sass::read(&root.join("sass.toml"), &table)?;
    let toolchain = Toolchain::install(&root.join("toolchain.txt"))?;
    let mut made = side_by_side(&table.variant, |variant| match only.is_empty() || only.contains(&variant.name) {
        true => Ok(compile(root, &toolchain, &table, &sass, variant)?.into_bytes()),
        false => std::fs::read(root.join(variant.artifact())).with_context(|| variant.artifact()),
    })?;
    made.insert("src/artifacts.rs".into(), table.rust().into_bytes());
    let sources = lock::sources(root, &["cu", "cuh"])?;
    made.insert("LOCK".into(), lock::write(&CUDA, &made, sources)?.into_bytes());
    if check { CUDA.compare(&made) } else { CUDA.store(&made) }
}

/// `work` of every row, by the row's artifact, on as many rows at a time as there are processors: the compiler takes one. After
/// a failure no other row is begun.
fn side_by_side(rows: &[Variant], work: impl Fn(&Variant) -> anyhow::Result<Vec<u8>> + Sync) -> anyhow::Result<Files> {
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut made = Files::new();
        while let Some(row) = rows.get(next.fetch_add(1, Relaxed)) {
            made.insert(row.artifact(), work(row).inspect_err(|_| next.store(rows.len(), Relaxed))?);
        }
        anyhow::Ok(made)
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> =
            (0..std::thread::available_parallelism().map_or(1, usize::from)).map(|_| scope.spawn(worker)).collect();
        let mut made = Files::new();
        for worker in workers {
            made.extend(worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        Ok(made)
    })
}

/// PTX of a row, its version lowered to the row's floor, proven to assemble into what sass.toml says.
fn compile(
    root: &Path,
    toolchain: &Toolchain,
    table: &Table,
    sass: &Sass,
    variant: &Variant,
) -> anyhow::Result<String> {
    let lowered = lower(&toolchain.nvcc(root, table, variant)?, variant.ptx);
    for entry in &variant.entries {
        let declared = lowered.contains(&format!(".entry {entry}("));
        ensure!(declared, "{}: {} declares no kernel `{entry}`", variant.artifact(), variant.source);
    }
    let assembled = toolchain.assemble(variant, &lowered)?;
    let used = sass.registers(variant, &assembled.said)?;
    if sass.multiplies(variant)? {
        sass.matrix(variant, &toolchain.disassemble(&assembled)?)?;
    }
    let used: Vec<String> = used.values().map(u32::to_string).collect();
    println!("{:<34} sm_{:<5} {} registers", variant.artifact(), variant.arch, used.join(", "));
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
