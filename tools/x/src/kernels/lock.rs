//! LOCK: the SHA-256 of everything the compiled kernels depend on, and of themselves. The format is that of `sha256sum`.
//! The compiler's version is in toolchain.txt, the flags in variants.toml: both are files like the others.

use super::data::{DataCrate, Files};
use anyhow::Context;
use sha2::{Digest, Sha256};
use std::path::Path;

/// LOCK over the `sources` of a crate, paths in it, and the files `made` of them.
pub fn write(of: &DataCrate, made: &Files, sources: Vec<String>) -> anyhow::Result<String> {
    let root = of.root()?;
    let mut hashed: Files = made.clone();
    for path in ["variants.toml", "toolchain.txt"].map(String::from).into_iter().chain(sources) {
        let bytes = std::fs::read(root.join(&path)).with_context(|| path.clone())?;
        hashed.insert(path, bytes);
    }
    let mut out = format!("# Made by `{}`.\n", of.command);
    for (path, bytes) in hashed {
        let digest = Sha256::digest(&bytes);
        let hex: String = digest.iter().map(|b| format!("{b:02x}")).collect();
        out += &format!("{hex}  {path}\n");
    }
    Ok(out)
}

/// Files under `root` with one of the extensions, as paths from there.
pub fn sources(root: &Path, extensions: &[&str]) -> anyhow::Result<Vec<String>> {
    let mut out = Vec::new();
    walk(root, root, extensions, &mut out)?;
    Ok(out)
}

fn walk(root: &Path, folder: &Path, extensions: &[&str], into: &mut Vec<String>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            walk(root, &path, extensions, into)?;
        } else if path.extension().is_some_and(|e| extensions.iter().any(|known| e == *known)) {
            into.push(path.strip_prefix(root)?.to_string_lossy().replace('\\', "/"));
        }
    }
    Ok(())
}
