//! A new checkpoint folder, written in pieces and complete or not there at all.

use super::names::Part;
use super::{Layout, open};
use crate::dtype::DType;
use crate::error::Error;
use crate::gpt_oss::config::Config;
use crate::gpt_oss::progress::Progress;
use serde_json::{Map, Value, json};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// A folder that appears under its name when it is complete. Until then it is called `NAME.partial`, and a failure removes
/// it.
pub(crate) struct NewCheckpoint<'a> {
    out: PathBuf,
    partial: PathBuf,
    config: &'a Config,
    layout: Layout,
    committed: bool,
}

/// Receives a tensor's bytes.
pub(crate) struct TensorWriter<'a> {
    file: BufWriter<File>,
    path: PathBuf,
    written: u64,
    total: u64,
    progress: &'a mut dyn FnMut(Progress),
}

/// A tensor and the bytes it needs.
struct Planned {
    part: Part,
    name: String,
    dtype: DType,
    shape: Vec<usize>,
    bytes: u64,
}

impl<'a> NewCheckpoint<'a> {
    /// Begins a checkpoint at `out`, which must not exist or be an empty folder.
    pub(crate) fn create(out: &Path, config: &'a Config, layout: Layout) -> Result<Self, Error> {
        config.check()?;
        let name = out.file_name().ok_or_else(|| Error::file(out, "must be the name of a new folder"))?;
        if let Ok(mut entries) = std::fs::read_dir(out) {
            if entries.next().is_some() {
                return Err(Error::file(out, "is not empty: nothing is overwritten"));
            }
        } else if out.exists() {
            return Err(Error::file(out, "is there already and is not a folder"));
        }
        let mut partial = name.to_os_string();
        partial.push(".partial");
        let partial = out.with_file_name(partial);
        if let Some(parent) = partial.parent().filter(|p| !p.as_os_str().is_empty()) {
            std::fs::create_dir_all(parent).map_err(|e| Error::file(parent, e))?;
        }
        std::fs::create_dir(&partial).map_err(|e| match e.kind() {
            std::io::ErrorKind::AlreadyExists => {
                Error::file(&partial, "is left from an interrupted run: remove it first")
            }
            _ => Error::file(&partial, e),
        })?;
        Ok(NewCheckpoint { out: out.to_path_buf(), partial, config, layout, committed: false })
    }

    /// Writes a small file.
    pub(crate) fn file(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let path = self.partial.join(name);
        std::fs::write(&path, bytes).map_err(|e| Error::file(path, e))
    }

    /// Writes every tensor of the layout, in shards of at most `max_shard` bytes (one tensor at least); `fill` gives each
    /// one's bytes.
    pub(crate) fn tensors(
        &self,
        max_shard: u64,
        progress: &mut dyn FnMut(Progress),
        fill: &mut dyn FnMut(Part, &mut TensorWriter<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let planned: Vec<Planned> = Part::all(self.config, self.layout).into_iter().map(|p| self.plan(p)).collect();
        let total = planned.iter().map(|p| p.bytes).sum();
        let shards = split(&planned, max_shard);
        let mut weight_map = Map::new();
        let mut written = 0;
        for (i, shard) in shards.iter().enumerate() {
            let name = match shards.len() {
                1 => open::SINGLE.to_string(),
                n => format!("model-{:05}-of-{n:05}.safetensors", i + 1),
            };
            let path = self.partial.join(&name);
            let file = File::create(&path).map_err(|e| Error::file(&path, e))?;
            let mut to = TensorWriter { file: BufWriter::with_capacity(1 << 20, file), path, written, total, progress };
            to.raw(&header(shard)?)?;
            for tensor in *shard {
                let before = to.written;
                fill(tensor.part, &mut to)?;
                if to.written - before != tensor.bytes {
                    let problem =
                        format!("tensor {} has {} bytes, not {}", tensor.name, to.written - before, tensor.bytes);
                    return Err(Error::file(&to.path, problem));
                }
                weight_map.insert(tensor.name.clone(), json!(name));
            }
            written = to.finish()?;
        }
        if shards.len() > 1 {
            let index = json!({ "metadata": { "total_size": total }, "weight_map": weight_map });
            self.file(open::INDEX, format!("{index:#}\n").as_bytes())?;
        }
        Ok(())
    }

    /// Writes config.json and gives the folder its name.
    pub(crate) fn commit(mut self) -> Result<(), Error> {
        self.file("config.json", self.config.to_json(self.layout)?.as_bytes())?;
        if self.out.exists() {
            std::fs::remove_dir(&self.out).map_err(|e| Error::file(&self.out, e))?;
        }
        std::fs::rename(&self.partial, &self.out).map_err(|e| Error::file(&self.out, e))?;
        self.committed = true;
        Ok(())
    }

    fn plan(&self, part: Part) -> Planned {
        let (dtype, shape) = part.shape(self.config);
        let bytes = shape.iter().fold(dtype.bytes() as u64, |n, d| n.saturating_mul(*d as u64));
        Planned { part, name: part.name(self.layout), dtype, shape, bytes }
    }
}

impl Drop for NewCheckpoint<'_> {
    fn drop(&mut self) {
        if !self.committed {
            // A failure to clean up would hide the failure that led here.
            let _ = std::fs::remove_dir_all(&self.partial);
        }
    }
}

impl TensorWriter<'_> {
    /// The tensor's next bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        // In pieces, so that progress moves within a large tensor.
        for piece in bytes.chunks(8 << 20) {
            self.raw(piece)?;
            self.written += piece.len() as u64;
            (self.progress)(Progress { done: self.written, total: self.total });
        }
        Ok(())
    }

    fn raw(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.file.write_all(bytes).map_err(|e| Error::file(&self.path, e))
    }

    fn finish(mut self) -> Result<u64, Error> {
        self.file.flush().map_err(|e| Error::file(&self.path, e))?;
        Ok(self.written)
    }
}

fn split(planned: &[Planned], max_shard: u64) -> Vec<&[Planned]> {
    let (mut shards, mut start, mut size) = (Vec::new(), 0, 0u64);
    for (i, tensor) in planned.iter().enumerate() {
        if size > 0 && size.saturating_add(tensor.bytes) > max_shard {
            shards.push(&planned[start..i]);
            (start, size) = (i, 0);
        }
        size = size.saturating_add(tensor.bytes);
    }
    shards.push(&planned[start..]);
    shards
}

/// Length and text of a safetensors header, padded so that the tensors start at a multiple of 8.
fn header(tensors: &[Planned]) -> Result<Vec<u8>, Error> {
    let mut map = Map::from_iter([("__metadata__".to_string(), json!({ "format": "pt" }))]);
    let mut at = 0u64;
    for tensor in tensors {
        let dtype = match tensor.dtype {
            DType::U8 => "U8",
            DType::Bf16 => "BF16",
            other => return Err(Error::input(&tensor.name, format!("is not stored as {other}"))),
        };
        let end = at + tensor.bytes;
        map.insert(tensor.name.clone(), json!({ "dtype": dtype, "shape": tensor.shape, "data_offsets": [at, end] }));
        at = end;
    }
    let mut text = Value::Object(map).to_string().into_bytes();
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut header = (text.len() as u64).to_le_bytes().to_vec();
    header.extend(text);
    Ok(header)
}
