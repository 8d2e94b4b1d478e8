//! What a call would take, from measured calls of the same kernel.

use dropless::devices::known::Known;
use dropless::op::Work;
use dropless::testing::bench::{Report, Row};

/// A time and where it comes from.
pub struct Prediction {
    pub us: f64,
    pub from: String,
}

/// What is asked about.
pub struct Asked<'a> {
    /// Op and case of a bench row, or the op's own name and nothing.
    pub op: &'a str,
    pub case: &'a str,
    /// Variants joined as bench rows name them.
    pub variant: &'a str,
    pub work: Work,
    pub device: &'a Known,
}

/// From the rows of a bench run, of the same case if it has some with this variant, else of any: between the two whose roofs lie
/// below and above, the logarithm of the time goes with that of the roof; below all of them it is the smallest one's, above
/// all it grows with the roof. On another device, that times the quotient of the devices' roofs.
pub fn predict(report: &Report, asked: &Asked<'_>) -> Result<Prediction, &'static str> {
    let same = |r: &&Row| r.variant == asked.variant && family(&r.op) == family(asked.op) && r.roof_us > 0.0;
    let of_case = |r: &&Row| r.op == asked.op && r.case == asked.case;
    let mut rows: Vec<&Row> = report.rows.iter().filter(same).filter(of_case).collect();
    if rows.is_empty() {
        rows = report.rows.iter().filter(same).collect();
    }
    rows.sort_by(|a, b| a.roof_us.total_cmp(&b.roof_us));
    let measured_on = rows.first().ok_or("no measured row ran this kernel")?.device.as_str();
    let (flops, bytes) = (asked.work.flops as f64, asked.work.bytes as f64);
    let roof = report.roof.us(flops, bytes);
    let above = rows.iter().position(|r| r.roof_us >= roof).unwrap_or(rows.len());
    let name = |r: &Row| format!("{} {} {}", r.op, r.case, r.tokens);
    let (us, from) = match (above.checked_sub(1).and_then(|i| rows.get(i)), rows.get(above)) {
        (Some(low), Some(high)) => {
            let part = (roof / low.roof_us).ln() / (high.roof_us / low.roof_us).ln();
            let us = low.us_median * (high.us_median / low.us_median).powf(part);
            (us, format!("between {} and {}", name(low), name(high)))
        }
        (None, Some(high)) => (high.us_median, format!("like {}", name(high))),
        (Some(low), None) => (low.us_median * roof / low.roof_us, format!("as far above its roof as {}", name(low))),
        (None, None) => return Err("no measured row ran this kernel"),
    };
    let scale = match Known::labelled(measured_on) {
        Some(known) if known == asked.device => 1.0,
        Some(known) => asked.device.roof_us(flops, bytes).0 / known.roof_us(flops, bytes).0,
        None => return Err("it was measured on a device of which no rates are known"),
    };
    Ok(Prediction { us: us * scale, from: format!("{from}, measured on {measured_on}") })
}

/// The op whose kernels a bench row runs.
fn family(op: &str) -> &str {
    match op {
        "moe_mlp1" | "moe_mlp2" | "grouped_gemm_bf16" | "linear" => "grouped_gemm",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(rows: &[(&str, &str, usize, &str, f64, f64)]) -> Report {
        let row = |&(op, case, tokens, variant, us, roof): &(&str, &str, usize, &str, f64, f64)| {
            serde_json::json!({
                "backend": "cuda", "device": "NVIDIA H200", "driver": "", "commit": "", "op": op, "case": case, "shape": "",
                "tokens": tokens, "variant": variant, "us_median": us, "us_p20": us, "us_p80": us, "us_burst": us,
                "tflops": 1.0, "gbps": 1.0, "tokens_per_s": 1.0, "roof_us": roof, "roof_pct": 1.0, "rel_err": 0.0,
                "scratch_bytes": 0, "peak_bytes": 0,
            })
        };
        let rows: Vec<_> = rows.iter().map(row).collect();
        let rate = |rate: f64| serde_json::json!({ "rate": rate, "by": "" });
        let roof = serde_json::json!({ "gbps": rate(4000.0), "tflops": rate(700.0) });
        serde_json::from_value(serde_json::json!({ "roof": roof, "rows": rows, "skipped": [] })).unwrap()
    }

    #[test]
    fn the_rows_of_the_same_kernel_around_it_count() {
        let report = report(&[
            ("moe_mlp1", "20b", 1, "small", 30.0, 10.0),
            ("moe_mlp1", "20b", 64, "small", 120.0, 40.0),
            ("moe_mlp1", "20b", 8192, "large", 3000.0, 1500.0),
            ("linear", "qkv", 64, "small", 100.0, 10.0),
        ]);
        // A roof of so many microseconds at 4000 GB/s.
        let us = |op, case, variant, roof_us: f64, device| {
            let work = Work { flops: 0, bytes: (roof_us * 4e6) as u64 };
            let device = Known::named(device).unwrap();
            predict(&report, &Asked { op, case, variant, work, device }).map(|p| p.us.round()).ok()
        };
        assert_eq!(us("moe_mlp1", "20b", "small", 20.0, "h200"), Some(60.0), "between");
        assert_eq!(us("moe_mlp1", "20b", "small", 5.0, "h200"), Some(30.0), "below");
        assert_eq!(us("moe_mlp1", "20b", "small", 80.0, "h200"), Some(240.0), "above");
        assert_eq!(us("linear", "qkv", "small", 10.0, "h200"), Some(100.0), "its own case");
        assert_eq!(us("grouped_gemm", "", "large", 3000.0, "h200"), Some(6000.0), "any case of the kernel");
        assert_eq!(us("grouped_gemm", "", "unmeasured", 10.0, "h200"), None);
        assert_eq!(us("flash_attn", "", "small", 10.0, "h200"), None);
        assert_eq!(us("moe_mlp1", "20b", "small", 20.0, "a100"), Some(137.0), "60 us by 4657 over 2039 GB/s");
    }
}
