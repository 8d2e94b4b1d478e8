//! `cargo x kernels hip`: the tile table in, code objects, their Rust table and the LOCK out.

mod table;
mod toolchain;

use super::data::{DataCrate, Files};
use super::lock;
use std::collections::BTreeSet;
use table::Table;
use toolchain::Toolchain;

const HIP: DataCrate = DataCrate { folder: "kernels-hip", compiled: "co", command: "cargo x kernels hip" };

pub fn compile(check: bool) -> anyhow::Result<()> {
    let root = HIP.root()?;
    let table = Table::read(&root.join("variants.toml"))?;
    let toolchain = Toolchain::find(&root.join("toolchain.txt"))?;
    let (mut made, mut sources) = (Files::new(), BTreeSet::new());
    for variant in &table.variant {
        for arch in table.archs(variant) {
            let compiled = toolchain.compile(root, &table, variant, arch)?;
            let path = variant.artifact(arch);
            println!("{path:<40} {}", compiled.report);
            sources.extend(compiled.sources);
            made.insert(path, compiled.bytes);
        }
    }
    // Of the sources shared with kernels-cuda, those that a row uses; of this crate's own, all.
    sources.extend(lock::sources(root, &["h", "cuh", "hip"])?);
    made.insert("src/artifacts.rs".into(), table.rust().into_bytes());
    made.insert("LOCK".into(), lock::write(&HIP, &made, sources.into_iter().collect())?.into_bytes());
    if check { HIP.compare(&made) } else { HIP.store(&made) }
}
