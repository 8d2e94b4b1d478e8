//! MXFP4 prepacked for tensor cores.

use super::layout::{Layout, OpenAi, block_count, check_len};
use super::{BLOCK, Block};
use crate::error::Error;
use rayon::prelude::*;

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

/// Any layout as [`Tiled`] bytes, by all threads of the pool.
pub fn to_tiled(from: &impl Layout) -> Vec<u8> {
    let (rows, k) = (from.rows(), from.k());
    let mut out = vec![0; Tiled::bytes(rows, k)];
    out.par_chunks_mut(k.div_ceil(TILE_K) * TILE_BYTES).enumerate().for_each(|(band, tiles)| {
        for (kt, tile) in tiles.chunks_exact_mut(TILE_BYTES).enumerate() {
            let mut pairs = [[0; TILE_K / 2]; TILE_ROWS];
            for (r, pairs) in pairs.iter_mut().enumerate() {
                for (half, pairs) in pairs.chunks_exact_mut(BLOCK / 2).enumerate() {
                    let (row, index) = (band * TILE_ROWS + r, 2 * kt + half);
                    let inside = row < rows && index < k / BLOCK;
                    let (codes, scale) = if inside { from.pairs(row, index) } else { ([0; BLOCK / 2], PAD.scale) };
                    pairs.copy_from_slice(&codes);
                    tile[tile_scale(r, half)] = scale;
                }
            }
            write_codes(&pairs, tile);
        }
    });
    out
}

/// Experts of `rows` x `k` elements each that lie one after the other as [`OpenAi`] has them: the [`Tiled`] bytes of each.
///
/// # Errors
/// As [`OpenAi::new`], of an expert that is not whole.
pub fn tiled_experts<'a>(
    blocks: &'a [u8],
    scales: &'a [u8],
    rows: usize,
    k: usize,
) -> impl Iterator<Item = Result<Vec<u8>, Error>> + 'a {
    let count = rows.saturating_mul(k / BLOCK).max(1);
    let (mut blocks, mut scales) = (blocks.chunks(count.saturating_mul(BLOCK / 2)), scales.chunks(count));
    // Until both end: what one has more is an expert that is not whole.
    (0..blocks.len().max(scales.len())).map(move |_| {
        let (blocks, scales) = (blocks.next().unwrap_or_default(), scales.next().unwrap_or_default());
        Ok(to_tiled(&OpenAi::new(blocks, scales, rows, k)?))
    })
}

/// The words of a tile, from pairs of codes by row.
fn write_codes(pairs: &[[u8; TILE_K / 2]; TILE_ROWS], tile: &mut [u8]) {
    let (upper, lower) = pairs.split_at(TILE_ROWS / 2);
    for ((g, g8), lanes) in upper.iter().zip(lower).zip(tile[..TILE_CODES].chunks_exact_mut(64)) {
        for (i, word) in lanes.chunks_exact_mut(4).enumerate() {
            let at = i % 4 * 8 + i / 4;
            let of = |register: usize, pair: u8| PAIR_BITS[register][pair as usize];
            let bits = of(0, g[at]) | of(1, g8[at]) | of(2, g[at + 4]) | of(3, g8[at + 4]);
            word.copy_from_slice(&bits.to_le_bytes());
        }
    }
}

/// Bits of a word that are set for each pair of codes, the first one low, in register 0 to 3.
static PAIR_BITS: [[u32; 256]; 4] = {
    let mut all = [[0; 256]; 4];
    let mut i = 0;
    while i < 4 * 256 {
        let (register, pair) = (i / 256, i % 256);
        let mut bit = 0;
        while bit < 4 {
            let place = PLACES[register][3 - bit];
            all[register][pair] |=
                (pair as u32 >> bit & 1) << place | (pair as u32 >> (4 + bit) & 1) << ((place + 16) % 32);
            bit += 1;
        }
        i += 1;
    }
    all
};

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

#[cfg(test)]
mod tests {
    use super::super::{to_gguf, to_openai};
    use super::*;

    fn bytes(count: usize, seed: usize) -> Vec<u8> {
        (seed..seed + count).map(|i| (i.wrapping_mul(2654435761) >> 7) as u8).collect()
    }

    /// The same, bit by bit as [`tile_bits`] says.
    fn slowly(from: &impl Layout) -> Vec<u8> {
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

    #[test]
    fn every_bit_lies_in_its_place() {
        for (rows, k) in [(1, 32), (16, 64), (37, 96), (5, 160), (64, 2880), (130, 352)] {
            let count = rows * k / BLOCK;
            let (blocks, scales) = (bytes(count * 16, rows), bytes(count, k));
            let from = OpenAi::new(&blocks, &scales, rows, k).unwrap();
            let tiled = to_tiled(&from);
            assert!(tiled == slowly(&from), "{rows} x {k}");
            let gguf = to_gguf(&from);
            assert!(tiled == to_tiled(&super::super::Gguf::new(&gguf, rows, k).unwrap()), "{rows} x {k}");
            let back = to_openai(&Tiled::new(&tiled, rows, k).unwrap());
            assert!((back.blocks, back.scales) == (blocks, scales), "{rows} x {k}");
        }
    }

    #[test]
    fn experts_are_whole() {
        let (blocks, scales) = (bytes(3 * 2 * 16, 0), bytes(3 * 2, 9));
        let tiles = |blocks: usize, scales_of: usize| {
            tiled_experts(&bytes(blocks, 0), &scales[..scales_of], 2, 32).collect::<Result<Vec<_>, _>>()
        };
        let each = blocks.chunks(32).zip(scales.chunks(2));
        let each: Vec<_> = each.map(|(b, s)| to_tiled(&OpenAi::new(b, s, 2, 32).unwrap())).collect();
        assert_eq!(tiles(96, 6).unwrap(), each);
        assert!([tiles(95, 6), tiles(96, 5), tiles(96, 4), tiles(64, 6)].iter().all(Result::is_err));
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
}
