//! Which machines are here: every backend of this crate, found or absent and why. And some that need not be: [`known`].

pub mod known;

/// A backend and what was found for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovery {
    /// Backend name: `cpu`, `cuda`, `hip`, `wgpu`.
    pub backend: &'static str,
    /// Kernels this build ships for it; `None` for the cpu, whose loops are Rust.
    pub kernels: Option<usize>,
    /// The devices, at least one; or why there is none, in words.
    pub devices: Result<Vec<Device>, String>,
}

/// A device as its driver describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its name.
    pub name: String,
    /// Architecture, in the vendor's words.
    pub arch: String,
    /// Driver or library, with its version.
    pub driver: String,
    /// Device memory in bytes; 0 where the driver does not say.
    pub memory: u64,
}

/// Names of all backends, whether in this build or not.
pub const BACKENDS: [&str; 4] = ["cpu", "cuda", "hip", "wgpu"];

/// Looks for every backend. Loads driver libraries where they are present; creates no contexts and changes nothing.
pub fn discover() -> Vec<Discovery> {
    BACKENDS.into_iter().filter_map(discover_one).collect()
}

/// Looks for one backend, by name; `None` where there is none of that name.
pub fn discover_one(backend: &str) -> Option<Discovery> {
    match backend {
        "cpu" => Some(cpu()),
        "cuda" => Some(cuda()),
        "hip" => Some(hip()),
        "wgpu" => Some(wgpu()),
        _ => None,
    }
}

/// Does the environment variable `DROPLESS_REQUIRE` (a list: `cuda,hip,ptxas`) turn the absence of this backend or tool into
/// a failure?
pub fn required(name: &str) -> bool {
    std::env::var("DROPLESS_REQUIRE").is_ok_and(|list| list.split(',').any(|n| n.trim() == name))
}

fn cpu() -> Discovery {
    use crate::backend::Backend;
    let info = crate::Cpu::new().device().clone();
    let device = Device {
        name: info.name,
        arch: std::env::consts::ARCH.into(),
        driver: concat!("dropless ", env!("CARGO_PKG_VERSION")).into(),
        memory: 0,
    };
    Discovery { backend: "cpu", kernels: None, devices: Ok(vec![device]) }
}

#[cfg(feature = "cuda")]
fn cuda() -> Discovery {
    found("cuda", crate::cuda::kernels(), crate::cuda::devices())
}

#[cfg(not(feature = "cuda"))]
fn cuda() -> Discovery {
    left_out("cuda")
}

#[cfg(feature = "hip")]
fn hip() -> Discovery {
    found("hip", crate::hip::kernels(), crate::hip::devices())
}

#[cfg(not(feature = "hip"))]
fn hip() -> Discovery {
    left_out("hip")
}

#[cfg(feature = "wgpu")]
fn wgpu() -> Discovery {
    found("wgpu", crate::wgpu::kernels(), crate::wgpu::devices())
}

#[cfg(not(feature = "wgpu"))]
fn wgpu() -> Discovery {
    left_out("wgpu")
}

#[cfg(any(feature = "cuda", feature = "hip", feature = "wgpu"))]
fn found(backend: &'static str, kernels: usize, devices: Result<Vec<Device>, String>) -> Discovery {
    let devices = match devices {
        Ok(list) if list.is_empty() => Err("the driver is here, but it lists no device".into()),
        other => other,
    };
    Discovery { backend, kernels: Some(kernels), devices }
}

#[cfg(not(all(feature = "cuda", feature = "hip", feature = "wgpu")))]
fn left_out(backend: &'static str) -> Discovery {
    let why = format!("not in this build (cargo feature `{backend}`)");
    Discovery { backend, kernels: Some(0), devices: Err(why) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_backend_answers_in_words() {
        let all = discover();
        assert_eq!(all.iter().map(|d| d.backend).collect::<Vec<_>>(), BACKENDS);
        assert_eq!(discover_one("tpu"), None);
        for found in all {
            match found.devices {
                Ok(devices) => assert!(devices.iter().all(|d| !d.name.is_empty() && !d.driver.is_empty())),
                Err(why) => assert!(found.backend != "cpu" && why.contains(' '), "{why}"),
            }
        }
    }
}
