//! gpt-oss, end to end, on the public API alone: what validates the kernels, and an example of using them.

pub mod checkpoint;
pub mod config;
pub mod model;
pub mod moe_block;
mod progress;
pub mod safetensors;

pub use checkpoint::{Checkpoint, Layout};
pub use config::Config;
pub use model::{Forward, Logits, Model, Options, Session};
pub use moe_block::{MoeBlock, MoeBuffers, MoeSpec, MoeWeights};
pub use progress::Progress;
