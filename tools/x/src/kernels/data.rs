//! A data crate: what is compiled into it, written or compared.

use anyhow::{Context, bail, ensure};
use std::collections::BTreeMap;
use std::path::Path;

/// Files by their path in the crate.
pub type Files = BTreeMap<String, Vec<u8>>;

/// A crate of compiled kernels.
pub struct DataCrate {
    /// Its folder.
    pub folder: &'static str,
    /// Where in it the compiled files are.
    pub compiled: &'static str,
    /// The command that a stale LOCK asks for.
    pub command: &'static str,
}

impl DataCrate {
    pub fn root(&self) -> anyhow::Result<&'static Path> {
        let root = Path::new(self.folder);
        ensure!(root.is_dir(), "run this in the repository's root: there is no {}/ here", self.folder);
        Ok(root)
    }

    pub fn store(&self, made: &Files) -> anyhow::Result<()> {
        let root = self.root()?;
        for stale in self.committed()?.into_iter().filter(|path| !made.contains_key(path)) {
            std::fs::remove_file(root.join(&stale))?;
            println!("removed {stale}");
        }
        for (path, bytes) in made {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap_or(root))?;
            std::fs::write(&path, bytes).with_context(|| format!("{}", path.display()))?;
        }
        println!("{} files written", made.len());
        Ok(())
    }

    pub fn compare(&self, made: &Files) -> anyhow::Result<()> {
        let root = self.root()?;
        let mut wrong: Vec<String> = self
            .committed()?
            .into_iter()
            .filter(|path| !made.contains_key(path))
            .map(|path| format!("{path} has no row in variants.toml"))
            .collect();
        for (path, bytes) in made {
            match std::fs::read(root.join(path)) {
                Ok(have) if &have == bytes => {}
                Ok(_) => wrong.push(format!("{path} differs from what its source compiles to")),
                Err(e) => wrong.push(format!("{path}: {e}")),
            }
        }
        if !wrong.is_empty() {
            bail!("{}\nrebuild with `{}`", wrong.join("\n"), self.command);
        }
        println!("{} files equal byte for byte", made.len());
        Ok(())
    }

    /// Compiled files in the crate, whether they still have a row or not.
    fn committed(&self) -> anyhow::Result<Vec<String>> {
        let folder = self.root()?.join(self.compiled);
        if !folder.is_dir() {
            return Ok(Vec::new());
        }
        let name = |e: std::fs::DirEntry| format!("{}/{}", self.compiled, e.file_name().to_string_lossy());
        std::fs::read_dir(&folder)?.map(|e| Ok(name(e?))).collect()
    }
}
