//! variants.toml, and the Rust table made of it.

use anyhow::{Context, ensure};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    pub flags: Vec<String>,
    pub variant: Vec<Variant>,
}

/// One row, as variants.toml explains it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    pub ops: Vec<String>,
    pub name: String,
    pub source: String,
    pub arch: String,
    pub ptx: u16,
    pub entries: Vec<String>,
    pub warps: u32,
    #[serde(default)]
    pub block_m: u32,
    #[serde(default)]
    pub block_n: u32,
    #[serde(default)]
    pub block_k: u32,
    #[serde(default)]
    pub stages: u32,
    #[serde(default)]
    pub pdl: bool,
    #[serde(default)]
    pub spills: bool,
}

impl Table {
    pub fn read(path: &Path) -> anyhow::Result<Table> {
        let text = std::fs::read_to_string(path).with_context(|| format!("{}", path.display()))?;
        let table: Table = toml::from_str(&text).with_context(|| format!("{}", path.display()))?;
        let mut names = BTreeSet::new();
        for variant in &table.variant {
            ensure!(!variant.entries.is_empty(), "{}: no entries", variant.name);
            variant.compute_capability().with_context(|| format!("arch of {}", variant.name))?;
            for op in &variant.ops {
                ensure!(names.insert((op, &variant.name)), "two rows are called {op} {}", variant.name);
            }
        }
        Ok(table)
    }

    /// src/artifacts.rs.
    pub fn rust(&self) -> String {
        let mut out = String::from(HEAD);
        for v in &self.variant {
            let ops: Vec<String> = v.ops.iter().map(|op| format!("{op:?}")).collect();
            let entries: Vec<String> = v.entries.iter().map(|e| format!("c{e:?}")).collect();
            let (sm, exact) = v.compute_capability().unwrap_or_default();
            // Formatted as rustfmt would.
            let _ = writeln!(out, "    Artifact {{");
            for (field, value) in [
                ("ops", format!("&[{}]", ops.join(", "))),
                ("variant", format!("{:?}", v.name)),
                ("sm", sm.to_string()),
                ("exact", exact.to_string()),
                ("ptx_version", v.ptx.to_string()),
                ("entries", format!("&[{}]", entries.join(", "))),
                ("warps", v.warps.to_string()),
                ("block_m", v.block_m.to_string()),
                ("block_n", v.block_n.to_string()),
                ("block_k", v.block_k.to_string()),
                ("stages", v.stages.to_string()),
                ("pdl", v.pdl.to_string()),
                ("ptx", format!("concat!(include_str!(\"../{}\"), \"\\0\")", v.artifact())),
            ] {
                let _ = writeln!(out, "        {field}: {value},");
            }
            let _ = writeln!(out, "    }},");
        }
        out + "];\n"
    }
}

const HEAD: &str = "//! Made from variants.toml by `cargo x kernels cuda`. Do not edit.

use crate::Artifact;

/// Every kernel of this crate, in the order of the table.
#[rustfmt::skip]
pub const ARTIFACTS: &[Artifact] = &[
";

impl Variant {
    /// Path of its PTX.
    pub fn artifact(&self) -> String {
        format!("ptx/{}.{}.ptx", self.ops.first().map_or("", String::as_str), self.name)
    }

    /// Compute capability times ten, and whether it runs on no other.
    pub fn compute_capability(&self) -> anyhow::Result<(u16, bool)> {
        let digits = self.arch.trim_end_matches('a');
        Ok((digits.parse()?, digits.len() != self.arch.len()))
    }

    /// `-D` of every number the row gives.
    pub fn defines(&self) -> Vec<String> {
        let numbers = [
            ("WARPS", self.warps),
            ("BLOCK_M", self.block_m),
            ("BLOCK_N", self.block_n),
            ("BLOCK_K", self.block_k),
            ("STAGES", self.stages),
        ];
        numbers.into_iter().filter(|(_, n)| *n > 0).map(|(name, n)| format!("-D{name}={n}")).collect()
    }
}
