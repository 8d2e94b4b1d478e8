//! Which backends a command runs on.

use anyhow::{Context, anyhow, bail, ensure};
use dropless::cuda::{Capability, Cuda};
use dropless::devices::{BACKENDS, Discovery, discover, discover_one, required};
use dropless::{DType, Error};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A type that a cache of keys and values may have.
///
/// # Errors
/// In words, for any other.
pub fn cache_type(name: &str) -> Result<DType, String> {
    let types = [DType::F32, DType::Bf16, DType::F16, DType::F8E4m3];
    types.into_iter().find(|of| of.to_string() == name).ok_or_else(|| "must be f32, bf16, f16 or f8e4m3".into())
}

/// A backend that can run something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Choice {
    /// The reference.
    Cpu,
    /// NVIDIA's.
    Cuda,
    /// AMD's.
    Hip,
    /// Vulkan, Metal or DX12.
    Wgpu,
}

/// How the CUDA device is opened.
#[derive(clap::Args)]
pub struct CudaArgs {
    /// Use the CUDA device as one of this earlier compute capability, with the kernels that would run there: 7.5, 8.0, 8.6, 8.9
    #[arg(long, value_name = "X.Y")]
    pub capability: Option<Capability>,
    /// Choose variants of the cuda backend by this file of `dropless tune` [default: what the build brings for the device]
    #[arg(long, value_name = "FILE")]
    pub tuned: Option<PathBuf>,
}

impl CudaArgs {
    /// The first device.
    pub fn open(&self) -> Result<Cuda, Error> {
        let cuda = match self.capability {
            Some(capability) => Cuda::new_as(0, capability),
            None => Cuda::new(0),
        }?;
        match &self.tuned {
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(|e| Error::input(path.display(), e))?;
                cuda.with_tuned(text.parse()?)
            }
            None => Ok(cuda),
        }
    }

    /// The first device's name, as it is used.
    pub fn label(&self, name: &str) -> String {
        self.capability.map_or_else(|| name.into(), |capability| format!("{name} as {capability}"))
    }

    /// Options of a backend that does not run are refused.
    pub fn check(&self, chosen: &[Choice]) -> anyhow::Result<()> {
        ensure!(
            self.capability.is_none() && self.tuned.is_none() || chosen.contains(&Choice::Cuda),
            "--capability and --tuned are the cuda backend's, which is not asked for"
        );
        Ok(())
    }
}

/// The backends asked for, or every one that is found and has kernels; and why the others are not among them. Absence of
/// one that was asked for, on the command line or in DROPLESS_REQUIRE, is an error.
pub fn choose(asked: &[String]) -> anyhow::Result<(Vec<Choice>, BTreeMap<&'static str, String>)> {
    if !asked.is_empty() {
        return Ok((asked.iter().map(|name| one(name)).collect::<Result<_, _>>()?, BTreeMap::new()));
    }
    let (mut chosen, mut absent) = (Vec::new(), BTreeMap::new());
    for found in discover() {
        match usable(&found) {
            Ok(choice) => chosen.push(choice),
            Err(why) if required(found.backend) => {
                bail!("DROPLESS_REQUIRE asks for {}, but: {why}", found.backend)
            }
            Err(why) => {
                absent.insert(found.backend, why);
            }
        }
    }
    Ok((chosen, absent))
}

/// The backend of this name.
pub fn one(name: &str) -> anyhow::Result<Choice> {
    let found = discover_one(name);
    let found = found.with_context(|| format!("there is no backend {name:?}; there are {}", BACKENDS.join(", ")))?;
    usable(&found).map_err(|why| anyhow!("{name} was asked for, but: {why}"))
}

fn usable(backend: &Discovery) -> Result<Choice, String> {
    backend.devices.as_ref().map_err(String::clone)?;
    match (backend.backend, backend.kernels) {
        ("cpu", _) => Ok(Choice::Cpu),
        ("cuda", Some(1..)) => Ok(Choice::Cuda),
        ("hip", Some(1..)) => Ok(Choice::Hip),
        ("wgpu", Some(1..)) => Ok(Choice::Wgpu),
        _ => Err("found, but this version ships no kernels for it".into()),
    }
}
