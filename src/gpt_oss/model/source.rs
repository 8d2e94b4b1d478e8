//! Where a model's tensors come from.

use crate::error::Error;
use crate::gpt_oss::checkpoint::names::Part;
use crate::gpt_oss::checkpoint::{Checkpoint, Layout};
use crate::gpt_oss::config::Config;
use crate::host::HostBytes;

/// A tensor whose bytes are those of all pieces, one after the other.
pub(crate) struct Stored {
    pub shape: Vec<usize>,
    pub pieces: Vec<HostBytes>,
}

/// A checkpoint, or what stands for one.
pub(crate) trait Source {
    fn config(&self) -> &Config;
    fn layout(&self) -> Layout;
    /// A tensor of the model, as the layout stores it.
    fn part(&self, part: Part) -> Result<Stored, Error>;
    /// What keys and values of a layer's heads are to be divided by in a cache of f8e4m3, where there is something.
    fn kv_scales(&self, _layer: usize) -> Result<Option<[Vec<f64>; 2]>, Error> {
        Ok(None)
    }
}

impl Source for Checkpoint {
    fn config(&self) -> &Config {
        Checkpoint::config(self)
    }

    fn layout(&self) -> Layout {
        Checkpoint::layout(self)
    }

    fn part(&self, part: Part) -> Result<Stored, Error> {
        let tensor = Checkpoint::part(self, part)?;
        Ok(Stored { shape: tensor.shape, pieces: vec![tensor.bytes] })
    }

    fn kv_scales(&self, layer: usize) -> Result<Option<[Vec<f64>; 2]>, Error> {
        Checkpoint::kv_scales(self, layer)
    }
}
