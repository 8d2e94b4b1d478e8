//! The chooser of the CUDA backend against the times of all variants on an H200, as `dropless tune --json` wrote them.
#![cfg(all(feature = "cuda", feature = "testing"))]

use dropless::backend::{DeviceInfo, Explain};
use dropless::devices::known::Known;
use dropless::op::AnySpec;
use dropless::testing::bench::{Select, specs, tuned_rows};
use dropless::{Cuda, Hint};
use serde_json::Value;

/// A row of the bench, and the variants near the fastest with their times.
struct Row {
    op: String,
    case: String,
    tokens: usize,
    us: Vec<(String, f64)>,
}

impl Row {
    fn spec(&self) -> AnySpec {
        let select = Select { ops: vec![self.op.clone()], tokens: vec![self.tokens], ..tuned_rows() };
        let mut rows = specs(&select, false).unwrap();
        rows.retain(|r| r.case == self.case);
        assert_eq!(rows.len(), 1, "{} {} {}", self.op, self.case, self.tokens);
        rows[0].specs[0]
    }

    /// How many times as long as the fastest variant the one takes that is chosen on `device`.
    fn excess(&self, device: &DeviceInfo) -> (f64, &'static str) {
        let told = match self.spec() {
            AnySpec::GroupedGemm(op) => Cuda::explain(&op, device, Hint::default()),
            AnySpec::Dispatch(op) => Cuda::explain(&op, device, Hint::default()),
            other => panic!("{} has no measured choices", other.name()),
        };
        let chosen = told.unwrap().chosen.unwrap();
        let of_chosen = self.us.iter().find(|(name, _)| name == chosen).map_or(f64::INFINITY, |(_, us)| *us);
        let best = self.us.iter().map(|(_, us)| *us).fold(f64::INFINITY, f64::min);
        (of_chosen / best, chosen)
    }
}

/// The device that they were measured on, and the rows.
fn times() -> (String, Vec<Row>) {
    let all: Value = serde_json::from_str(include_str!("../tuned/h200-times.json")).unwrap();
    let word = |of: &Value, key: &str| of[key].as_str().unwrap().to_string();
    let row = |r: &Value| Row {
        op: word(r, "op"),
        case: word(r, "case"),
        tokens: r["tokens"].as_u64().unwrap() as usize,
        us: serde_json::from_value(r["us"].clone()).unwrap(),
    };
    (word(&all, "device"), all["rows"].as_array().unwrap().iter().map(row).collect())
}

/// Rows whose choice on `device` takes more than `most` times as long as the fastest.
fn slower(device: &DeviceInfo, most: f64) -> Vec<String> {
    let (_, rows) = times();
    assert!(rows.len() >= 80, "{}", rows.len());
    let words = |r: &Row| {
        let (excess, chosen) = r.excess(device);
        (excess > most).then(|| format!("{} {} {}: {chosen} takes {excess:.2}, {:?}", r.op, r.case, r.tokens, r.us))
    };
    rows.iter().filter_map(words).collect()
}

#[test]
fn the_cost_model_is_within_a_tenth_of_the_fastest() {
    let known = Known::named("h200").unwrap().info();
    // No table is brought for a device of another name.
    let device = DeviceInfo { name: "a device without measured rows".into(), ..known };
    let slower = slower(&device, 1.1);
    assert!(slower.is_empty(), "{}", slower.join("\n"));
}

/// `dropless tune` keeps what is chosen anyway where that is within 3 % of the fastest.
#[test]
fn measured_rows_name_the_fastest() {
    let device = Known::named("h200").unwrap().info();
    assert_eq!(times().0, device.name);
    let slower = slower(&device, 1.03);
    assert!(slower.is_empty(), "{}", slower.join("\n"));
}
