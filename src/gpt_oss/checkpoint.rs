//! A checkpoint: configuration, files, and every tensor checked before the first is used.
//!
//! Tensors are windows on the memory-mapped files. Opening reads the headers and the block scales (1/17 of the weights), not
//! the weights.

pub(crate) mod names;
mod open;
mod scales;
pub(crate) mod write;

use super::config::Config;
use super::safetensors::SafetensorsFile;
use crate::error::Error;
use crate::host::HostTensor;
use crate::mxfp4;
use names::{LayerPart, Part};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

/// How a checkpoint names and stores its tensors.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Layout {
    /// Hugging Face: q, k and v apart, MXFP4 blocks and scales.
    Hf,
    /// OpenAI's original: q, k and v rows in one tensor, MXFP4 blocks and scales.
    Original,
    /// This crate's: named as HF, experts as [`mxfp4::Tiled`].
    Prepacked,
}

impl Layout {
    /// All of them.
    pub const ALL: [Layout; 3] = [Layout::Hf, Layout::Original, Layout::Prepacked];

    /// The layout of this name: `hf`, `original`, `prepacked`.
    pub fn named(name: &str) -> Option<Layout> {
        Self::ALL.into_iter().find(|l| l.to_string() == name)
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Layout::Hf => "hf",
            Layout::Original => "original",
            Layout::Prepacked => "prepacked",
        })
    }
}

/// An opened checkpoint.
pub struct Checkpoint {
    config: Config,
    layout: Layout,
    files: Vec<SafetensorsFile>,
    /// File of each tensor.
    place: BTreeMap<String, usize>,
}

impl Checkpoint {
    /// Opens a folder: config.json beside `model.safetensors`, or beside the shards of `model.safetensors.index.json`. The
    /// layout shows in the tensors' names.
    ///
    /// # Errors
    /// [`Error::File`] or [`Error::Input`]: which file, tensor or field, what was wanted, what came.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        let config = Config::open(dir)?;
        let files = open::files(dir)?;
        let layout = detect(dir, &files)?;
        Self::from_files(config, layout, files)
    }

    /// A checkpoint of files that are already open.
    ///
    /// # Errors
    /// As [`Checkpoint::open`].
    pub fn from_files(config: Config, layout: Layout, files: Vec<SafetensorsFile>) -> Result<Self, Error> {
        config.check()?;
        let mut place = BTreeMap::new();
        for (i, file) in files.iter().enumerate() {
            for name in file.names() {
                if let Some(first) = place.insert(name.clone(), i) {
                    let first = files.get(first).map_or(file.path(), SafetensorsFile::path);
                    return Err(Error::file(file.path(), format!("tensor {name} is also in {}", first.display())));
                }
            }
        }
        let checkpoint = Checkpoint { config, layout, files, place };
        for part in Part::all(&checkpoint.config, layout) {
            checkpoint.check(part)?;
        }
        Ok(checkpoint)
    }

    /// Maps the files anew: the pages that were read through the old maps no longer count as this process's memory.
    pub(crate) fn remap(&mut self) -> Result<(), Error> {
        self.files = self.files.iter().map(|f| SafetensorsFile::open(f.path())).collect::<Result<_, _>>()?;
        Ok(())
    }

    /// The model's dimensions.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// How the tensors are named and stored.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Names of all tensors, sorted.
    pub fn names(&self) -> Vec<String> {
        self.place.keys().cloned().collect()
    }

    /// A tensor as it is stored, by its name in the checkpoint's own layout; `None` where there is none.
    ///
    /// # Errors
    /// [`Error::File`] where its type is one this crate does not know.
    pub fn tensor(&self, name: &str) -> Result<Option<HostTensor>, Error> {
        let file = self.place.get(name).and_then(|i| self.files.get(*i));
        file.map_or(Ok(None), |f| f.get(name))
    }

    /// A tensor that is no part of the model, if there is one.
    pub(crate) fn unknown_tensor(&self) -> Option<&str> {
        let known: BTreeSet<String> =
            Part::all(&self.config, self.layout).iter().map(|p| p.name(self.layout)).collect();
        self.place.keys().find(|name| !known.contains(*name)).map(String::as_str)
    }

    /// A tensor by its part. The q, k and v rows of a fused tensor are windows on it, and a tied head is the embedding.
    pub(crate) fn part(&self, part: Part) -> Result<HostTensor, Error> {
        match part {
            Part::Head if self.config.tied_head => return self.stored(Part::Embedding),
            Part::Layer(n, slice) if self.layout == Layout::Original => {
                if let Some((whole, first)) = self.fused(slice) {
                    return self.rows(Part::Layer(n, whole), first, part);
                }
            }
            _ => {}
        }
        self.stored(part)
    }

    fn stored(&self, part: Part) -> Result<HostTensor, Error> {
        let name = part.name(self.layout);
        self.tensor(&name)?.ok_or_else(|| {
            let file = self.files.first().map_or(Path::new("checkpoint"), SafetensorsFile::path);
            Error::file(file, format!("tensor {name} is missing ({} layout)", self.layout))
        })
    }

    /// The fused tensor and its row where q, k or v starts.
    fn fused(&self, part: LayerPart) -> Option<(LayerPart, usize)> {
        let (q, kv) = (self.config.q_heads * self.config.head_dim, self.config.kv_heads * self.config.head_dim);
        Some(match part {
            LayerPart::QWeight => (LayerPart::QkvWeight, 0),
            LayerPart::QBias => (LayerPart::QkvBias, 0),
            LayerPart::KWeight => (LayerPart::QkvWeight, q),
            LayerPart::KBias => (LayerPart::QkvBias, q),
            LayerPart::VWeight => (LayerPart::QkvWeight, q + kv),
            LayerPart::VBias => (LayerPart::QkvBias, q + kv),
            _ => return None,
        })
    }

    /// As many rows of `whole` as `part` has, from `first` on.
    fn rows(&self, whole: Part, first: usize, part: Part) -> Result<HostTensor, Error> {
        let whole = self.stored(whole)?;
        let (dtype, shape) = part.shape(&self.config);
        let row = shape.iter().skip(1).product::<usize>() * dtype.bytes();
        let (from, len) = (first * row, shape.first().copied().unwrap_or(0) * row);
        let bytes = whole.bytes.slice(from..from + len);
        let bytes = bytes.ok_or_else(|| Error::input(part.name(Layout::Hf), "is not inside the fused tensor"))?;
        HostTensor::new(dtype, &shape, bytes)
    }

    /// Type, shape, and where it holds scales no NaN among them.
    fn check(&self, part: Part) -> Result<(), Error> {
        let tensor = self.stored(part)?;
        let name = part.name(self.layout);
        let file = self.place.get(&name).and_then(|i| self.files.get(*i)).map(SafetensorsFile::path);
        let at = |e: String| file.map_or_else(|| Error::input(&name, &e), |f| Error::file(f, &e));
        let (dtype, shape) = part.shape(&self.config);
        if tensor.dtype != dtype || tensor.shape != shape {
            let (got, dims) = (tensor.dtype, &tensor.shape);
            return Err(at(format!("tensor {name} must be {dtype} {shape:?} by the config, got {got} {dims:?}")));
        }
        let bytes = tensor.bytes.as_slice();
        let scales = match part {
            Part::Layer(_, LayerPart::UpScales | LayerPart::DownScales) => mxfp4::check_scales(&name, bytes),
            Part::Layer(_, LayerPart::UpTiles | LayerPart::DownTiles) => mxfp4::check_tiled_scales(&name, bytes),
            _ => Ok(()),
        };
        scales.map_err(|e| at(e.to_string()))
    }
}

/// The layout whose names appear.
fn detect(dir: &Path, files: &[SafetensorsFile]) -> Result<Layout, Error> {
    let has = |part: Part, layout| {
        let name = part.name(layout);
        files.iter().any(|f| f.contains(&name))
    };
    let experts = |part| Part::Layer(0, part);
    if has(Part::Embedding, Layout::Original) {
        return Ok(Layout::Original);
    }
    if has(experts(LayerPart::UpTiles), Layout::Prepacked) {
        return Ok(Layout::Prepacked);
    }
    if has(Part::Embedding, Layout::Hf) || has(experts(LayerPart::UpBlocks), Layout::Hf) {
        return Ok(Layout::Hf);
    }
    let wanted = Layout::ALL.map(|l| Part::Embedding.name(l));
    Err(Error::file(dir, format!("holds no gpt-oss checkpoint: no tensor {} or {}", wanted[0], wanted[1])))
}
