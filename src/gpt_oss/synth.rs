//! Checkpoints of random weights: everything runs without a download, at any size.
//!
//! A tensor's content depends on the seed and its name alone. Weights are scaled by 1 / sqrt(K), so that activations stay
//! of order one through all layers. The smallest presets get a tokenizer too, so that text goes in and comes out.

mod vocabulary;
mod weights;

pub use weights::RandomWeights;

use super::checkpoint::Layout;
use super::checkpoint::names::{LayerPart, Part};
use super::checkpoint::write::{NewCheckpoint, TensorWriter};
use super::config::Config;
use super::progress::Progress;
use crate::error::Error;
use crate::mxfp4::Tiled;
use std::path::Path;

/// Largest shard, bytes.
pub const MAX_SHARD: u64 = 4_500_000_000;

/// Bytes made at a time.
const PIECE: usize = 4 << 20;
/// Bytes of a prepacked tile.
const TILE: usize = Tiled::bytes(16, 64);

/// Writes a checkpoint of random weights in the HF layout: config.json, shards of at most [`MAX_SHARD`] bytes, and for
/// vocabularies of some hundred tokens a tokenizer.json. Memory stays within some MB.
///
/// # Errors
/// [`Error::File`] where `out` is not empty or cannot be written; nothing is left at `out` then. [`Error::Input`] for a
/// config that makes no sense.
pub fn synth(config: &Config, out: &Path, seed: u64, progress: &mut dyn FnMut(Progress)) -> Result<(), Error> {
    let new = NewCheckpoint::create(out, config, Layout::Hf)?;
    new.tensors(MAX_SHARD, progress, &mut |part, to| write(part, config, seed, to))?;
    if let Some(tokenizer) = vocabulary::tokenizer_json(config.vocab) {
        new.file("tokenizer.json", tokenizer.as_bytes())?;
    }
    new.commit()
}

/// What a tensor is filled with.
#[derive(Clone, Copy)]
enum Content {
    /// Random MXFP4 codes.
    Codes,
    /// Scale bytes around this one.
    Scales(u8),
    /// Prepacked tiles: codes, then scale bytes around this one.
    Tiles(u8),
    /// bf16 of this mean and standard deviation.
    Normal(f32, f32),
}

fn content(part: Part, config: &Config) -> Content {
    use LayerPart as L;
    let weight = |k: usize| Content::Normal(0.0, 1.0 / (k as f32).sqrt());
    // A random code has a root mean square of 2.93.
    let scale = |k: usize| (127.0 - (2.93 * (k as f32).sqrt()).log2()).round() as u8;
    match part {
        Part::Embedding => Content::Normal(0.0, 1.0),
        Part::Head => weight(config.hidden),
        Part::FinalNorm => Content::Normal(1.0, 0.1),
        Part::Layer(_, part) => match part {
            L::AttnNorm | L::MlpNorm => Content::Normal(1.0, 0.1),
            L::Sinks => Content::Normal(0.0, 1.0),
            L::QkvWeight | L::QWeight | L::KWeight | L::VWeight | L::RouterWeight => weight(config.hidden),
            L::OutWeight => weight(config.q_heads * config.head_dim),
            L::UpScales => Content::Scales(scale(config.hidden)),
            L::DownScales => Content::Scales(scale(config.intermediate)),
            L::UpTiles => Content::Tiles(scale(config.hidden)),
            L::DownTiles => Content::Tiles(scale(config.intermediate)),
            L::UpBlocks | L::DownBlocks => Content::Codes,
            _ => Content::Normal(0.0, 0.02),
        },
    }
}

fn write(part: Part, config: &Config, seed: u64, to: &mut TensorWriter<'_>) -> Result<(), Error> {
    let (dtype, shape) = part.shape(config);
    let mut left = shape.iter().product::<usize>() * dtype.bytes();
    let mut rng = Rng::of(seed, &part.name(Layout::Hf));
    let mut piece = vec![0; PIECE.min(left.next_multiple_of(8))];
    while left > 0 {
        fill(content(part, config), &mut rng, &mut piece);
        let now = piece.len().min(left);
        to.write(&piece[..now])?;
        left -= now;
    }
    Ok(())
}

/// Fills whole eights of bytes.
fn fill(content: Content, rng: &mut Rng, piece: &mut [u8]) {
    // Mostly the byte itself, sometimes the one below.
    let scales = |rng: &mut Rng, byte: u8| rng.next().to_le_bytes().map(|r| byte - u8::from(r < 64));
    let normals = |rng: &mut Rng, mean: f32, deviation: f32| {
        let mut out = [0; 8];
        for two in out.as_chunks_mut::<2>().0 {
            *two = half::bf16::from_f32(mean + deviation * rng.normal()).to_le_bytes();
        }
        out
    };
    for (i, eight) in piece.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        *eight = match content {
            Content::Codes => rng.next().to_le_bytes(),
            Content::Scales(byte) => scales(rng, byte),
            // The last 32 bytes of a tile.
            Content::Tiles(byte) if (i + 4) % (TILE / 8) < 4 => scales(rng, byte),
            Content::Tiles(_) => rng.next().to_le_bytes(),
            Content::Normal(mean, deviation) => normals(rng, mean, deviation),
        };
    }
}

/// SplitMix64: a counter and a mixing of it; fast, and good enough for weights.
struct Rng(u64);

impl Rng {
    /// The stream of a tensor: FNV-1a of its name, mixed with the seed.
    fn of(seed: u64, name: &str) -> Self {
        let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325, fnv);
        Rng(hash ^ Rng(seed).next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Nearly normal: the sum of four uniform numbers, of mean 0 and deviation 1.
    fn normal(&mut self) -> f32 {
        let r = self.next();
        let sum: u64 = (0..4).map(|i| r >> (16 * i) & 0xffff).sum();
        (sum as f32 / 65536.0 - 2.0) * 3f32.sqrt()
    }
}
