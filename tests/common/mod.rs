//! What the tests of several backends say of a report.

use dropless::testing::{Report, Status};

/// Nothing failed; something passed; nothing was skipped but for f64, which is the oracle's alone.
pub fn assert_all_passed(report: &Report) {
    let words = |status| {
        let rows = report.with(status);
        rows.map(|r| format!("{} {}: {}\n", r.op, r.case, r.message)).collect::<String>()
    };
    assert!(report.ok(), "{report}\n{}", words(Status::Failed));
    assert!(report.count(Status::Passed) > 0, "{report}");
    let unexpected = report.with(Status::Skipped).filter(|r| !r.message.contains("f64")).count();
    assert_eq!(unexpected, 0, "{report}\n{}", words(Status::Skipped));
    eprintln!("{report}");
}
