//! One safetensors file, memory-mapped or in memory.

use crate::backend::HostBytes;
use crate::dtype::DType;
use crate::error::Error;
use crate::host::HostTensor;
use ::safetensors::SafeTensors;
use ::safetensors::tensor::{Dtype, Metadata, TensorInfo};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A parsed file. Tensors are windows on it, not copies.
pub struct SafetensorsFile {
    path: PathBuf,
    metadata: Metadata,
    data: HostBytes,
}

impl SafetensorsFile {
    /// Maps a file into memory.
    ///
    /// # Errors
    /// [`Error::File`] where it cannot be read or is not a safetensors file.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let file = std::fs::File::open(path).map_err(|e| Error::file(path, e))?;
        if file.metadata().map_err(|e| Error::file(path, e))?.len() == 0 {
            return Err(Error::file(path, "not a safetensors file: it is empty"));
        }
        // SAFETY: read-only map. Another process that truncates the file meanwhile would fault this one, as with any map;
        // documented in the README.
        let map = unsafe { memmap2::Mmap::map(&file) }.map_err(|e| Error::file(path, e))?;
        let len = map.len();
        let bytes = HostBytes::new(Arc::new(map), 0..len).ok_or_else(|| Error::file(path, "changed while mapping"))?;
        Self::parse(path, bytes)
    }

    /// Parses bytes; `path` is what errors call them.
    ///
    /// # Errors
    /// [`Error::File`] where they are not a safetensors file: a header cut short, offsets that leave the file or overlap.
    pub fn parse(path: &Path, bytes: HostBytes) -> Result<Self, Error> {
        let slice = bytes.as_slice();
        let (header, metadata) =
            SafeTensors::read_metadata(slice).map_err(|e| Error::file(path, format!("not a safetensors file: {e}")))?;
        let start = header.checked_add(8).filter(|s| *s <= slice.len());
        let data = start.and_then(|s| bytes.slice(s..slice.len()));
        let data = data.ok_or_else(|| Error::file(path, "its header says it is longer than the file"))?;
        let (need, have) = (metadata.data_len(), data.as_slice().len());
        if need != have {
            return Err(Error::file(path, format!("tensors need {need} bytes, the file holds {have}")));
        }
        Ok(SafetensorsFile { path: path.to_path_buf(), metadata, data })
    }

    /// The file, as errors name it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Names of all tensors, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names = self.metadata.offset_keys();
        names.sort();
        names
    }

    /// Is there a tensor of this name?
    pub fn contains(&self, name: &str) -> bool {
        self.metadata.info(name).is_some()
    }

    /// A tensor by name; `None` where there is none.
    ///
    /// # Errors
    /// [`Error::File`] where its type is one this crate does not know.
    pub fn get(&self, name: &str) -> Result<Option<HostTensor>, Error> {
        let Some(info) = self.metadata.info(name) else { return Ok(None) };
        let dtype = self.dtype(name, info)?;
        let (from, to) = info.data_offsets;
        let bytes = self.data.slice(from..to);
        let bytes = bytes.ok_or_else(|| Error::file(&self.path, format!("tensor {name} lies outside the file")))?;
        HostTensor::new(dtype, &info.shape, bytes)
            .map(Some)
            .map_err(|e| Error::file(&self.path, format!("{name}: {e}")))
    }

    fn dtype(&self, name: &str, info: &TensorInfo) -> Result<DType, Error> {
        Ok(match info.dtype {
            Dtype::F64 => DType::F64,
            Dtype::F32 => DType::F32,
            Dtype::BF16 => DType::Bf16,
            Dtype::F16 => DType::F16,
            Dtype::I32 => DType::I32,
            Dtype::U32 => DType::U32,
            Dtype::U8 => DType::U8,
            other => {
                return Err(Error::file(
                    &self.path,
                    format!("tensor {name} has type {other:?}, which is not used here"),
                ));
            }
        })
    }
}
