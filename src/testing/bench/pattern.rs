//! Content of operands: random bytes that repeat after a few MB, quick to make at any size and known on the host.

use crate::dtype::DType;
use crate::error::Error;
use crate::host::HostTensor;
use crate::mxfp4::Tiled;
use crate::testing::random::Random;
use std::sync::Arc;

/// Elements of a pattern of numbers: odd, so that no row length divides it.
const ELEMENTS: usize = (4 << 20) - 5;
/// Tiles of a pattern of prepacked MXFP4.
const TILES: usize = 16_381;

/// Bytes that repeat, in units that must not be torn.
#[derive(Clone)]
pub(super) struct Pattern {
    bytes: Arc<[u8]>,
    unit: usize,
}

impl Pattern {
    fn of(bytes: Vec<u8>, unit: usize) -> Self {
        Pattern { bytes: bytes.into(), unit }
    }

    /// MXFP4 codes.
    pub(super) fn codes(random: &mut Random) -> Self {
        Self::of((0..ELEMENTS / 8 * 8).step_by(8).flat_map(|_| random.bits().to_le_bytes()).collect(), 1)
    }

    /// MXFP4 scales that keep a sum of a few thousand products near 1.
    pub(super) fn scales(random: &mut Random) -> Self {
        Self::of((0..ELEMENTS).map(|_| scale(random)).collect(), 1)
    }

    /// Prepacked MXFP4: codes, then scales, in every tile.
    pub(super) fn tiles(random: &mut Random) -> Self {
        // The smallest matrix that is one tile: 16 rows of 64 elements, 32 blocks.
        let (tile, scales) = (Tiled::bytes(16, 64), 32);
        let mut bytes: Vec<u8> = (0..TILES * tile).map(|_| random.bits() as u8).collect();
        for tile in bytes.chunks_exact_mut(tile) {
            let codes = tile.len() - scales;
            tile[codes..].fill_with(|| scale(random));
        }
        Self::of(bytes, tile)
    }

    /// Numbers of this standard deviation, nearly normal.
    ///
    /// # Errors
    /// [`Error::Input`] for a type that is not floating point.
    pub(super) fn normals(dtype: DType, deviation: f64, random: &mut Random) -> Result<Self, Error> {
        let values: Vec<f64> = (0..ELEMENTS).map(|_| deviation * normal(random)).collect();
        let tensor = HostTensor::from_f64(dtype, &[ELEMENTS], &values)?;
        Ok(Self::of(tensor.bytes.as_slice().to_vec(), dtype.bytes()))
    }

    /// bf16 that is not a number: what was not written shows.
    pub(super) fn nan() -> Self {
        Self::of(vec![0xff; 2 << 20], 2)
    }

    /// Bytes that are never torn apart at the start of an operand.
    pub(super) fn unit(&self) -> usize {
        self.unit
    }

    /// `len` bytes from byte `at` on.
    pub(super) fn bytes(&self, at: usize, len: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(len);
        let mut from = at % self.bytes.len();
        while out.len() < len {
            let end = self.bytes.len().min(from + len - out.len());
            out.extend_from_slice(&self.bytes[from..end]);
            from = 0;
        }
        out
    }
}

fn scale(random: &mut Random) -> u8 {
    119 + random.below(3) as u8
}

/// Four uniform numbers of 16 bits: mean 0, variance 1.
pub(super) fn normal(random: &mut Random) -> f64 {
    let bits = random.bits();
    let sum: f64 = (0..4).map(|i| (bits >> (16 * i) & 0xffff) as f64 / 65536.0 - 0.5).sum();
    sum * 3f64.sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_wrap_around() {
        let pattern = Pattern::of(vec![0, 1, 2, 3, 4], 1);
        assert_eq!(pattern.bytes(3, 9), [3, 4, 0, 1, 2, 3, 4, 0, 1]);
        assert_eq!(pattern.bytes(13, 2), [3, 4]);
        assert!(pattern.bytes(2, 0).is_empty());
    }

    #[test]
    fn numbers_are_nearly_normal() {
        let mut random = Random::new(1);
        let values: Vec<f64> = (0..10_000).map(|_| normal(&mut random)).collect();
        let mean = values.iter().sum::<f64>() / 1e4;
        let variance = values.iter().map(|v| v * v).sum::<f64>() / 1e4;
        assert!(mean.abs() < 0.05 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
    }

    #[test]
    fn a_tile_has_its_scales_behind_its_codes() {
        let pattern = Pattern::tiles(&mut Random::new(2));
        let tile = pattern.bytes(pattern.unit() * (TILES + 3), pattern.unit());
        assert!(tile[512..].iter().all(|s| (119..=121).contains(s)), "{:?}", &tile[512..]);
    }
}
