//! Random weights that are never written to a file.

use super::{Rng, TILE, content, fill};
use crate::error::Error;
use crate::gpt_oss::checkpoint::Layout;
use crate::gpt_oss::checkpoint::names::Part;
use crate::gpt_oss::config::Config;
use crate::gpt_oss::model::source::{Source, Stored};
use crate::host::HostBytes;

/// Bytes of a tensor that are made; the rest of it repeats them. Whole prepacked tiles, and no whole number of the rows of
/// any preset, so that neither rows nor experts are alike.
const PIECE: usize = 7710 * TILE;

/// The weights of a checkpoint of this seed, but for large tensors, which repeat their first 4 MB: a model of any size to
/// measure, loaded as fast as a device takes bytes.
pub struct RandomWeights {
    config: Config,
    layout: Layout,
    seed: u64,
}

impl RandomWeights {
    /// Weights of this geometry in this layout.
    ///
    /// # Errors
    /// [`Error::Input`] for a config that makes no sense, or one whose prepacked tiles would not be full.
    pub fn new(config: Config, layout: Layout, seed: u64) -> Result<Self, Error> {
        config.check()?;
        let full = [config.hidden, config.intermediate].iter().all(|n| n.is_multiple_of(64));
        if layout == Layout::Prepacked && !full {
            let problem = format!("must be multiples of 64, got {} and {}", config.hidden, config.intermediate);
            return Err(Error::input("hidden and intermediate of random prepacked weights", problem));
        }
        Ok(RandomWeights { config, layout, seed })
    }

    /// The model's dimensions.
    pub fn config(&self) -> &Config {
        &self.config
    }
}

impl Source for RandomWeights {
    fn config(&self) -> &Config {
        &self.config
    }

    fn layout(&self) -> Layout {
        self.layout
    }

    fn part(&self, part: Part) -> Result<Stored, Error> {
        let part = if part == Part::Head && self.config.tied_head { Part::Embedding } else { part };
        let (dtype, shape) = part.shape(&self.config);
        let bytes = shape.iter().product::<usize>() * dtype.bytes();
        let mut made = vec![0; PIECE.min(bytes.next_multiple_of(8))];
        fill(content(part, &self.config), &mut Rng::of(self.seed, &part.name(Layout::Hf)), &mut made);
        let made = HostBytes::from(made);
        let piece = |at| made.slice(0..PIECE.min(bytes - at));
        let pieces = (0..bytes).step_by(PIECE).filter_map(piece).collect();
        Ok(Stored { shape, pieces })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpt_oss::checkpoint::names::LayerPart;

    #[test]
    fn tensors_are_whole_and_differ() {
        let config = Config::preset("gpt-oss-20b").unwrap();
        let weights = RandomWeights::new(config.clone(), Layout::Prepacked, 1).unwrap();
        let mut first: Vec<Vec<u8>> = Vec::new();
        for part in [LayerPart::UpTiles, LayerPart::UpBias, LayerPart::QWeight, LayerPart::Sinks] {
            for n in 0..2 {
                let stored = weights.part(Part::Layer(n, part)).unwrap();
                let (dtype, shape) = Part::Layer(n, part).shape(&config);
                let bytes: usize = stored.pieces.iter().map(|p| p.as_slice().len()).sum();
                assert_eq!(bytes, shape.iter().product::<usize>() * dtype.bytes(), "{part:?}");
                first.push(stored.pieces[0].as_slice()[..128].to_vec());
            }
        }
        first.sort();
        first.dedup();
        assert_eq!(first.len(), 8);
        let tiny = RandomWeights::new(Config::preset("tiny").unwrap(), Layout::Prepacked, 1);
        assert!(tiny.err().unwrap().to_string().contains("multiples of 64, got 128 and 96"));
    }
}
