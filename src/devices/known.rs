//! Devices that are asked about without being here: what a chooser looks at, and what a roof is made of.

use crate::backend::{Arch, DeviceInfo};

/// A device of which enough is known to say what would run on it, and how fast at best.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Known {
    /// Short name, as on a command line.
    pub name: &'static str,
    /// The words by which its driver's name for it is told.
    pub label: &'static str,
    /// Instruction set.
    pub arch: Arch,
    /// Multiprocessors, compute units.
    pub units: u32,
    /// Shared memory one block may use, bytes.
    pub shared_bytes: u32,
    /// Memory bandwidth, GB/s.
    pub gbps: f64,
    /// Dense bf16 matrix rate with f32 sums, TFLOP/s; f16 where there is no bf16.
    pub tflops: f64,
    /// Where the two rates come from.
    pub source: &'static str,
}

const PEAK: &str = "peak rates of NVIDIA's data sheet";

/// One or two of each generation, the measured one first in its own.
pub const KNOWN: [Known; 12] = [
    nvidia("h200", "H200", (90, 132, 232_448), (4657.0, 790.0), "measured, docs/performance.md"),
    nvidia("h100", "H100", (90, 132, 232_448), (3350.0, 989.0), PEAK),
    nvidia("b200", "B200", (100, 148, 232_448), (8000.0, 2250.0), PEAK),
    nvidia("rtx-5090", "RTX 5090", (120, 170, 101_376), (1792.0, 209.5), PEAK),
    nvidia("rtx-4090", "RTX 4090", (89, 128, 101_376), (1008.0, 165.2), PEAK),
    nvidia("l40s", "L40S", (89, 142, 101_376), (864.0, 362.0), PEAK),
    nvidia("rtx-3090", "RTX 3090", (86, 82, 101_376), (936.0, 71.0), PEAK),
    nvidia("a100", "A100", (80, 108, 166_912), (2039.0, 312.0), PEAK),
    nvidia("t4", "T4", (75, 40, 65_536), (320.0, 65.0), PEAK),
    amd("mi300x", "MI300X", (0x942, 304, 65_536), (5300.0, 1307.4)),
    amd("mi355x", "MI355X", (0x950, 256, 163_840), (8000.0, 2516.6)),
    amd("mi250x", "MI250X", (0x90a, 110, 65_536), (1638.0, 191.5)), // one of its two dies, which are devices of their own
];

const fn nvidia(
    name: &'static str,
    label: &'static str,
    (sm, units, shared_bytes): (u16, u32, u32),
    (gbps, tflops): (f64, f64),
    source: &'static str,
) -> Known {
    Known { name, label, arch: Arch::Sm(sm), units, shared_bytes, gbps, tflops, source }
}

const fn amd(
    name: &'static str,
    label: &'static str,
    (gfx, units, shared_bytes): (u16, u32, u32),
    (gbps, tflops): (f64, f64),
) -> Known {
    Known {
        name,
        label,
        arch: Arch::Gfx(gfx),
        units,
        shared_bytes,
        gbps,
        tflops,
        source: "peak rates of AMD's data sheet",
    }
}

impl Known {
    /// By short name, or the first of an architecture by that (`sm_90`).
    pub fn named(name: &str) -> Option<&'static Known> {
        let name = name.to_ascii_lowercase();
        KNOWN.iter().find(|k| k.name == name).or_else(|| KNOWN.iter().find(|k| k.arch_name() == name))
    }

    /// The known device that this is, if it is one. The multiprocessors must agree: a label may have several boards. The
    /// architecture may be an earlier one, which the device is used as.
    pub fn of(device: &DeviceInfo) -> Option<&'static Known> {
        let used_as = |k: &&Known| match (k.arch, device.arch) {
            (Arch::Sm(own), Arch::Sm(used)) => used <= own,
            (own, used) => used == own,
        };
        Known::labelled(&device.name).filter(|k| used_as(k) && k.units == device.units)
    }

    /// The one whose label stands in a driver's name for it, as whole words.
    pub fn labelled(name: &str) -> Option<&'static Known> {
        let words = |text: &str| format!(" {} ", text.replace('-', " "));
        KNOWN.iter().find(|k| words(name).contains(&words(k.label)))
    }

    /// As on a command line: `sm_90`, `gfx942`.
    pub fn arch_name(&self) -> String {
        match self.arch {
            Arch::Sm(sm) => format!("sm_{sm}"),
            Arch::Gfx(gfx) => format!("gfx{gfx:x}"),
            Arch::Cpu => "cpu".into(),
            Arch::Wgsl => "wgsl".into(),
        }
    }

    /// What a chooser may look at.
    pub fn info(&self) -> DeviceInfo {
        let Known { arch, units, shared_bytes, .. } = *self;
        let vendor = if matches!(arch, Arch::Gfx(_)) { "AMD Instinct" } else { "NVIDIA" };
        DeviceInfo { name: format!("{vendor} {}", self.label), arch, units, shared_bytes }
    }

    /// Microseconds that so many bytes and operations take at least, and whether it is the bytes that bind.
    pub fn roof_us(&self, flops: f64, bytes: f64) -> (f64, bool) {
        let (memory, matrix) = (bytes / (self.gbps * 1e3), flops / (self.tflops * 1e6));
        (memory.max(matrix), memory >= matrix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_told_by_name_architecture_and_driver() {
        assert_eq!(Known::named("H200").map(|k| k.name), Some("h200"));
        assert_eq!(Known::named("sm_90").map(|k| k.name), Some("h200"));
        assert_eq!(Known::named("sm_75").map(|k| k.name), Some("t4"));
        assert_eq!(Known::named("gfx942").map(|k| k.name), Some("mi300x"));
        assert_eq!(Known::named("h2000"), None);
        let device = |name: &str, arch, units| DeviceInfo { name: name.into(), arch, units, shared_bytes: 0 };
        let of = |name, sm, units| Known::of(&device(name, Arch::Sm(sm), units)).map(|k| k.name);
        assert_eq!(of("NVIDIA H200", 90, 132), Some("h200"));
        assert_eq!(of("NVIDIA GH200 480GB", 90, 132), None);
        assert_eq!(of("NVIDIA A100-SXM4-80GB", 80, 108), Some("a100"));
        assert_eq!(of("NVIDIA H100 PCIe", 90, 114), None);
        assert_eq!(of("NVIDIA H200 as 8.0", 80, 132), Some("h200"));
        assert_eq!(of("NVIDIA A100-SXM4-80GB", 90, 108), None);
        assert!(KNOWN.iter().all(|k| Known::of(&k.info()) == Some(k)));
    }

    #[test]
    fn a_roof_is_the_slower_of_two() {
        let h200 = &KNOWN[0];
        assert_eq!(h200.roof_us(0.0, 4657e6), (1000.0, true));
        assert_eq!(h200.roof_us(790e9, 1.0), (1000.0, false));
    }
}
