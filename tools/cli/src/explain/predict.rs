//! What a call would take: the roof, times what the nearest measured row of the same kernel took over its own roof.

use dropless::testing::bench::{Report, Row};

/// A time and the row that it comes from.
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
    pub roof_us: f64,
}

/// From the rows of an earlier bench run; `None` where none ran the same variant of the same op.
pub fn predict(report: &Report, asked: &Asked<'_>) -> Option<Prediction> {
    let same = |r: &&Row| r.variant == asked.variant && family(&r.op) == family(asked.op) && r.roof_us > 0.0;
    let this_case = |r: &&Row| r.op == asked.op && r.case == asked.case;
    let of_case: Vec<&Row> = report.rows.iter().filter(same).filter(this_case).collect();
    let candidates = if of_case.is_empty() { report.rows.iter().filter(same).collect() } else { of_case };
    let far = |r: &&Row| (r.roof_us / asked.roof_us).ln().abs();
    let row = candidates.into_iter().min_by(|a, b| far(a).total_cmp(&far(b)))?;
    let over = row.us_median / row.roof_us;
    let from = format!("{over:.1} x the roof, as {} {} {} on {}", row.op, row.case, row.tokens, row.device);
    Some(Prediction { us: asked.roof_us * over, from })
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
                "backend": "cuda", "device": "a device", "driver": "", "commit": "", "op": op, "case": case, "shape": "",
                "tokens": tokens, "variant": variant, "us_median": us, "us_p20": us, "us_p80": us, "us_burst": us,
                "tflops": 1.0, "gbps": 1.0, "tokens_per_s": 1.0, "roof_us": roof, "roof_pct": 1.0, "rel_err": 0.0,
                "scratch_bytes": 0, "peak_bytes": 0,
            })
        };
        let rows: Vec<_> = rows.iter().map(row).collect();
        let rate = serde_json::json!({ "rate": 1.0, "by": "" });
        let all = serde_json::json!({ "roof": { "gbps": rate, "tflops": rate }, "rows": rows, "skipped": [] });
        serde_json::from_value(all).unwrap()
    }

    #[test]
    fn the_nearest_row_of_the_same_kernel_counts() {
        let rows = [
            ("moe_mlp1", "20b", 1, "small", 30.0, 10.0),
            ("moe_mlp1", "20b", 64, "small", 120.0, 60.0),
            ("moe_mlp1", "20b", 8192, "large", 3000.0, 1500.0),
            ("linear", "qkv", 64, "small", 100.0, 10.0),
        ];
        let report = report(&rows);
        let us = |op, case, variant, roof_us| predict(&report, &Asked { op, case, variant, roof_us }).map(|p| p.us);
        assert_eq!(us("moe_mlp1", "20b", "small", 50.0), Some(100.0));
        assert_eq!(us("moe_mlp1", "20b", "small", 12.0), Some(36.0));
        assert_eq!(us("linear", "qkv", "small", 10.0), Some(100.0), "its own case before a nearer roof");
        assert_eq!(us("grouped_gemm", "", "large", 100.0), Some(200.0), "any row of the kernel");
        assert_eq!(us("grouped_gemm", "", "unmeasured", 100.0), None);
        assert_eq!(us("flash_attn", "", "small", 100.0), None);
    }
}
