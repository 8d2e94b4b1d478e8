//! LOCK: the SHA-256 of everything the compiled kernels depend on, and of themselves. The format is that of `sha256sum`.
//! The compiler's version is in toolchain.txt, the flags in variants.toml: both are files like the others.

use super::{COMMAND, Files};
use anyhow::Context;
use sha2::{Digest, Sha256};
use std::path::Path;

/// LOCK over the sources in `root` and the files `made` of them.
pub fn write(root: &Path, made: &Files) -> anyhow::Result<String> {
    let mut hashed: Files = made.clone();
    for path in ["variants.toml", "toolchain.txt"] {
        hashed.insert(path.into(), std::fs::read(root.join(path)).with_context(|| path.to_string())?);
    }
    sources(root, root, &mut hashed)?;
    let mut out = format!("# Made by `{COMMAND}`.\n");
    for (path, bytes) in hashed {
        let digest = Sha256::digest(&bytes);
        let hex: String = digest.iter().map(|b| format!("{b:02x}")).collect();
        out += &format!("{hex}  {path}\n");
    }
    Ok(out)
}

fn sources(root: &Path, folder: &Path, into: &mut Files) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            sources(root, &path, into)?;
        } else if path.extension().is_some_and(|e| e == "cu" || e == "cuh") {
            let name = path.strip_prefix(root)?.to_string_lossy().replace('\\', "/");
            into.insert(name, std::fs::read(&path)?);
        }
    }
    Ok(())
}
