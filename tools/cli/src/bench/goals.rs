//! Goals: what a row should take, and what the best peer takes.

use super::read_json;
use dropless::testing::bench::Row;
use serde::Deserialize;
use std::path::Path;

/// One goal. `unit` is `us` or `tokens/s`.
#[derive(Clone, Debug, Deserialize)]
pub struct Goal {
    pub backend: String,
    pub op: String,
    pub case: String,
    pub tokens: usize,
    pub unit: String,
    pub goal: f64,
    pub peer: Option<f64>,
}

pub fn read(path: &Path) -> anyhow::Result<Vec<Goal>> {
    read_json(path, "a list of goals: {backend, op, case, tokens, unit, goal, peer}")
}

impl Goal {
    fn is_of(&self, row: &Row) -> bool {
        (&self.backend, &self.op, &self.case, self.tokens) == (&row.backend, &row.op, &row.case, row.tokens)
    }

    fn reached(&self, limit: f64, row: &Row) -> bool {
        if self.unit == "us" { row.us_median <= limit } else { row.tokens_per_s >= limit }
    }

    /// `met`: the goal; `faster`: than the best peer; `short`: neither.
    pub fn verdict(&self, row: &Row) -> &'static str {
        match self.peer {
            _ if self.reached(self.goal, row) => "met",
            Some(peer) if self.reached(peer, row) => "faster",
            _ => "short",
        }
    }
}

/// The goal of a row.
pub fn of<'a>(goals: &'a [Goal], row: &Row) -> Option<&'a Goal> {
    goals.iter().find(|g| g.is_of(row))
}

/// Goals of a backend that no row answers.
pub fn unanswered<'a>(goals: &'a [Goal], rows: &[Row], backend: &str) -> Vec<&'a Goal> {
    goals.iter().filter(|g| g.backend == backend && !rows.iter().any(|r| g.is_of(r))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::lines::tests::row;

    fn goal(unit: &str, goal: f64, peer: Option<f64>) -> Goal {
        let names = ["cuda", "moe_mlp1", "20b"].map(String::from);
        let [backend, op, case] = names;
        Goal { backend, op, case, tokens: 4, unit: unit.into(), goal, peer }
    }

    #[test]
    fn verdicts() {
        let row = row("moe_mlp1", "20b", 4, 40.0);
        assert_eq!(goal("us", 40.0, Some(50.0)).verdict(&row), "met");
        assert_eq!(goal("us", 30.0, Some(50.0)).verdict(&row), "faster");
        assert_eq!(goal("us", 30.0, Some(39.0)).verdict(&row), "short");
        assert_eq!(goal("us", 30.0, None).verdict(&row), "short");
        assert_eq!(goal("tokens/s", 99_000.0, Some(1.0)).verdict(&row), "met");
        assert_eq!(goal("tokens/s", 101_000.0, Some(1.0)).verdict(&row), "faster");
    }

    #[test]
    fn goals_find_their_rows() {
        let goals = [goal("us", 1.0, None), Goal { tokens: 8, ..goal("us", 1.0, None) }];
        let rows = [row("moe_mlp1", "20b", 4, 40.0)];
        assert_eq!(of(&goals, &rows[0]).map(|g| g.tokens), Some(4));
        assert_eq!(unanswered(&goals, &rows, "cuda").iter().map(|g| g.tokens).collect::<Vec<_>>(), [8]);
        assert!(unanswered(&goals, &rows, "wgpu").is_empty());
    }
}
