//! Every dimension of a model: read from either naming of config.json, written back, or a preset.

mod read;
mod write;

use super::checkpoint::Layout;
use crate::dtype::Scalar;
use crate::error::Error;
use crate::mxfp4::BLOCK;
use crate::op::moe::{MAX_EXPERTS, MAX_TOP_K, Score};
use crate::op::{Pairing, Swiglu, YarnRope};
use std::path::Path;

/// The dimensions and constants of a gpt-oss model.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Decoder layers.
    pub layers: usize,
    /// Width of the residual stream H, a multiple of 32.
    pub hidden: usize,
    /// Width of an expert I, a multiple of 32.
    pub intermediate: usize,
    /// Experts of a layer E.
    pub experts: usize,
    /// Experts a token k.
    pub top_k: usize,
    /// Rows of the embedding and of the head.
    pub vocab: usize,
    /// Query heads.
    pub q_heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Elements of a head.
    pub head_dim: usize,
    /// Factor on q · k.
    pub sm_scale: f64,
    /// Epsilon of every norm.
    pub rms_eps: f64,
    /// Keys visible in each layer, the query's own included; 0: all.
    pub layer_windows: Vec<usize>,
    /// Rotary frequencies.
    pub rope: YarnRope,
    /// Which elements of a head rotate together.
    pub pairing: Pairing,
    /// The experts' gated unit.
    pub swiglu: Swiglu,
    /// How router weights come from logits.
    pub score: Score,
    /// The head is the embedding.
    pub tied_head: bool,
    /// Longest sequence the model is meant for, tokens.
    pub max_context: usize,
    /// Tokens that end a generation.
    pub eos: Vec<u32>,
}

/// Geometries that [`Config::preset`] knows.
pub const PRESETS: [&str; 3] = ["tiny", "gpt-oss-20b", "gpt-oss-120b"];

const MAX_LAYERS: usize = 1 << 10;

impl Config {
    /// Reads `config.json` in a folder, and the stop tokens of `generation_config.json` beside it.
    ///
    /// # Errors
    /// [`Error::File`] where it cannot be read or a field is missing or absurd: which, what was wanted, what came.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        read::open(dir)
    }

    /// Reads the text of a config.json in HF or in OpenAI's original naming; `path` is what errors call it.
    ///
    /// # Errors
    /// As [`Config::open`].
    pub fn parse(path: &Path, json: &[u8]) -> Result<Self, Error> {
        read::parse(path, json)
    }

    /// The text of a config.json, in the naming of a layout (prepacked is named as HF).
    ///
    /// # Errors
    /// [`Error::Input`] where the original naming has no word for something: uneven windows, a tied head, another epsilon.
    pub fn to_json(&self, layout: Layout) -> Result<String, Error> {
        write::to_json(self, layout)
    }

    /// One of [`PRESETS`].
    ///
    /// # Errors
    /// [`Error::Input`] for another name.
    pub fn preset(name: &str) -> Result<Self, Error> {
        match name {
            "tiny" => Ok(tiny()),
            "gpt-oss-20b" => Ok(gpt_oss(24, 32)),
            "gpt-oss-120b" => Ok(gpt_oss(36, 128)),
            other => Err(Error::input(
                format!("preset {other:?}"),
                format!("is none of the known ones: {}", PRESETS.join(", ")),
            )),
        }
    }

    /// Windows of gpt-oss: layers 0, 2, .. see `window` keys, the others all.
    pub fn alternating_windows(layers: usize, window: usize) -> Vec<usize> {
        (0..layers).map(|n| if n % 2 == 0 { window } else { 0 }).collect()
    }

    /// Does all this make sense together?
    ///
    /// # Errors
    /// [`Error::Input`]: which field, what was wanted, what came.
    pub fn check(&self) -> Result<(), Error> {
        let counts = [
            ("layers", self.layers, 1, MAX_LAYERS),
            ("hidden", self.hidden, BLOCK, 1 << 17),
            ("intermediate", self.intermediate, BLOCK, 1 << 17),
            ("experts", self.experts, 1, MAX_EXPERTS),
            ("top_k", self.top_k, 1, MAX_TOP_K.min(self.experts)),
            ("vocab", self.vocab, 1, 1 << 24),
            ("q_heads", self.q_heads, 1, 1 << 12),
            ("kv_heads", self.kv_heads, 1, self.q_heads),
            ("head_dim", self.head_dim, 2, 256),
            ("max_context", self.max_context, 1, 1 << 30),
            ("rope original context", self.rope.original, 1, 1 << 30),
            ("rope head_dim", self.rope.head_dim, self.head_dim, self.head_dim),
            ("layer windows", self.layer_windows.len(), self.layers, self.layers),
        ];
        for (name, got, least, most) in counts {
            need(name, (least..=most).contains(&got), format!("{least} to {most}"), got)?;
        }
        for (name, got) in [("hidden", self.hidden), ("intermediate", self.intermediate)] {
            need(name, got.is_multiple_of(BLOCK), "a multiple of the MXFP4 block, 32", got)?;
        }
        let heads = self.q_heads.is_multiple_of(self.kv_heads);
        need("q_heads", heads, format!("a multiple of kv_heads {}", self.kv_heads), self.q_heads)?;
        need("head_dim", self.head_dim.is_multiple_of(2), "even", self.head_dim)?;
        for window in &self.layer_windows {
            need("layer window", *window <= 1 << 30, "0 (all keys) to 2^30", window)?;
        }
        self.check_reals()
    }

    fn check_reals(&self) -> Result<(), Error> {
        let above_zero = |x: f64| x.is_finite() && x > 0.0;
        let YarnRope { theta, factor, beta_fast, beta_slow, .. } = self.rope;
        let limit = self.swiglu.limit.map_or(1.0, |l| l.0);
        let reals = [
            ("sm_scale", self.sm_scale),
            ("rope factor", factor.0),
            ("rope beta_fast", beta_fast.0),
            ("rope beta_slow", beta_slow.0),
            ("swiglu limit", limit),
        ];
        for (name, got) in reals {
            need(name, above_zero(got), "a finite number above zero", got)?;
        }
        need("rms_eps", (0.0..1.0).contains(&self.rms_eps), "0 or more, below 1", self.rms_eps)?;
        need("rope theta", theta.0.is_finite() && theta.0 > 1.0, "a finite number above 1", theta.0)?;
        need("rope beta_fast", beta_fast.0 > beta_slow.0, format!("above beta_slow {}", beta_slow.0), beta_fast.0)?;
        let turning = self.rope.inv_freq().iter().all(|f| f.is_finite() && *f > 0.0);
        need("rope", turning, "of finite frequencies above zero", format!("{:?}", self.rope))?;
        for id in &self.eos {
            need("eos token", (*id as usize) < self.vocab, format!("below the vocabulary of {}", self.vocab), id)?;
        }
        Ok(())
    }
}

fn need(what: &str, ok: bool, want: impl std::fmt::Display, got: impl std::fmt::Display) -> Result<(), Error> {
    if ok { Ok(()) } else { Err(Error::input(format!("model config: {what}"), format!("must be {want}, got {got}"))) }
}

fn rope(head_dim: usize, original: usize) -> YarnRope {
    YarnRope {
        head_dim,
        theta: Scalar(150000.0),
        factor: Scalar(32.0),
        beta_fast: Scalar(32.0),
        beta_slow: Scalar(1.0),
        original,
        truncate: false,
    }
}

/// Tokens that end an answer in the harmony vocabulary: `<|return|>`, `<|endoftext|>`, `<|call|>`.
const HARMONY_EOS: [u32; 3] = [200002, 199999, 200012];

fn gpt_oss(layers: usize, experts: usize) -> Config {
    Config {
        layers,
        hidden: 2880,
        intermediate: 2880,
        experts,
        top_k: 4,
        vocab: 201088,
        q_heads: 64,
        kv_heads: 8,
        head_dim: 64,
        sm_scale: 0.125,
        rms_eps: 1e-5,
        layer_windows: Config::alternating_windows(layers, 128),
        rope: rope(64, 4096),
        pairing: Pairing::HalfSplit,
        swiglu: Swiglu::GPT_OSS,
        score: Score::SoftmaxAfterTopK,
        tied_head: false,
        max_context: 131072,
        eos: HARMONY_EOS.to_vec(),
    }
}

/// Small enough for a test, with every feature of the large ones. Nothing ends its generations.
fn tiny() -> Config {
    Config {
        hidden: 128,
        intermediate: 96,
        vocab: 512,
        q_heads: 8,
        kv_heads: 2,
        layer_windows: Config::alternating_windows(4, 8),
        rope: rope(64, 256),
        max_context: 8192,
        eos: Vec::new(),
        ..gpt_oss(4, 8)
    }
}
