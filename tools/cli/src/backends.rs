//! Which backends a command runs on.

use anyhow::{Context, bail, ensure};
use dropless::devices::{Discovery, discover};
use std::collections::BTreeMap;

/// A backend that can run something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Choice {
    /// The reference.
    Cpu,
}

/// The backends asked for, or every one that is found and has kernels; and why the others are not among them. Absence of
/// one that was asked for, on the command line or in DROPLESS_REQUIRE, is an error.
pub fn choose(asked: &[String]) -> anyhow::Result<(Vec<Choice>, BTreeMap<&'static str, String>)> {
    let found = discover();
    let known: Vec<&str> = found.iter().map(|d| d.backend).collect();
    for name in asked {
        ensure!(known.contains(&name.as_str()), "there is no backend {name:?}; there are {}", known.join(", "));
    }
    let required = std::env::var("DROPLESS_REQUIRE").unwrap_or_default();
    let (mut chosen, mut absent) = (Vec::new(), BTreeMap::new());
    for backend in &found {
        let named = asked.iter().any(|n| n == backend.backend);
        let demanded = named || (asked.is_empty() && required.split(',').any(|n| n.trim() == backend.backend));
        match usable(backend) {
            Ok(choice) if asked.is_empty() || named => chosen.push(choice),
            Ok(_) => {}
            Err(why) if demanded => bail!("{} was asked for, but: {why}", backend.backend),
            Err(why) if asked.is_empty() => {
                absent.insert(backend.backend, why);
            }
            Err(_) => {}
        }
    }
    Ok((chosen, absent))
}

/// The backend of this name.
pub fn one(name: &str) -> anyhow::Result<Choice> {
    let (chosen, _) = choose(&[name.to_string()])?;
    chosen.first().copied().with_context(|| format!("{name} is not usable"))
}

fn usable(backend: &Discovery) -> Result<Choice, String> {
    backend.devices.as_ref().map_err(String::clone)?;
    match (backend.backend, backend.kernels) {
        ("cpu", _) => Ok(Choice::Cpu),
        _ => Err("found, but this version ships no kernels for it".into()),
    }
}
