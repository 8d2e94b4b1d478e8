//! The device that `dropless explain` answers for.

use super::Args;
use anyhow::{Context, bail, ensure};
use dropless::backend::DeviceInfo;
use dropless::cuda::Cuda;
use dropless::devices::BACKENDS;
use dropless::devices::known::{KNOWN, Known};
use dropless::hip::Hip;
use dropless::op::Op;
use dropless::{Backend, Cpu, Error, Explain, Explanation, Hint, Wgpu};

/// The device that is asked about.
pub(super) enum Target {
    /// The cuda backend on a device that need not be here.
    Absent(DeviceInfo),
    Here(Cuda),
    /// The hip backend, wherever the device is.
    Hip(DeviceInfo),
    Cpu(Cpu),
    Wgpu(Wgpu),
}

impl Target {
    pub(super) fn new(args: &Args) -> anyhow::Result<Target> {
        let named = |name: &str| {
            let names: Vec<String> = KNOWN.iter().map(|k| format!("{} ({})", k.name, k.arch_name())).collect();
            let known = Known::named(name);
            let known =
                known.with_context(|| format!("there is no device {name:?}; known are {}", names.join(", ")))?;
            let device = known.info();
            anyhow::Ok(args.cuda.capability.map_or_else(|| Ok(device.clone()), |c| c.limit(&device))?)
        };
        let options = args.cuda.capability.is_some() || args.cuda.tuned.is_some();
        ensure!(!options || args.backend == Cuda::NAME, "--capability and --tuned are the cuda backend's");
        ensure!(args.cuda.tuned.is_none() || args.device.is_none(), "--tuned is of the device that is here");
        match (args.backend.as_str(), &args.device) {
            ("cpu", None) => Ok(Target::Cpu(Cpu::new())),
            ("cpu", Some(_)) => bail!("--device names a GPU, the cpu backend runs on this machine"),
            ("cuda", Some(name)) => Ok(Target::Absent(named(name)?)),
            ("cuda", None) => Ok(match args.cuda.open() {
                Ok(cuda) => Target::Here(cuda),
                Err(Error::Unavailable { .. }) if args.cuda.tuned.is_none() => Target::Absent(named("h200")?),
                Err(e) => return Err(e.into()),
            }),
            ("hip", Some(name)) => Ok(Target::Hip(named(name)?)),
            ("hip", None) => Ok(Target::Hip(match Hip::new(0) {
                Ok(hip) => hip.device().clone(),
                Err(Error::Unavailable { .. }) => named("mi300x")?,
                Err(e) => return Err(e.into()),
            })),
            ("wgpu", None) => Ok(Target::Wgpu(Wgpu::new(0)?)),
            ("wgpu", Some(_)) => {
                bail!("--device names a GPU of cuda's, the wgpu backend answers for the adapter that is here")
            }
            (other, _) => bail!("there is no backend {other:?}; there are {}", BACKENDS.join(", ")),
        }
    }

    pub(super) fn backend(&self) -> &'static str {
        match self {
            Target::Cpu(_) => Cpu::NAME,
            Target::Wgpu(_) => Wgpu::NAME,
            Target::Hip(_) => Hip::NAME,
            _ => Cuda::NAME,
        }
    }

    pub(super) fn device(&self) -> DeviceInfo {
        match self {
            Target::Absent(device) | Target::Hip(device) => device.clone(),
            Target::Here(cuda) => cuda.device().clone(),
            Target::Cpu(cpu) => cpu.device().clone(),
            Target::Wgpu(wgpu) => wgpu.device().clone(),
        }
    }

    pub(super) fn explain<O: Op>(&self, op: &O, hint: Hint<'_>) -> Result<Explanation, Error>
    where
        Cpu: Explain<O>,
        Cuda: Explain<O>,
        Wgpu: Explain<O>,
        Hip: Explain<O>,
    {
        match self {
            Target::Absent(device) => Cuda::explain(op, device, hint),
            Target::Here(cuda) => cuda.explain_here(op, hint),
            Target::Hip(device) => Hip::explain(op, device, hint),
            Target::Cpu(cpu) => cpu.explain_here(op, hint),
            Target::Wgpu(wgpu) => wgpu.explain_here(op, hint),
        }
    }
}
