//! The files of a set of vectors: a folder, or an archive in memory.

use crate::backend::HostBytes;
use crate::error::Error;
use crate::gpt_oss::safetensors::SafetensorsFile;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// Where the files are.
enum Source {
    Folder(PathBuf),
    Memory(BTreeMap<String, HostBytes>),
}

/// Files by name, each parsed once.
pub(super) struct Files {
    source: Source,
    safetensors: Mutex<HashMap<String, Arc<SafetensorsFile>>>,
    json: Mutex<HashMap<String, Arc<serde_json::Value>>>,
}

impl Files {
    pub(super) fn folder(root: &Path) -> Self {
        Self::new(Source::Folder(root.to_path_buf()))
    }

    pub(super) fn memory(files: BTreeMap<String, HostBytes>) -> Self {
        Self::new(Source::Memory(files))
    }

    fn new(source: Source) -> Self {
        Files { source, safetensors: Mutex::default(), json: Mutex::default() }
    }

    /// The parsed safetensors file of this name.
    pub(super) fn safetensors(&self, name: &str) -> Result<Arc<SafetensorsFile>, Error> {
        cached(&self.safetensors, name, || self.open_safetensors(name))
    }

    /// As [`Files::safetensors`], parsed anew: a checkpoint takes its files over.
    pub(super) fn open_safetensors(&self, name: &str) -> Result<SafetensorsFile, Error> {
        match &self.source {
            Source::Folder(root) => SafetensorsFile::open(&root.join(relative(name)?)),
            Source::Memory(_) => SafetensorsFile::parse(Path::new(name), self.bytes(name)?),
        }
    }

    /// The parsed JSON file of this name.
    pub(super) fn json(&self, name: &str) -> Result<Arc<serde_json::Value>, Error> {
        cached(&self.json, name, || {
            serde_json::from_slice(self.bytes(name)?.as_slice())
                .map_err(|e| Error::file(name, format!("not JSON: {e}")))
        })
    }

    fn bytes(&self, name: &str) -> Result<HostBytes, Error> {
        match &self.source {
            Source::Folder(root) => {
                let path = root.join(relative(name)?);
                std::fs::read(&path).map(HostBytes::from).map_err(|e| Error::file(path, e))
            }
            Source::Memory(files) => {
                files.get(name).cloned().ok_or_else(|| Error::file(name, "is not in the bundled set"))
            }
        }
    }
}

fn cached<T>(
    cache: &Mutex<HashMap<String, Arc<T>>>,
    name: &str,
    open: impl FnOnce() -> Result<T, Error>,
) -> Result<Arc<T>, Error> {
    // A panic elsewhere leaves the map whole: entries are only ever added.
    let mut cache = cache.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some(hit) = cache.get(name) {
        return Ok(hit.clone());
    }
    let opened = Arc::new(open()?);
    cache.insert(name.to_string(), opened.clone());
    Ok(opened)
}

/// `name` as a path that stays inside the folder: `/`-separated, never absolute, never with `..`.
fn relative(name: &str) -> Result<PathBuf, Error> {
    let inside = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains(['\\', ':', '\0']);
    if name.split('/').all(inside) {
        return Ok(name.split('/').collect());
    }
    Err(Error::input(format!("file name {name:?}"), "leaves the folder of vectors, or is not a plain relative path"))
}
