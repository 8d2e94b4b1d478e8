//! Measures the variants on the device that is here, and writes the table that the library brings for it.

use anyhow::{Context, ensure};
use std::path::Path;
use std::process::Command;

/// `arguments` are those of `dropless tune`.
pub fn run(arguments: &[String]) -> anyhow::Result<()> {
    ensure!(Path::new("tuned").is_dir(), "run this in the repository's root: there is no tuned/ here");
    let mut command = Command::new(env!("CARGO"));
    command.args(["run", "--release", "--package", "dropless-cli", "--", "tune", "--out", "tuned"]).args(arguments);
    let status = command.status().context("cannot start cargo")?;
    ensure!(status.success(), "dropless tune failed");
    println!("a new device's file is brought by src/cuda/tuned.rs once it stands in its list");
    Ok(())
}
