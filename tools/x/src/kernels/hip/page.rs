//! The table of estimates in the documentation.

use super::table::Variant;
use crate::estimate::{Estimate, facts::Facts};
use anyhow::Context;
use std::fmt::Write;
use std::path::Path;

/// The table stands behind it, the words before it are written by hand.
const MARK: &str = "<!-- What follows is made by `cargo x kernels hip`. -->\n";
/// The ops that are worth a line.
const OPS: [&str; 2] = ["grouped_gemm", "flash_attn"];

/// The page with a new table.
pub fn write(page: &Path, estimates: &[(&Variant, &str, Estimate)]) -> anyhow::Result<Vec<u8>> {
    let text = std::fs::read_to_string(page).with_context(|| format!("{}", page.display()))?;
    let (head, _) = text.split_once(MARK).with_context(|| format!("{} has no line {MARK}", page.display()))?;
    let mut out =
        format!("{head}{MARK}\n| variant, kernel | target | waves | matrix peak, binds | memory bandwidth, binds |\n");
    out += "|---|---|---|---|---|\n";
    for (v, arch, e) in estimates {
        let Some(op) = v.ops.iter().find(|op| OPS.contains(&op.as_str())) else { continue };
        let facts = Facts::of(arch).with_context(|| arch.to_string())?;
        let matrix = e.of_peak().map_or(String::new(), |(share, by)| format!("{share:.0} %, {by}"));
        let (memory, by) = e.of_memory(&facts);
        let _ = writeln!(
            out,
            "| {op} `{}`, `{}` | {arch} | {} | {matrix} | {memory:.0} %, {by} |",
            v.name, e.entry, e.waves
        );
    }
    Ok(out.into_bytes())
}
