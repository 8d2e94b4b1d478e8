//! Which backends a command runs on.

use anyhow::{Context, anyhow, bail};
use dropless::devices::{BACKENDS, Discovery, discover, discover_one, required};
use std::collections::BTreeMap;

/// A backend that can run something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Choice {
    /// The reference.
    Cpu,
    /// NVIDIA's.
    Cuda,
    /// Vulkan, Metal or DX12.
    Wgpu,
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
        ("wgpu", Some(1..)) => Ok(Choice::Wgpu),
        _ => Err("found, but this version ships no kernels for it".into()),
    }
}
