//! Every op, every case, on every backend present, against the f64 oracle.
//!
//! A backend that is not here is skipped and printed, unless `DROPLESS_REQUIRE` (a list: `cuda,hip,wgpu`) names it.

use dropless::backend::Runtime;
use dropless::devices::required;
use dropless::kernel::AllOps;
use dropless::testing::{Filter, Status, conform, present};
use dropless::{Cpu, Error};

/// Judges a backend, or says why it is not here.
fn conforms<B: Runtime + AllOps>(name: &str, backend: Result<B, Error>) {
    let Some(backend) = present(backend).unwrap() else { return };
    let report = conform::run(&backend, &Filter::default(), |_| {});
    for row in report.rows.iter().filter(|r| r.status != Status::Passed) {
        println!("{} {} {} on {}: {}", row.status, row.op, row.case, row.backend, row.message);
    }
    println!("{name}: {report}");
    assert!(report.ok(), "{name}: {report}");
    assert!(report.count(Status::Passed) > 0, "{name} runs none of the cases");
}

#[test]
fn cpu_single() {
    conforms("cpu", Ok(Cpu::new()));
}

#[test]
fn cpu_twin() {
    conforms("cpu", Ok(Cpu::twin()));
}

#[test]
fn cpu_oracle() {
    conforms("cpu", Ok(Cpu::oracle()));
}

/// CUDA is tested in tests/cuda.rs, hip in tests/hip.rs, wgpu in tests/wgpu. A backend that CI requires must not be missed because nobody tests it.
#[test]
fn a_required_backend_has_tests() {
    for (name, tested) in
        [("cuda", cfg!(feature = "cuda")), ("hip", cfg!(feature = "hip")), ("wgpu", cfg!(feature = "wgpu"))]
    {
        assert!(tested || !required(name), "{name} is required, but this build has no conformance test of it");
        if !tested {
            println!("skipped: this build has no conformance test of {name}");
        }
    }
}
