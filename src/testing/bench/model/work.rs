//! How much work a model's forward pass is: every weight that a token needs read once, every visible key read once.

use crate::dtype::DType;
use crate::gpt_oss::Config;
use crate::mxfp4::BLOCK;
use crate::op::Work;

/// What follows from a config. Activations count as nothing beside weights, which are bf16, experts MXFP4, and keys.
pub(super) struct Geometry {
    pub(super) vocab: usize,
    /// Bytes of all weights.
    pub(super) bytes: usize,
    /// Weights of attention and router, in each layer.
    dense: f64,
    /// Weights of an expert.
    expert: f64,
    head: f64,
    experts: f64,
    top_k: f64,
    /// Bytes of a token's keys and values in a layer.
    kv: f64,
    q: f64,
    windows: Vec<usize>,
}

impl Geometry {
    pub(super) fn new(c: &Config, cache: DType) -> Self {
        let (q, kv) = (c.q_heads * c.head_dim, 2 * c.kv_heads * c.head_dim);
        let (dense, expert) = (c.hidden * (2 * q + kv + c.experts), 3 * c.hidden * c.intermediate);
        let head = c.vocab * c.hidden;
        let tables = if c.tied_head { head } else { 2 * head };
        let element = DType::Bf16.bytes();
        Geometry {
            vocab: c.vocab,
            bytes: element * (tables + c.layers * dense) + c.layers * c.experts * mxfp4(expert as f64) as usize,
            dense: dense as f64,
            expert: expert as f64,
            head: head as f64,
            experts: c.experts as f64,
            top_k: c.top_k as f64,
            kv: (cache.bytes() * kv) as f64,
            q: q as f64,
            windows: c.layer_windows.clone(),
        }
    }

    /// A prompt of so many tokens, and the logits of its last one.
    pub(super) fn prefill(&self, tokens: usize) -> Work {
        // Keys that the queries see, summed over them.
        let seen = |window: usize| {
            let ramp = if window == 0 { tokens } else { tokens.min(window) } as f64;
            ramp * (ramp + 1.0) / 2.0 + (tokens as f64 - ramp) * window as f64
        };
        self.work(tokens, 1, &seen, 0.0)
    }

    /// One more token for each of so many sequences of `context` tokens.
    pub(super) fn decode(&self, sequences: usize, context: usize) -> Work {
        let seen = |window: usize| (sequences * if window == 0 { context } else { context.min(window) }) as f64;
        self.work(sequences, sequences, &seen, 1.0)
    }

    /// `keys_read`: how often each seen key comes from memory.
    fn work(&self, tokens: usize, rows: usize, seen: &dyn Fn(usize) -> f64, keys_read: f64) -> Work {
        let (t, layers) = (tokens as f64, self.windows.len() as f64);
        let pairs: f64 = self.windows.iter().map(|w| seen(*w)).sum();
        // Experts that random routing touches.
        let touched = self.experts * (1.0 - (1.0 - self.top_k / self.experts).powf(t));
        let matrices = layers * t * (self.dense + self.top_k * self.expert) + rows as f64 * self.head;
        let weights = 2.0 * (layers * self.dense + self.head) + layers * touched * mxfp4(self.expert);
        Work {
            flops: (2.0 * matrices + 4.0 * pairs * self.q) as u64,
            bytes: (weights + self.kv * (keys_read * pairs + layers * t)) as u64,
        }
    }
}

/// Bytes of so many MXFP4 weights.
fn mxfp4(elements: f64) -> f64 {
    elements * (BLOCK / 2 + 1) as f64 / BLOCK as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The figures of the 20b geometry, by hand.
    #[test]
    fn work_of_20b() {
        let geometry = Geometry::new(&Config::preset("gpt-oss-20b").unwrap(), DType::Bf16);
        assert!((12.5e9..14.5e9).contains(&(geometry.bytes as f64)), "{}", geometry.bytes);
        let step = geometry.decode(1, 512);
        // 3.6e9 active weights: 1.28e9 dense ones of 2 bytes, the others 4.25 bits.
        assert!((7.0e9..7.4e9).contains(&(step.flops as f64)), "{}", step.flops);
        assert!((3.6e9..4.0e9).contains(&(step.bytes as f64)), "{}", step.bytes);
        let more = geometry.decode(1, 512 + 1000);
        assert_eq!(more.bytes - step.bytes, 12 * 1000 * 2048);
        assert_eq!(geometry.prefill(1).bytes + 12 * 2048 * (512 + 128), step.bytes);
    }
}
