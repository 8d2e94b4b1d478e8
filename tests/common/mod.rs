//! What the tests of several backends say of a report.

use dropless::testing::{Report, Status};

/// f64 is the oracle's alone; caches of f8e4m3 and scales of keys and values are taken where kernels were made for them.
const REFUSED: [&str; 3] = ["f64", "f8e4m3", "with scales are not taken"];

/// Nothing failed; something passed; nothing was skipped but for what may be refused.
pub fn assert_all_passed(report: &Report) {
    let words = |status| {
        let rows = report.with(status);
        rows.map(|r| format!("{} {}: {}\n", r.op, r.case, r.message)).collect::<String>()
    };
    assert!(report.ok(), "{report}\n{}", words(Status::Failed));
    assert!(report.count(Status::Passed) > 0, "{report}");
    let unexpected =
        report.with(Status::Skipped).filter(|r| !REFUSED.iter().any(|words| r.message.contains(words))).count();
    assert_eq!(unexpected, 0, "{report}\n{}", words(Status::Skipped));
    eprintln!("{report}");
}
