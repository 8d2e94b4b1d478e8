//! A device used as one of an earlier compute capability.

use crate::backend::{Arch, DeviceInfo};
use crate::error::Error;
use std::fmt;
use std::str::FromStr;

/// A compute capability, written 8.0.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Capability {
    sm: u16,
    shared_bytes: u32,
}

/// All that this crate has variants for, and the shared memory that one block may use there.
pub const CAPABILITIES: [Capability; 9] = [
    new(75, 64),
    new(80, 163),
    new(86, 99),
    new(87, 163),
    new(89, 99),
    new(90, 227),
    new(100, 227),
    new(103, 227),
    new(120, 99),
];

const fn new(sm: u16, shared_kib: u32) -> Capability {
    Capability { sm, shared_bytes: shared_kib << 10 }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.sm / 10, self.sm % 10)
    }
}

impl FromStr for Capability {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = || CAPABILITIES.map(|c| c.to_string()).join(", ");
        let found = CAPABILITIES.into_iter().find(|c| c.to_string() == text);
        found.ok_or_else(|| format!("there is no compute capability {text:?}; there are {}", known()))
    }
}

impl Capability {
    /// What a chooser sees of `device` when it is used as one of this capability: the instructions and the shared memory of that,
    /// and as many multiprocessors as it has.
    ///
    /// # Errors
    /// [`Error::Input`] where the device is of an earlier one, or not NVIDIA's.
    pub fn limit(self, device: &DeviceInfo) -> Result<DeviceInfo, Error> {
        match device.arch {
            Arch::Sm(sm) if sm >= self.sm => Ok(DeviceInfo {
                name: format!("{} as {self}", device.name),
                arch: Arch::Sm(self.sm),
                units: device.units,
                shared_bytes: device.shared_bytes.min(self.shared_bytes),
            }),
            arch => Err(Error::input(
                format!("compute capability {self}"),
                format!(
                    "is later than that of {} ({arch:?}): a device can be used as an earlier one alone",
                    device.name
                ),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{Explain, Hint};
    use crate::cuda::Cuda;
    use crate::devices::known::Known;
    use crate::dtype::DType;
    use crate::op::GroupedGemmSpec;

    #[test]
    fn capabilities_are_written_as_they_are_read() {
        for capability in CAPABILITIES {
            assert_eq!(capability.to_string().parse(), Ok(capability));
        }
        let words = "8".parse::<Capability>().unwrap_err();
        assert!(words.contains("\"8\"") && words.contains("7.5") && words.contains("12.0"), "{words}");
    }

    #[test]
    fn a_device_runs_what_an_earlier_one_would() {
        let h200 = Known::named("h200").unwrap().info();
        let op = GroupedGemmSpec::linear(512, 5120, 2880, DType::Bf16, DType::Bf16, None, DType::Bf16);
        let chosen = |device: &DeviceInfo| Cuda::explain(&op, device, Hint::default()).unwrap().chosen.unwrap();
        let limit = |text: &str| text.parse::<Capability>().unwrap().limit(&h200);
        for (text, starts) in [("9.0", "sm90"), ("8.9", "sm80"), ("8.0", "sm80"), ("7.5", "sm75")] {
            let device = limit(text).unwrap();
            assert!(chosen(&device).starts_with(starts), "{text}: {}", chosen(&device));
            assert_eq!((device.units, device.name), (132, format!("NVIDIA H200 as {text}")));
        }
        assert_eq!([limit("8.6"), limit("8.0")].map(|d| d.unwrap().shared_bytes), [101_376, 166_912]);
        assert!(limit("10.0").unwrap_err().to_string().contains("later than that of NVIDIA H200"));
        let cpu = DeviceInfo { arch: Arch::Cpu, ..h200.clone() };
        assert!("7.5".parse::<Capability>().unwrap().limit(&cpu).is_err());
    }
}
