//! Seeded numbers for test data: the same on every machine.

use crate::dtype::DType;
use crate::error::Error;
use crate::host::HostTensor;

/// A splitmix64 generator.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A generator whose numbers follow from `seed`.
    pub fn new(seed: u64) -> Self {
        Random(seed)
    }

    /// A generator whose numbers follow from a name.
    pub fn named(name: &str) -> Self {
        // FNV-1a.
        Random(name.bytes().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)))
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// Uniform in 0..n; 0 where n is 0.
    pub fn below(&mut self, n: usize) -> usize {
        if n == 0 { 0 } else { (self.bits() % n as u64) as usize }
    }

    /// Uniform in 0..1.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Of either sign, its magnitude 2^e with e uniform in `low..high`; one in 32 is zero.
    pub fn real(&mut self, low: f64, high: f64) -> f64 {
        let magnitude = (low + (high - low) * self.unit()).exp2();
        match self.bits() % 64 {
            0 | 1 => 0.0,
            sign => magnitude * if sign % 2 == 0 { 1.0 } else { -1.0 },
        }
    }

    /// A tensor of [`Random::real`]s.
    ///
    /// # Errors
    /// [`Error::Input`] for a type that is not floating point.
    pub fn reals(&mut self, dtype: DType, shape: &[usize], low: f64, high: f64) -> Result<HostTensor, Error> {
        let values: Vec<f64> = (0..shape.iter().product()).map(|_| self.real(low, high)).collect();
        HostTensor::from_f64(dtype, shape, &values)
    }

    /// Random bytes as a tensor of a one-byte type.
    ///
    /// # Errors
    /// [`Error::Input`] for a type of several bytes.
    pub fn bytes(&mut self, dtype: DType, shape: &[usize]) -> Result<HostTensor, Error> {
        let bytes: Vec<u8> = (0..shape.iter().product()).map(|_| self.bits() as u8).collect();
        HostTensor::new(dtype, shape, bytes.into())
    }

    /// Puts a list in random order.
    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for i in (1..list.len()).rev() {
            list.swap(i, self.below(i + 1));
        }
    }

    /// `parts` whole numbers that add up to at most `total`, some of them zero.
    pub fn split(&mut self, total: usize, parts: usize) -> Vec<usize> {
        let mut cuts: Vec<usize> = (0..parts).map(|_| self.below(total + 1)).collect();
        cuts.sort_unstable();
        let mut sizes: Vec<usize> = cuts.iter().scan(0, |at, cut| Some(cut - std::mem::replace(at, *cut))).collect();
        self.shuffle(&mut sizes);
        sizes
    }
}
