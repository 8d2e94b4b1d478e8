//! gpt-oss, end to end, on the public API alone: what validates the kernels, and an example of using them.

pub mod safetensors;
