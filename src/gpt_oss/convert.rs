//! A checkpoint in another layout: the same codes, scales and numbers, bit for bit.

use super::checkpoint::names::{LayerPart, Part};
use super::checkpoint::write::{NewCheckpoint, TensorWriter};
use super::checkpoint::{Checkpoint, Layout};
use super::progress::Progress;
use crate::error::Error;
use crate::mxfp4::{self, Tiled};
use std::path::Path;

pub use super::synth::MAX_SHARD;

/// Files that go along unchanged.
const COMPANIONS: [&str; 5] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "generation_config.json",
    "chat_template.jinja",
];

/// Writes the checkpoint in folder `from` to folder `out` in another layout, in shards of at most `max_shard` bytes
/// ([`MAX_SHARD`]), with the config.json of that layout and the tokenizer's files. Memory stays within one tensor of the source.
///
/// # Errors
/// What [`Checkpoint::open`] says of `from`; [`Error::File`] where it holds tensors that would be lost, or where `out` is not
/// empty or cannot be written (nothing is left at `out` then).
pub fn convert(
    from: &Path,
    to: Layout,
    out: &Path,
    max_shard: u64,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), Error> {
    let mut source = Checkpoint::open(from)?;
    let config = source.config().clone();
    if let Some(extra) = source.unknown_tensor() {
        return Err(Error::file(from, format!("tensor {extra} has no place in the {to} layout and would be lost")));
    }
    config.to_json(to)?;
    let new = NewCheckpoint::create(out, &config, to)?;
    new.tensors(max_shard, progress, &mut |part, to| {
        source.remap()?;
        write(&source, part, to)
    })?;
    for name in COMPANIONS {
        let path = from.join(name);
        if path.is_file() {
            new.file(name, &std::fs::read(&path).map_err(|e| Error::file(&path, e))?)?;
        }
    }
    new.commit()
}

fn write(source: &Checkpoint, part: Part, to: &mut TensorWriter<'_>) -> Result<(), Error> {
    use LayerPart as L;
    let config = source.config();
    let (up, down) = ((2 * config.intermediate, config.hidden), (config.hidden, config.intermediate));
    let Part::Layer(n, kind) = part else { return copy(source, part, to) };
    match (kind, source.layout()) {
        (L::QkvWeight, Layout::Hf | Layout::Prepacked) => {
            [L::QWeight, L::KWeight, L::VWeight].into_iter().try_for_each(|p| copy(source, Part::Layer(n, p), to))
        }
        (L::QkvBias, Layout::Hf | Layout::Prepacked) => {
            [L::QBias, L::KBias, L::VBias].into_iter().try_for_each(|p| copy(source, Part::Layer(n, p), to))
        }
        (L::UpTiles, Layout::Hf | Layout::Original) => tile(source, n, [L::UpBlocks, L::UpScales], up, to),
        (L::DownTiles, Layout::Hf | Layout::Original) => tile(source, n, [L::DownBlocks, L::DownScales], down, to),
        (L::UpBlocks, Layout::Prepacked) => untile(source, n, L::UpTiles, up, to, |e| e.blocks),
        (L::UpScales, Layout::Prepacked) => untile(source, n, L::UpTiles, up, to, |e| e.scales),
        (L::DownBlocks, Layout::Prepacked) => untile(source, n, L::DownTiles, down, to, |e| e.blocks),
        (L::DownScales, Layout::Prepacked) => untile(source, n, L::DownTiles, down, to, |e| e.scales),
        _ => copy(source, part, to),
    }
}

fn copy(source: &Checkpoint, part: Part, to: &mut TensorWriter<'_>) -> Result<(), Error> {
    to.write(source.part(part)?.bytes.as_slice())
}

/// Experts one after the other, each of `rows` x `k` elements.
fn tile(
    source: &Checkpoint,
    n: usize,
    [blocks, scales]: [LayerPart; 2],
    (rows, k): (usize, usize),
    to: &mut TensorWriter<'_>,
) -> Result<(), Error> {
    let (blocks, scales) = (source.part(Part::Layer(n, blocks))?, source.part(Part::Layer(n, scales))?);
    mxfp4::tiled_experts(blocks.bytes.as_slice(), scales.bytes.as_slice(), rows, k)
        .try_for_each(|tiles| to.write(&tiles?))
}

fn untile(
    source: &Checkpoint,
    n: usize,
    tiles: LayerPart,
    (rows, k): (usize, usize),
    to: &mut TensorWriter<'_>,
    which: fn(mxfp4::Encoded) -> Vec<u8>,
) -> Result<(), Error> {
    let tiles = source.part(Part::Layer(n, tiles))?;
    for expert in tiles.bytes.as_slice().chunks_exact(Tiled::bytes(rows, k)) {
        to.write(&which(mxfp4::to_openai(&Tiled::new(expert, rows, k)?)))?;
    }
    Ok(())
}
