//! `cargo x kernels hip`: the tile table in, code objects, their Rust table and the LOCK out.

mod flat;
mod page;
mod table;
mod toolchain;

use super::data::{DataCrate, Files};
use super::lock;
use crate::estimate;
use anyhow::{Context, ensure};
use std::collections::BTreeSet;
use table::Table;
use toolchain::Toolchain;

const HIP: DataCrate = DataCrate { folder: "kernels-hip", compiled: "co", command: "cargo x kernels hip" };

/// The page of documentation that lists the estimates.
const PAGE: &str = "../docs/performance/hip.md";

pub fn compile(check: bool) -> anyhow::Result<()> {
    let root = HIP.root()?;
    let table = Table::read(&root.join("variants.toml"))?;
    let toolchain = Toolchain::find(&root.join("toolchain.txt"))?;
    let (mut made, mut sources, mut estimates) = (Files::new(), BTreeSet::new(), Vec::new());
    for variant in &table.variant {
        if let Some(path) = variant.text() {
            made.insert(path, flat::text(root, variant)?.into_bytes());
        }
        for arch in table.archs(variant) {
            let compiled = toolchain.compile(root, &table, variant, arch)?;
            let path = variant.artifact(arch);
            println!("{path:<40} {}", compiled.report);
            sources.extend(compiled.sources);
            let matrix: Vec<&String> = variant.entries.iter().filter(|e| on_matrix_units(e)).collect();
            if !matrix.is_empty() {
                let loops = estimate::matrix_loops(&compiled.bytes).with_context(|| path.clone())?;
                for entry in matrix {
                    ensure!(loops.contains(entry), "{path}: the main loop of {entry} has no matrix instruction");
                }
            }
            if estimate::ARCHS.contains(&arch.as_str()) {
                let found = estimate::object(&compiled.bytes, arch).with_context(|| path.clone())?;
                estimates.extend(found.into_iter().map(|e| (variant, arch.as_str(), e)));
            }
            made.insert(path, compiled.bytes);
        }
    }
    // Of the sources shared with kernels-cuda, those that a row uses; of this crate's own, all.
    sources.extend(lock::sources(root, &["h", "cuh", "hip"])?.into_iter().filter(|path| !path.starts_with("rtc/")));
    made.insert("src/artifacts.rs".into(), table.rust().into_bytes());
    made.insert("src/estimates.rs".into(), table::estimates(&estimates).into_bytes());
    made.insert("LOCK".into(), lock::write(&HIP, &made, sources.into_iter().collect())?.into_bytes());
    made.insert(PAGE.into(), page::write(&root.join(PAGE), &estimates)?);
    if check { HIP.compare(&made) } else { HIP.store(&made) }
}

/// By the kernel's name, so that a compiler that finds another way is noticed.
fn on_matrix_units(entry: &str) -> bool {
    entry.starts_with("mfma") || entry.starts_with("wmma")
}
