//! How fast a call could be, from the compiled code: estimated, not measured.

use super::Hip;
use super::plan::HipOp;
use crate::backend::Arch;
use crate::devices::known::Known;
use crate::each_spec;
use crate::op::{AnySpec, Work};
use dropless_kernels_hip::{ARTIFACTS, ESTIMATES, Estimate};

/// The least time of a call by the main loop of its kernel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimated {
    /// Microseconds.
    pub us: f64,
    /// What binds.
    pub bound: &'static str,
    /// Part of the time of the main loop in which matrix units are busy; 0 where the kernel does not use them.
    pub matrix_share: f64,
    /// Part of the memory's bandwidth that the main loop could take.
    pub memory_share: f64,
}

impl Hip {
    /// What a variant takes at least for a spec on a device that need not be here: the steps of its main loop that the work makes,
    /// on all compute units at once. Launches, tiles that are not full, beginnings and ends are not counted. Estimated from the
    /// compiled code, not measured.
    ///
    /// `None` where nothing is known of the device's target, or the kernel has no main loop.
    pub fn estimate(spec: &AnySpec, variant: &str, device: &Known) -> Option<Estimated> {
        let Arch::Gfx(gfx) = device.arch else { return None };
        let step = each_spec!(spec, op => step(op, variant, &format!("gfx{gfx:x}")))?;
        let Work { flops, bytes, .. } = spec.work();
        Some(estimated(step, gfx, device, flops as f64, bytes as f64))
    }
}

fn step<O: HipOp>(op: &O, variant: &str, arch: &str) -> Option<&'static Estimate> {
    let artifact = ARTIFACTS.iter().find(|a| a.ops.contains(&O::NAME) && a.variant == variant)?;
    let entry = artifact.entries.get(op.kernel(artifact))?;
    let same =
        |e: &&Estimate| e.arch == arch && artifact.ops.contains(&e.op) && e.variant == variant && e.entry == *entry;
    ESTIMATES.iter().find(same)
}

/// Operations of the matrix units of a compute unit a clock, with 16-bit elements.
fn matrix_rate(gfx: u16) -> f64 {
    match gfx {
        0x90a => 1024.0,
        0x950 => 4096.0,
        _ => 2048.0,
    }
}

fn estimated(step: &Estimate, gfx: u16, device: &Known, flops: f64, bytes: f64) -> Estimated {
    let (roof_us, memory_binds) = device.roof_us(flops, bytes);
    let chain = step.chain[usize::from(memory_binds)];
    let bounds = [
        (step.matrix, "matrix units"),
        (step.vector, "vector units"),
        (step.lds, "LDS"),
        (step.l2, "L2"),
        (chain, "what waits for what"),
    ];
    let (clocks, bound) = bounds.into_iter().max_by_key(|(clocks, _)| *clocks).unwrap_or_default();
    let clocks = clocks.max(1) as f64;
    // Clocks of a microsecond, all units together.
    let clocks_of_us = device.tflops * 1e6 / matrix_rate(gfx);
    let part = |work: f64, of_step: u64| if of_step > 0 { work / of_step as f64 } else { 0.0 };
    let loop_us = part(flops, step.flops).max(part(bytes, step.bytes)) * clocks / clocks_of_us;
    let memory_share = step.bytes as f64 / clocks * clocks_of_us / (device.gbps * 1e3);
    Estimated {
        us: loop_us.max(roof_us),
        bound: if roof_us >= loop_us && memory_binds { "memory" } else { bound },
        matrix_share: step.matrix as f64 / clocks,
        memory_share: memory_share.min(1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::DType;
    use crate::op::GroupedGemmSpec;

    const STEP: Estimate = Estimate {
        op: "x",
        variant: "y",
        arch: "gfx942",
        entry: c"z",
        waves: 4,
        flops: 2048 * 1000,
        bytes: 1000,
        matrix: 1000,
        vector: 500,
        lds: 800,
        l2: 100,
        chain: [1250, 4000],
    };

    #[test]
    fn the_largest_bound_is_the_estimate() {
        let device = Known::named("mi300x").unwrap();
        // A second at peak: a step takes a quarter more.
        let busy = estimated(&STEP, 0x942, device, 1307.4e12, 1e6);
        assert!((busy.us - 1.25e6).abs() < 1.0 && busy.matrix_share == 0.8, "{busy:?}");
        assert_eq!(busy.bound, "what waits for what");
        // 1000 bytes in 4000 clocks of each of 304 units at 2.1 GHz.
        let slow = estimated(&STEP, 0x942, device, 1.0, 5.3e12);
        assert!((slow.memory_share - 0.25 * 304.0 * 2.1e9 / 5.3e12).abs() < 1e-4, "{slow:?}");
        assert!((slow.us - 1e6 / slow.memory_share).abs() < 1.0, "{slow:?}");
        let quick = estimated(&Estimate { bytes: 1_000_000, ..STEP }, 0x942, device, 1.0, 5.3e12);
        assert_eq!((quick.us, quick.bound, quick.memory_share), (1e6, "memory", 1.0));
    }

    #[test]
    fn the_estimate_is_of_the_kernel_that_runs() {
        let dtype = DType::Bf16;
        let gemm = AnySpec::GroupedGemm(GroupedGemmSpec::linear(4096, 4096, 4096, dtype, dtype, None, dtype));
        let mi300x = Known::named("mi300x").unwrap();
        let matrix = Hip::estimate(&gemm, "mfma", mi300x).unwrap();
        assert!(matrix.matrix_share > 0.0 && matrix.us >= mi300x.roof_us(2.0 * 4096f64.powi(3), 0.0).0, "{matrix:?}");
        assert_eq!(Hip::estimate(&gemm, "no such variant", mi300x), None);
        assert_eq!(Hip::estimate(&gemm, "mfma", Known::named("h200").unwrap()), None);
    }
}
