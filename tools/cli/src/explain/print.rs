//! An explanation in words.

use super::{Explained, Roof};
use crate::bench::number;
use std::io::Write;

pub(super) fn print(e: &Explained) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let tokens = e.tokens.map_or(String::new(), |t| format!(", {t} tokens"));
    let case = if e.case.is_empty() { String::new() } else { format!(" {}", e.case) };
    writeln!(out, "{}{case}{tokens}, {} on {}", e.op, e.backend, e.device)?;
    for k in &e.kernels {
        let scratch =
            if k.scratch_bytes > 0 { format!(", {} of scratch", bytes(k.scratch_bytes as f64)) } else { String::new() };
        writeln!(out, "  {}: {}{scratch}", k.op, k.variant.unwrap_or("no variant may run"))?;
        for r in &k.rejected {
            writeln!(out, "    not {}: {}", r.variant, r.reason)?;
        }
    }
    writeln!(out, "  work: {} GFLOP, {}", number(e.flops as f64 * 1e-9), bytes(e.bytes as f64))?;
    if let Some(Roof { us, bound, gbps, tflops, source, .. }) = &e.roof {
        writeln!(out, "  roof: {} us, {bound} binds ({gbps} GB/s and {tflops} TFLOP/s, {source})", number(*us))?;
    }
    let predicted = e.predicted_us.map_or("-".into(), |us| format!("{} us", number(us)));
    writeln!(out, "  predicted: {predicted} ({})", e.prediction)?;
    let roofs: Vec<String> = e.roofs.iter().map(|r| format!("{} {} us", r.device, number(r.us))).collect();
    writeln!(out, "  roof elsewhere: {}", roofs.join(", "))?;
    Ok(())
}

fn bytes(n: f64) -> String {
    match n {
        1e9.. => format!("{} GB", number(n * 1e-9)),
        1e6.. => format!("{} MB", number(n * 1e-6)),
        1e3.. => format!("{} kB", number(n * 1e-3)),
        _ => format!("{n} bytes"),
    }
}
