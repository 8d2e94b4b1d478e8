//! What ran, what failed, what was skipped and why.

use serde::Serialize;
use std::fmt;

/// How a case ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Within every bound.
    Passed,
    /// Wrong, or an error.
    Failed,
    /// Not judged; the row's message says why.
    Skipped,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Status::Passed => "passed",
            Status::Failed => "failed",
            Status::Skipped => "skipped",
        })
    }
}

/// One case on one backend.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Row {
    /// Op, as in [`Op::NAME`](crate::op::Op::NAME) or in the vectors' manifest.
    pub op: String,
    /// Backend that ran it.
    pub backend: String,
    /// Name of the case, unique within its op.
    pub case: String,
    /// How it ended.
    pub status: Status,
    /// Worst error as a part of what is allowed: up to 1 passes. `None` where there was nothing to measure.
    pub worst: Option<f64>,
    /// Why it failed or was skipped; empty where it passed.
    pub message: String,
}

/// Which cases to run. Empty lists mean all.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Filter {
    /// Names of ops.
    pub ops: Vec<String>,
    /// Cases whose name contains one of these.
    pub cases: Vec<String>,
    /// The one case of this name.
    pub exact: Option<String>,
    /// Force this variant of the backend's kernels.
    pub variant: Option<String>,
}

impl Filter {
    /// One case, by its whole name.
    pub fn case(name: &str) -> Self {
        Filter { exact: Some(name.to_string()), ..Filter::default() }
    }

    /// Is this case wanted?
    pub fn takes(&self, op: &str, case: &str) -> bool {
        let op = self.ops.is_empty() || self.ops.iter().any(|o| o == op);
        let exact = self.exact.as_ref().is_none_or(|name| name == case);
        op && exact && (self.cases.is_empty() || self.cases.iter().any(|c| case.contains(c.as_str())))
    }
}

/// All rows of a run.
#[derive(Clone, Default, PartialEq, Debug, Serialize)]
pub struct Report {
    /// In the order they ran.
    pub rows: Vec<Row>,
}

impl Report {
    /// Rows of one status.
    pub fn with(&self, status: Status) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |r| r.status == status)
    }

    /// How many rows have one status.
    pub fn count(&self, status: Status) -> usize {
        self.with(status).count()
    }

    /// True where no row failed.
    pub fn ok(&self) -> bool {
        self.count(Status::Failed) == 0
    }

    /// Appends another run's rows.
    pub fn extend(&mut self, other: Report) {
        self.rows.extend(other.rows);
    }
}

/// The line a report ends with: `N passed, N failed, N skipped`.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [passed, failed, skipped] = [Status::Passed, Status::Failed, Status::Skipped].map(|s| self.count(s));
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}
