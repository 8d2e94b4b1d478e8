//! The layouts, seen as a matrix of blocks, and the conversions between them.

use super::{BLOCK, Block};
use crate::error::Error;
use crate::mutation::{Rule, wrong};

/// A matrix of `rows` x `k` elements in some layout.
pub trait Layout: Sync {
    /// Rows (output features; all experts one after the other).
    fn rows(&self) -> usize;
    /// Elements of a row, a multiple of 32 above zero.
    fn k(&self) -> usize;
    /// Block `index` (of `k / 32`) of a row.
    ///
    /// # Panics
    /// Where there is no such row or block, as slices do.
    fn block(&self, row: usize, index: usize) -> Block;
    /// The same with two codes a byte, the even element low; and the scale.
    ///
    /// # Panics
    /// As [`Layout::block`].
    fn pairs(&self, row: usize, index: usize) -> ([u8; BLOCK / 2], u8) {
        let Block { codes, scale } = self.block(row, index);
        let mut pairs = [0; BLOCK / 2];
        for (pair, codes) in pairs.iter_mut().zip(codes.chunks_exact(2)) {
            *pair = codes[0] | codes[1] << 4;
        }
        (pairs, scale)
    }
}

/// Checkpoint layout of OpenAI and HF: `blocks` \[rows, k/32, 16\], byte j holding element 2j in the low nibble and 2j + 1 in
/// the high one; `scales` \[rows, k/32\].
#[derive(Clone, Copy, Debug)]
pub struct OpenAi<'a> {
    blocks: &'a [u8],
    scales: &'a [u8],
    rows: usize,
    k: usize,
}

/// GGUF layout: \[rows, k/32, 17\], a scale byte, then byte j holding element j in the low nibble and j + 16 in the high one.
#[derive(Clone, Copy, Debug)]
pub struct Gguf<'a> {
    data: &'a [u8],
    rows: usize,
    k: usize,
}

impl<'a> OpenAi<'a> {
    /// A view of `rows` x `k` elements.
    ///
    /// # Errors
    /// `k` zero or no multiple of 32, or slices of another size.
    pub fn new(blocks: &'a [u8], scales: &'a [u8], rows: usize, k: usize) -> Result<Self, Error> {
        let count = block_count(rows, k)?;
        check_len("MXFP4 blocks", blocks.len(), count.checked_mul(16))?;
        check_len("MXFP4 scales", scales.len(), Some(count))?;
        Ok(OpenAi { blocks, scales, rows, k })
    }
}

impl<'a> Gguf<'a> {
    /// A view of `rows` x `k` elements.
    ///
    /// # Errors
    /// `k` zero or no multiple of 32, or a slice of another size.
    pub fn new(data: &'a [u8], rows: usize, k: usize) -> Result<Self, Error> {
        check_len("GGUF MXFP4 blocks", data.len(), block_count(rows, k)?.checked_mul(17))?;
        Ok(Gguf { data, rows, k })
    }
}

impl Layout for OpenAi<'_> {
    fn rows(&self) -> usize {
        self.rows
    }

    fn k(&self) -> usize {
        self.k
    }

    fn block(&self, row: usize, index: usize) -> Block {
        let (pairs, scale) = self.pairs(row, index);
        let mut codes = [0; BLOCK];
        for (codes, pair) in codes.chunks_exact_mut(2).zip(pairs) {
            (codes[0], codes[1]) = (pair & 15, pair >> 4);
        }
        Block { codes, scale }
    }

    fn pairs(&self, row: usize, index: usize) -> ([u8; BLOCK / 2], u8) {
        let at = row * (self.k / BLOCK) + index;
        let mut pairs = [0; BLOCK / 2];
        pairs.copy_from_slice(&self.blocks[at * 16..at * 16 + 16]);
        if wrong(Rule::NibbleHighFirst) {
            pairs = pairs.map(|pair| pair.rotate_left(4));
        }
        (pairs, self.scales[at])
    }
}

impl Layout for Gguf<'_> {
    fn rows(&self) -> usize {
        self.rows
    }

    fn k(&self) -> usize {
        self.k
    }

    fn block(&self, row: usize, index: usize) -> Block {
        let at = (row * (self.k / BLOCK) + index) * 17;
        let mut codes = [0; BLOCK];
        for (j, byte) in self.data[at + 1..at + 17].iter().enumerate() {
            let (low, high) = gguf_elements(j);
            (codes[low], codes[high]) = (byte & 15, byte >> 4);
        }
        Block { codes, scale: self.data[at] }
    }
}

/// Any layout as `blocks` and `scales` of [`OpenAi`].
pub fn to_openai(from: &impl Layout) -> super::Encoded {
    let mut out = super::Encoded::default();
    for_each_block(from, |_, _, block| {
        out.blocks.extend(pack_openai(&block.codes));
        out.scales.push(block.scale);
    });
    out
}

/// Any layout as [`Gguf`] bytes.
pub fn to_gguf(from: &impl Layout) -> Vec<u8> {
    let mut out = Vec::with_capacity(from.rows() * from.k() / BLOCK * 17);
    for_each_block(from, |_, _, block| {
        out.push(block.scale);
        out.extend((0..16).map(|j| {
            let (low, high) = gguf_elements(j);
            block.codes[low] | block.codes[high] << 4
        }));
    });
    out
}

fn for_each_block(from: &impl Layout, mut f: impl FnMut(usize, usize, Block)) {
    for row in 0..from.rows() {
        for index in 0..from.k() / BLOCK {
            f(row, index, from.block(row, index));
        }
    }
}

/// Two codes a byte, the even element low.
pub(super) fn pack_openai(codes: &[u8]) -> impl Iterator<Item = u8> + '_ {
    let high_first = wrong(Rule::NibbleHighFirst);
    codes.chunks_exact(2).map(move |c| if high_first { c[1] | c[0] << 4 } else { c[0] | c[1] << 4 })
}

/// Elements in the low and the high nibble of byte `j` of a GGUF block.
fn gguf_elements(j: usize) -> (usize, usize) {
    if wrong(Rule::GgufNibblesAsOpenai) { (2 * j, 2 * j + 1) } else { (j, j + 16) }
}

pub(super) fn block_count(rows: usize, k: usize) -> Result<usize, Error> {
    if k == 0 || !k.is_multiple_of(BLOCK) {
        return Err(Error::input("MXFP4 row length", format!("must be a multiple of {BLOCK} above zero, got {k}")));
    }
    rows.checked_mul(k / BLOCK).ok_or_else(|| Error::input("MXFP4 matrix", format!("{rows} x {k} overflows")))
}

pub(super) fn check_len(what: &str, got: usize, want: Option<usize>) -> Result<(), Error> {
    if want == Some(got) {
        return Ok(());
    }
    let want = want.map_or("a size that overflows".into(), |n| format!("{n} bytes"));
    Err(Error::input(what, format!("need {want}, got {got}")))
}

#[cfg(test)]
mod tests {
    use super::super::{Tiled, to_tiled};
    use super::*;

    #[test]
    fn layouts_convert_without_loss() {
        for (rows, k) in [(1, 32), (16, 64), (37, 96), (5, 160)] {
            let count = rows * k / BLOCK;
            let byte = |i: usize| (i.wrapping_mul(2654435761) >> 7) as u8;
            let blocks: Vec<u8> = (0..count * 16).map(byte).collect();
            let scales: Vec<u8> = (0..count).map(|i| byte(i + 99)).collect();
            let from = OpenAi::new(&blocks, &scales, rows, k).unwrap();
            let gguf = to_gguf(&from);
            let tiled = to_tiled(&Gguf::new(&gguf, rows, k).unwrap());
            let back = to_openai(&Tiled::new(&tiled, rows, k).unwrap());
            assert_eq!((back.blocks, back.scales), (blocks.clone(), scales.clone()), "{rows} x {k}");
        }
    }

    #[test]
    fn sizes_are_checked() {
        assert!(OpenAi::new(&[0; 16], &[127], 1, 33).is_err());
        assert!(OpenAi::new(&[], &[], usize::MAX, 0).is_err());
        assert!(OpenAi::new(&[], &[], usize::MAX, 1 << 20).is_err());
        assert!(to_tiled(&OpenAi::new(&[], &[], 0, 32).unwrap()).is_empty());
        assert!(OpenAi::new(&[0; 15], &[127], 1, 32).is_err());
        assert!(Gguf::new(&[0; 16], 1, 32).is_err());
        assert!(Tiled::new(&[0; 543], 1, 32).is_err());
    }
}
