//! The three layouts, seen as a matrix of blocks, and the conversions between them.

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

/// Prepacked for tensor cores: tiles of 16 rows x 64 elements, k tiles innermost, 544 bytes each, the last row tile and k
/// tile padded with zeros (scale 127).
///
/// A tile is 32 lanes x 16 bytes of codes, then 32 scales. Lane l owns rows g = l / 4 and g + 8; word j (of four, little
/// endian) is its A fragment of mma.m16n8k16 for elements 16j .. 16j + 16: with c = 2 (l % 4), registers 0 to 3 are the pairs
/// (g, c), (g+8, c), (g, c+8), (g+8, c+8) and their neighbours in the next column. The bits of a pair lie so that a rotation
/// by 3 bits for every register before it (for the last one, a multiplication) brings them to where bf16 has its sign, its
/// two lowest exponent bits and its highest mantissa bit: `PLACES`. The scales of row g's two blocks are bytes 4g and
/// 4g + 1, those of row g + 8 bytes 4g + 2 and 4g + 3.
#[derive(Clone, Copy, Debug)]
pub struct Tiled<'a> {
    data: &'a [u8],
    rows: usize,
    k: usize,
}

const TILE_ROWS: usize = 16;
const TILE_K: usize = 64;
const TILE_CODES: usize = TILE_ROWS * TILE_K / 2;
const TILE_BYTES: usize = TILE_CODES + TILE_ROWS * TILE_K / BLOCK;
const PAD: Block = Block { codes: [0; BLOCK], scale: 127 };

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

impl<'a> Tiled<'a> {
    /// A view of `rows` x `k` elements: one expert.
    ///
    /// # Errors
    /// `k` zero or no multiple of 32, or a slice of another size than [`Tiled::bytes`].
    pub fn new(data: &'a [u8], rows: usize, k: usize) -> Result<Self, Error> {
        block_count(rows, k)?;
        check_len("prepacked MXFP4 tiles", data.len(), Some(Self::bytes(rows, k)))?;
        Ok(Tiled { data, rows, k })
    }

    /// Bytes of `rows` x `k` elements; saturates where it overflows.
    pub const fn bytes(rows: usize, k: usize) -> usize {
        rows.div_ceil(TILE_ROWS).saturating_mul(k.div_ceil(TILE_K)).saturating_mul(TILE_BYTES)
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
        let at = row * (self.k / BLOCK) + index;
        let mut codes = [0; BLOCK];
        let high_first = wrong(Rule::NibbleHighFirst);
        for (pair, byte) in codes.chunks_exact_mut(2).zip(&self.blocks[at * 16..at * 16 + 16]) {
            (pair[0], pair[1]) = (byte & 15, byte >> 4);
            if high_first {
                pair.swap(0, 1);
            }
        }
        Block { codes, scale: self.scales[at] }
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

impl Layout for Tiled<'_> {
    fn rows(&self) -> usize {
        self.rows
    }

    fn k(&self) -> usize {
        self.k
    }

    fn block(&self, row: usize, index: usize) -> Block {
        let (tile, r, half) = tile_place(self.k, row, index);
        let tile = &self.data[tile..tile + TILE_BYTES];
        let mut codes = [0; BLOCK];
        for (i, code) in codes.iter_mut().enumerate() {
            let (word, places) = tile_bits(r, half * BLOCK + i);
            let bit = |place: u32| tile[word + place as usize / 8] >> (place % 8) & 1;
            *code = places.iter().fold(0, |code, place| code << 1 | bit(*place));
        }
        Block { codes, scale: tile[tile_scale(r, half)] }
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

/// Any layout as [`Tiled`] bytes.
pub fn to_tiled(from: &impl Layout) -> Vec<u8> {
    let (rows, k) = (from.rows(), from.k());
    let mut out = vec![0; Tiled::bytes(rows, k)];
    for row in 0..rows.next_multiple_of(TILE_ROWS) {
        for index in 0..k.next_multiple_of(TILE_K) / BLOCK {
            let inside = row < rows && index < k / BLOCK;
            let block = if inside { from.block(row, index) } else { PAD };
            let (tile, r, half) = tile_place(k, row, index);
            let tile = &mut out[tile..tile + TILE_BYTES];
            for (i, code) in block.codes.iter().enumerate() {
                let (word, places) = tile_bits(r, half * BLOCK + i);
                for (bit, place) in places.iter().rev().enumerate() {
                    tile[word + *place as usize / 8] |= (code >> bit & 1) << (place % 8);
                }
            }
            tile[tile_scale(r, half)] = block.scale;
        }
    }
    out
}

/// As [`check_scales`](super::check_scales), for the scales inside [`Tiled`] bytes; the index counts them in stored order.
///
/// # Errors
/// The tensor and the index of its first scale that is NaN.
pub fn check_tiled_scales(tensor: &str, tiles: &[u8]) -> Result<(), Error> {
    for (t, tile) in tiles.chunks_exact(TILE_BYTES).enumerate() {
        let scales = &tile[TILE_CODES..];
        if let Some(at) = scales.iter().position(|s| *s == super::SCALE_NAN) {
            return Err(super::nan_scale(tensor, t * scales.len() + at));
        }
    }
    Ok(())
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

/// Offset of the tile of a block, and the block's row and half inside it.
fn tile_place(k: usize, row: usize, index: usize) -> (usize, usize, usize) {
    let tile = row / TILE_ROWS * k.div_ceil(TILE_K) + index / 2;
    (tile * TILE_BYTES, row % TILE_ROWS, index % 2)
}

/// Bits of a word that hold a code of register 0 to 3: sign, exponent, exponent, mantissa. The second code of a pair lies 16
/// bits further round.
const PLACES: [[u32; 4]; 4] = [[15, 8, 7, 6], [18, 11, 10, 9], [21, 14, 13, 12], [3, 1, 0, 4]];

/// Offset of the word with element `k` of row `r` of a tile, and the bits of it that hold the code.
fn tile_bits(r: usize, k: usize) -> (usize, [u32; 4]) {
    let (word, c) = (k / 16, k % 16);
    let lane = r % 8 * 4 + c % 8 / 2;
    let places = PLACES[r / 8 + 2 * (c / 8)].map(|place| (place + 16 * (c as u32 % 2)) % 32);
    (lane * 16 + word * 4, places)
}

/// Offset of the scale of a row's first or second block in a tile.
fn tile_scale(r: usize, half: usize) -> usize {
    TILE_CODES + r % 8 * 4 + r / 8 * 2 + half
}

fn block_count(rows: usize, k: usize) -> Result<usize, Error> {
    if k == 0 || !k.is_multiple_of(BLOCK) {
        return Err(Error::input("MXFP4 row length", format!("must be a multiple of {BLOCK} above zero, got {k}")));
    }
    rows.checked_mul(k / BLOCK).ok_or_else(|| Error::input("MXFP4 matrix", format!("{rows} x {k} overflows")))
}

fn check_len(what: &str, got: usize, want: Option<usize>) -> Result<(), Error> {
    if want == Some(got) {
        return Ok(());
    }
    let want = want.map_or("a size that overflows".into(), |n| format!("{n} bytes"));
    Err(Error::input(what, format!("need {want}, got {got}")))
}

#[cfg(test)]
mod tests {
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
    fn tiles_are_the_fragments_they_claim_to_be() {
        // Element (row 9, k 26): lane (9 % 8) * 4 + (10 % 8) / 2 = 5, word 1, register 3, first of its pair: bits 3, 1, 0, 4.
        let mut codes = vec![0u8; 16 * 64 / 2];
        codes[(9 * 64 + 26) / 2] = 0x0d;
        let tiled = to_tiled(&OpenAi::new(&codes, &[127; 32], 16, 64).unwrap());
        let nonzero: Vec<_> = tiled[..TILE_CODES].iter().enumerate().filter(|(_, b)| **b != 0).collect();
        assert_eq!(nonzero, [(5 * 16 + 4, &0b1_1010)]);
    }

    #[test]
    fn registers_turn_into_bf16_by_a_rotation_or_a_multiplication() {
        const MASK: u32 = 0x81c0_81c0;
        for register in 0..4usize {
            for code in 0..16u32 {
                let (r, k) = (8 * (register % 2), 8 * (register / 2));
                let mut codes = vec![0u8; 16 * 64 / 2];
                codes[(r * 64 + k) / 2] = (code | (15 - code) << 4) as u8;
                let tiled = to_tiled(&OpenAi::new(&codes, &[127; 32], 16, 64).unwrap());
                let word = u32::from_le_bytes(*tiled.first_chunk().unwrap());
                let pair = match register {
                    3 => (word & 0x001b_001b).wrapping_mul(4228) & MASK,
                    _ => word.rotate_right(3 * register as u32) & MASK,
                };
                let bf16 = |code: u32| (code & 8) << 12 | (code & 7) << 6;
                assert_eq!(pair, bf16(code) | bf16(15 - code) << 16, "register {register}, code {code}");
            }
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
