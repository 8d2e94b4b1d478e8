//! Rows of `dropless bench` in Criterion's statistics, compared with the run before: `cargo bench`, with `--features cuda`,
//! `hip` or `wgpu` on that backend's device too. On a GPU some of `gpt-oss-20b`, on the cpu those of the preset `tiny` and a decode.

use criterion::{Criterion, SamplingMode};
use dropless::devices::discover;
use dropless::kernel::AllOps;
use dropless::testing::bench::{Options, Select, timed_elsewhere};
use dropless::{Cpu, Error, Timing};
use std::time::Duration;

/// What is timed: on a GPU a prefill too, elsewhere what a processor makes in milliseconds.
fn rows(gpu: bool) -> Vec<Options> {
    let of = |select| Options { select, ..Options::default() };
    let preset = |name: &str, tokens: &[usize]| {
        of(Select { presets: vec![name.into()], tokens: tokens.to_vec(), ..Select::default() })
    };
    if gpu {
        return vec![preset("gpt-oss-20b", &[1, 64, 1024])];
    }
    let (ops, cases) = (vec!["flash_attn".into()], vec!["decode full kv1024".into()]);
    vec![preset("tiny", &[1, 16]), of(Select { ops, cases, tokens: vec![1], ..Select::default() })]
}

fn bench<B: Timing + AllOps>(criterion: &mut Criterion, backend: &B, options: &Options) -> Result<(), Error> {
    let skipped = timed_elsewhere(backend, options, |op, case, tokens, calls| {
        let mut failed = None;
        let mut group = criterion.benchmark_group(format!("{} {op}", B::NAME));
        // A round over all sets of operands is the least that is timed.
        group.sampling_mode(SamplingMode::Flat).sample_size(10).measurement_time(Duration::from_secs(2));
        group.bench_function(format!("{case} {tokens}"), |bencher| {
            bencher.iter_custom(|iterations| {
                let each = calls(iterations as usize).unwrap_or_else(|e| {
                    failed = Some(e);
                    0.0
                });
                // Criterion divides by it.
                Duration::from_secs_f64((each * iterations as f64).max(1e-9))
            });
        });
        group.finish();
        failed.map_or(Ok(()), Err)
    })?;
    for row in skipped {
        println!("skipped: {} {} {} {}: {}", B::NAME, row.op, row.case, row.tokens, row.reason);
    }
    Ok(())
}

fn main() -> Result<(), Error> {
    let mut criterion = Criterion::default().configure_from_args();
    for found in discover() {
        let devices = match found.devices {
            Ok(devices) => devices,
            Err(why) => {
                println!("absent: {}: {why}", found.backend);
                continue;
            }
        };
        // Drivers that compute on the processor say so here.
        let gpu = found.backend != "cpu" && devices.first().is_some_and(|d| !d.arch.ends_with("Cpu"));
        for options in rows(gpu) {
            match found.backend {
                #[cfg(feature = "cuda")]
                "cuda" => bench(&mut criterion, &dropless::Cuda::new(0)?, &options)?,
                #[cfg(feature = "hip")]
                "hip" => bench(&mut criterion, &dropless::Hip::new(0)?, &options)?,
                #[cfg(feature = "wgpu")]
                "wgpu" => bench(&mut criterion, &dropless::Wgpu::new(0)?, &options)?,
                _ => bench(&mut criterion, &Cpu::new(), &options)?,
            }
        }
    }
    criterion.final_summary();
    Ok(())
}
