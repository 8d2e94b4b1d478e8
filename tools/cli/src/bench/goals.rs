//! Goals: what a row should take, and what the best peer takes.

use super::read_json;
use dropless::testing::bench::{ModelOptions, Options, PRESETS, Report, Row};
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

    /// Is it of a row that these options ask for?
    fn asked(&self, options: &Options) -> bool {
        let select = &options.select;
        if self.op == "model" {
            return options.model.as_ref().is_some_and(|model| self.asked_of(model));
        }
        let preset = |name: &String| {
            let preset = PRESETS.iter().find(|p| p.name == name);
            preset.is_some_and(|p| {
                let experts = format!("E{} k{}", p.experts, p.top_k);
                self.case == experts || self.case.split(' ').any(|word| word == p.short)
            })
        };
        let of_preset = self.op.starts_with("moe") || self.op == "grouped_gemm_bf16";
        (select.ops.is_empty() || select.ops.contains(&self.op))
            && (select.cases.is_empty() || select.cases.iter().any(|c| self.case.contains(c.as_str())))
            && (select.tokens.is_empty() || select.tokens.contains(&self.tokens))
            && (select.presets.is_empty() || !of_preset || select.presets.iter().any(preset))
    }

    fn asked_of(&self, model: &ModelOptions) -> bool {
        match self.case.rsplit_once("decode ctx") {
            Some((_, context)) => context.parse().is_ok_and(|c| model.decode.contains(&(self.tokens, c))),
            None => model.prefill.contains(&self.tokens),
        }
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

/// Goals of what was asked for that no row answers.
pub fn unanswered<'a>(goals: &'a [Goal], report: &Report, backend: &str, options: &Options) -> Vec<&'a Goal> {
    let missing = |g: &&Goal| g.backend == backend && g.asked(options) && !report.rows.iter().any(|r| g.is_of(r));
    goals.iter().filter(missing).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::lines::tests::row;
    use dropless::testing::bench::{Select, Weights};

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
        let report = Report { rows: rows.to_vec(), ..Report::default() };
        let missing = |backend, options: &Options| {
            unanswered(&goals, &report, backend, options).iter().map(|g| g.tokens).collect::<Vec<_>>()
        };
        assert_eq!(missing("cuda", &Options::default()), [8]);
        assert!(missing("wgpu", &Options::default()).is_empty());
        let asked = |select| missing("cuda", &Options { select, ..Options::default() });
        let list = |name: &str| vec![name.to_string()];
        assert!(asked(Select { tokens: vec![4], ..Select::default() }).is_empty());
        assert!(asked(Select { ops: list("moe_mlp2"), ..Select::default() }).is_empty());
        assert!(asked(Select { presets: list("gpt-oss-120b"), ..Select::default() }).is_empty());
        assert_eq!(asked(Select { presets: list("gpt-oss-20b"), ops: list("moe_mlp1"), ..Select::default() }), [8]);
    }

    #[test]
    fn goals_of_a_model_are_asked_for_by_its_rows() {
        let of =
            |case: &str, tokens| Goal { op: "model".into(), case: case.into(), tokens, ..goal("tokens/s", 1.0, None) };
        let goals = [of("20b prefill", 512), of("20b decode ctx512", 8), of("20b decode ctx8192", 8)];
        let missing = |model| {
            let options = Options { model, ..Options::default() };
            unanswered(&goals, &Report::default(), "cuda", &options).len()
        };
        let some = ModelOptions::new(Weights::Random("gpt-oss-20b".into()));
        assert_eq!(missing(None), 0);
        assert_eq!(missing(Some(some.clone())), 2);
        assert_eq!(missing(Some(ModelOptions { prefill: Vec::new(), decode: vec![(8, 8192)], ..some })), 1);
    }
}
