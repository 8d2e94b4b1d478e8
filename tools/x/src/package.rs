//! Packages the workspace as it would be published.

use crate::target_dir;
use anyhow::{Context, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

/// crates.io refuses packages over 10 MB.
const LIMIT: u64 = 9_000_000;

pub fn run() -> anyhow::Result<()> {
    let started = SystemTime::now();
    // The tests build from the work tree already; what matters here is what goes into the packages.
    let ours = ["--exclude", "dropless-x", "--exclude", "dropless-gfx"];
    let arguments = ["package", "--workspace", "--no-verify", "--allow-dirty", "--quiet"];
    let status = Command::new(env!("CARGO")).args(arguments).args(ours).status().context("cannot start cargo")?;
    ensure!(status.success(), "cargo package failed");
    let packages = packages_since(&target_dir().join("package"), started)?;
    ensure!(!packages.is_empty(), "cargo package wrote no package");
    let mut over = Vec::new();
    for (path, bytes) in &packages {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        println!("{:>9} bytes  {name}", bytes);
        if *bytes > LIMIT {
            over.push(name);
        }
    }
    ensure!(over.is_empty(), "over {LIMIT} bytes: {}", over.join(", "));
    Ok(())
}

fn packages_since(folder: &Path, started: SystemTime) -> anyhow::Result<Vec<(PathBuf, u64)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("{}", folder.display()))? {
        let (path, meta) = entry.and_then(|e| Ok((e.path(), e.metadata()?)))?;
        if path.extension().is_some_and(|e| e == "crate") && meta.modified()? >= started {
            found.push((path, meta.len()));
        }
    }
    found.sort();
    Ok(found)
}
