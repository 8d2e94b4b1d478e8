#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = include_str!("../README.md")]

pub mod backend;
pub mod cpu;
#[cfg(feature = "cuda")]
pub mod cuda;
pub mod devices;
pub mod dtype;
pub mod error;
#[cfg(feature = "gpt_oss")]
pub mod gpt_oss;
#[cfg(feature = "hip")]
pub mod hip;
pub mod host;
pub mod kernel;
pub mod mutation;
pub mod mxfp4;
pub mod op;
pub mod tensor;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "wgpu")]
pub mod wgpu;

#[cfg(feature = "wgpu")]
pub use crate::wgpu::Wgpu;
pub use backend::{
    Backend, Constant, Explain, Explanation, Fetch, Hint, HostBytes, LaunchTime, Provide, Replay, Runtime, Scratch,
    Tensor, Timing,
};
pub use cpu::Cpu;
#[cfg(feature = "cuda")]
pub use cuda::Cuda;
pub use dtype::{DType, Scalar};
pub use error::{Error, SpecError};
#[cfg(feature = "hip")]
pub use hip::Hip;
pub use host::HostTensor;
pub use kernel::{AllOps, FlashAttention, GroupedGemm, Kernel, MoeDispatch, SmallOps};
pub use op::Op;
pub use tensor::{Shape, View, ViewMut};
