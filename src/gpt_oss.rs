//! gpt-oss, end to end, on the public API alone: what validates the kernels, and an example of using them.

pub mod checkpoint;
pub mod config;
pub mod convert;
pub mod generate;
pub mod harmony;
pub mod model;
pub mod moe_block;
mod progress;
pub mod safetensors;
pub mod synth;
pub mod tokenizer;

pub use checkpoint::{Checkpoint, Layout};
pub use config::Config;
pub use convert::convert;
pub use generate::{Request, Sampler, Sampling, Stop, generate};
pub use harmony::{AnswerReader, Effort, Show, Turn};
pub use model::{Feed, Forward, Logits, Model, Options, Session, StepTimes};
pub use moe_block::{MoeBlock, MoeBuffers, MoeSpec, MoeWeights};
pub use progress::Progress;
pub use synth::{RandomWeights, synth};
pub use tokenizer::{Specials, TextStream, Tokenizer};
