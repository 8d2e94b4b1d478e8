//! Weights in any of their formats, one row at a time.

use super::Cpu;
use super::real::Real;
use super::rows::Rows;
use crate::error::Error;
use crate::mxfp4::{BLOCK, E2M1, Gguf, Layout, OpenAi, Tiled, scale_value};
use crate::op::{GroupedGemmSpec, WeightFormat};
use crate::tensor::View;

/// All local experts' weights.
pub(super) struct Weights<'a, R> {
    format: WeightFormat,
    n: usize,
    k: usize,
    w: Rows<'a>,
    scales: Option<Rows<'a>>,
    decoder: Decoder<R>,
}

impl<'a, R: Real> Weights<'a, R> {
    pub(super) fn new(op: &GroupedGemmSpec, w: &View<'a, Cpu>, scales: Option<&View<'a, Cpu>>) -> Self {
        Weights {
            format: op.weights,
            n: op.n,
            k: op.k,
            w: Rows::new(w),
            scales: scales.map(Rows::new),
            decoder: Decoder::new(),
        }
    }

    /// The K weights of row `n` of an expert.
    pub(super) fn row(&self, expert: usize, n: usize, out: &mut [R]) -> Result<(), Error> {
        let bytes = |rows: &Rows<'a>| rows.bytes(expert, 0, rows.len());
        match self.format {
            WeightFormat::Dense(_) => self.w.read(expert, n * self.k, out),
            WeightFormat::Mxfp4 => {
                let scales = self.scales.as_ref().map_or(&[][..], bytes);
                self.decoder.row(&OpenAi::new(bytes(&self.w), scales, self.n, self.k)?, n, out);
            }
            WeightFormat::Mxfp4Gguf => self.decoder.row(&Gguf::new(bytes(&self.w), self.n, self.k)?, n, out),
            WeightFormat::Mxfp4Tiled => self.decoder.row(&Tiled::new(bytes(&self.w), self.n, self.k)?, n, out),
        }
        Ok(())
    }
}

/// Values of codes and of scale bytes in the type computed in; their product is exact but where it leaves f32's range
/// (scale 253 and above).
struct Decoder<R> {
    elements: [R; 16],
    scales: Vec<R>,
}

impl<R: Real> Decoder<R> {
    fn new() -> Self {
        Decoder { elements: E2M1.map(R::of_f32), scales: (0..=255).map(|byte| R::of(scale_value(byte))).collect() }
    }

    fn row(&self, from: &impl Layout, row: usize, out: &mut [R]) {
        for (index, out) in out.chunks_exact_mut(BLOCK).enumerate() {
            let block = from.block(row, index);
            let scale = self.scales[usize::from(block.scale)];
            for (value, code) in out.iter_mut().zip(block.codes) {
                *value = self.elements[usize::from(code & 15)] * scale;
            }
        }
    }
}
