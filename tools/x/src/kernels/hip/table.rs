//! variants.toml, and the Rust table made of it.

use crate::estimate::Estimate;
use anyhow::{Context, ensure};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    pub flags: Vec<String>,
    archs: Vec<String>,
    pub variant: Vec<Variant>,
}

/// One row, as variants.toml explains it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    pub ops: Vec<String>,
    pub name: String,
    pub source: String,
    #[serde(default)]
    archs: Vec<String>,
    pub entries: Vec<String>,
    pub warps: u32,
    #[serde(default)]
    pub block_m: u32,
    #[serde(default)]
    pub block_n: u32,
    #[serde(default)]
    pub block_k: u32,
}

impl Table {
    pub fn read(path: &Path) -> anyhow::Result<Table> {
        let text = std::fs::read_to_string(path).with_context(|| format!("{}", path.display()))?;
        let table: Table = toml::from_str(&text).with_context(|| format!("{}", path.display()))?;
        let mut names = BTreeSet::new();
        for variant in &table.variant {
            ensure!(!variant.entries.is_empty(), "{}: no entries", variant.name);
            for op in &variant.ops {
                ensure!(names.insert((op, &variant.name)), "two rows are called {op} {}", variant.name);
            }
        }
        Ok(table)
    }

    /// Targets that a row is compiled for.
    pub fn archs<'a>(&'a self, variant: &'a Variant) -> &'a [String] {
        if variant.archs.is_empty() { &self.archs } else { &variant.archs }
    }

    /// src/artifacts.rs.
    pub fn rust(&self) -> String {
        let mut out = String::from(HEAD);
        for v in &self.variant {
            let ops: Vec<String> = v.ops.iter().map(|op| format!("{op:?}")).collect();
            let entries: Vec<String> = v.entries.iter().map(|e| format!("c{e:?}")).collect();
            let _ = writeln!(out, "    Artifact {{");
            for (field, value) in [
                ("ops", format!("&[{}]", ops.join(", "))),
                ("variant", format!("{:?}", v.name)),
                ("entries", format!("&[{}]", entries.join(", "))),
                ("warps", v.warps.to_string()),
                ("block_m", v.block_m.to_string()),
                ("block_n", v.block_n.to_string()),
                ("block_k", v.block_k.to_string()),
            ] {
                let _ = writeln!(out, "        {field}: {value},");
            }
            let source = match v.text() {
                Some(path) => format!("Some(concat!(include_str!(\"../{path}\"), \"\\0\"))"),
                None => "None".into(),
            };
            let _ = writeln!(out, "        source: {source},");
            let _ = writeln!(out, "        objects: &[");
            for arch in self.archs(v) {
                let bytes = format!("include_bytes!(\"../{}\")", v.artifact(arch));
                let _ = writeln!(out, "            Object {{ arch: {arch:?}, bytes: {bytes} }},");
            }
            let _ = writeln!(out, "        ],\n    }},");
        }
        out + "];\n"
    }
}

/// src/estimates.rs: of kernels by variant and target.
pub fn estimates(all: &[(&Variant, &str, Estimate)]) -> String {
    let mut out = String::from(ESTIMATES_HEAD);
    for (v, arch, e) in all {
        let (op, variant) = (v.ops.first().map_or("", String::as_str), &v.name);
        let Estimate { entry, waves, flops, bytes, matrix, vector, lds, l2, chain } = e;
        let _ = writeln!(out, "    Estimate {{");
        let _ = writeln!(out, "        op: {op:?}, variant: {variant:?}, arch: {arch:?}, entry: c{entry:?},");
        let _ = writeln!(out, "        waves: {waves}, flops: {flops}, bytes: {bytes},");
        let _ = writeln!(out, "        matrix: {matrix}, vector: {vector}, lds: {lds}, l2: {l2}, chain: {chain:?},");
        let _ = writeln!(out, "    }},");
    }
    out + "];\n"
}

const ESTIMATES_HEAD: &str = "//! Made from the code objects by `cargo x kernels hip`. Do not edit.

use crate::Estimate;

/// A step of the main loop of every kernel that has one, on the targets with matrix units. Estimated, not measured.
#[rustfmt::skip]
pub const ESTIMATES: &[Estimate] = &[
";

const HEAD: &str = "//! Made from variants.toml by `cargo x kernels hip`. Do not edit.

use crate::{Artifact, Object};

/// Every kernel of this crate, in the order of the table.
#[rustfmt::skip]
pub const ARTIFACTS: &[Artifact] = &[
";

impl Variant {
    /// Path of its code object for a target.
    pub fn artifact(&self, arch: &str) -> String {
        format!("co/{}.{}.{arch}.co", self.ops.first().map_or("", String::as_str), self.name)
    }

    /// Path of its source in one text, where it is compiled for all targets: others than these may run it too.
    pub fn text(&self) -> Option<String> {
        let op = self.ops.first().map_or("", String::as_str);
        self.archs.is_empty().then(|| format!("rtc/{op}.{}.hip", self.name))
    }

    /// `-D` of every number the row gives.
    pub fn defines(&self) -> Vec<String> {
        self.numbers().into_iter().map(|(name, n)| format!("-D{name}={n}")).collect()
    }

    pub fn numbers(&self) -> Vec<(&'static str, u32)> {
        let numbers =
            [("WARPS", self.warps), ("BLOCK_M", self.block_m), ("BLOCK_N", self.block_n), ("BLOCK_K", self.block_k)];
        numbers.into_iter().filter(|(_, n)| *n > 0).collect()
    }
}
