//! What the tests of several backends say of a report.

use dropless::testing::{Report, Row, Status};

/// f64 is the oracle's alone; CUDA and HIP take caches of f8e4m3 and scales of keys and values where kernels were made for them.
fn may_be_refused(row: &Row) -> bool {
    let some = ["cuda", "hip"].contains(&row.backend.as_str());
    let words: &[&str] = if some { &["f64", "f8e4m3", "with scales are not taken"] } else { &["f64"] };
    words.iter().any(|words| row.message.contains(words))
}

/// Nothing failed; something passed; nothing was skipped but for what may be refused.
pub fn assert_all_passed(report: &Report) {
    let words = |status| {
        let rows = report.with(status);
        rows.map(|r| format!("{} {}: {}\n", r.op, r.case, r.message)).collect::<String>()
    };
    assert!(report.ok(), "{report}\n{}", words(Status::Failed));
    assert!(report.count(Status::Passed) > 0, "{report}");
    let unexpected = report.with(Status::Skipped).filter(|r| !may_be_refused(r)).count();
    assert_eq!(unexpected, 0, "{report}\n{}", words(Status::Skipped));
    eprintln!("{report}");
}
