//! An earlier run, to compare with.

use super::read_json;
use dropless::testing::bench::{Report, Row};
use std::path::Path;

pub fn read(path: &Path) -> anyhow::Result<Report> {
    read_json(path, "the JSON of an earlier bench")
}

/// Microseconds of the same row in an earlier run.
pub fn before(earlier: &Report, row: &Row) -> Option<f64> {
    let same = |r: &&Row| (&r.backend, &r.op, &r.case, r.tokens) == (&row.backend, &row.op, &row.case, row.tokens);
    earlier.rows.iter().find(same).map(|r| r.us_median)
}

/// How much more or less time than before, in percent.
pub fn change(before: f64, after: f64) -> String {
    format!("{:+.1}%", 100.0 * (after / before - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::lines::tests::row;

    #[test]
    fn the_same_row_of_an_earlier_run_survives_json() {
        let rows = vec![row("linear", "qkv", 1, 9.0), row("linear", "qkv", 64, 12.5)];
        let report = Report { rows, ..Report::default() };
        let again: Report = serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap();
        assert_eq!(before(&again, &row("linear", "qkv", 64, 25.0)), Some(12.5));
        assert_eq!(before(&again, &row("linear", "qkv", 2, 25.0)), None);
        assert_eq!([change(10.0, 12.0), change(10.0, 5.0)], ["+20.0%", "-50.0%"]);
    }
}
