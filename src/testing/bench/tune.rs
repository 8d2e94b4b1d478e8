//! Every variant of an op on the rows of the bench: which is the fastest, and which one is chosen without measurements.

use super::catalog::{self, Case, Select, What};
use super::measure::Pace;
use super::operand::Held;
use super::specs::specs_of;
use super::{Options, Runner};
use crate::backend::{Class, Explain, Explanation, Hint, Timing};
use crate::error::Error;
use crate::kernel::AllOps;
use crate::op::moe::DispatchSpec;
use crate::op::{AnySpec, GroupedGemmSpec};
use crate::testing::random::Random;
use std::ops::ControlFlow;

/// One row with all variants that run it, and of which the fastest is right.
#[derive(Clone, PartialEq, Debug)]
pub struct Tried {
    /// Op, case and tokens of the bench row.
    pub op: &'static str,
    /// Of the op.
    pub case: String,
    /// Tokens of a call.
    pub tokens: usize,
    /// Name of the kernel's op.
    pub kernel: &'static str,
    /// What a chooser finds the row by.
    pub class: Class,
    /// The one that the backend chooses.
    pub chosen: Option<&'static str>,
    /// Variants and their microseconds, the fastest first; of those that are not near it, at first sight.
    pub times: Vec<(&'static str, f64)>,
    /// Faster variants, whose result is wrong.
    pub wrong: Vec<&'static str>,
}

/// Times of a variant that is no more than so much slower are as good as equal, ...
const EQUAL: f64 = 1.03;
/// ... and one that takes so many times as long at first sight is not measured longer.
const FAR: f64 = 1.5;

impl Tried {
    /// The variant to run: the fastest, or the one that is chosen anyway where it is as good.
    pub fn best(&self) -> Option<&'static str> {
        let (fastest, _) = self.times.first()?;
        Some(if self.excess().is_some_and(|e| e <= EQUAL) { self.chosen? } else { fastest })
    }

    /// How many times as long as the fastest one the chosen one takes.
    pub fn excess(&self) -> Option<f64> {
        let (_, best) = self.times.first()?;
        let (_, chosen) = self.times.iter().find(|(name, _)| Some(*name) == self.chosen)?;
        Some(chosen / best)
    }
}

/// How a variant did.
enum Outcome {
    /// Microseconds of a call.
    Took(f64),
    Wrong,
    /// It does not run this row.
    Refused,
}

/// Measures each variant on the rows that `options` asks for. Rows of several ops, and those whose op has no measured choices,
/// are left out. Of a row all variants are timed, then the result of the fastest is looked at where it is another one than is
/// chosen anyway (that one, `bench` looks at), of the next where it is wrong. `found`
/// is given each row once it is measured, and may end it there: all of them take minutes. `progress` is told what comes next, as
/// the row of how many it is.
///
/// # Errors
/// As [`run`](super::run), and what `found` returns.
pub fn tune<B>(
    backend: &B,
    options: &Options,
    mut progress: impl FnMut(&str),
    mut found: impl FnMut(Tried) -> Result<ControlFlow<()>, Error>,
) -> Result<(), Error>
where
    B: Timing + AllOps + Explain<GroupedGemmSpec> + Explain<DispatchSpec>,
{
    let rows = rows(backend, options)?;
    let (mut kept, mut held, total) = (None, Some(Held::new()), rows.len());
    for (n, (what, candidates, mut tried)) in rows.into_iter().enumerate() {
        let (op, case, tokens) = (tried.op, tried.case.clone(), tried.tokens);
        let measure = |variant: &'static str, best: f64, looks: bool| {
            let doing = if looks { " checked" } else { "" };
            progress(&format!("{} of {total}: {op} {case} {tokens}, {variant}{doing}", n + 1));
            let options = Options { variant: Some(variant.into()), ..options.clone() };
            let random = Random::named("dropless tune");
            let (kept_now, held_now, pace) = (kept.take(), held.take(), Pace::Busy(FAR * best));
            let options = &options;
            let mut runner =
                Runner { backend, options, random, kept: kept_now, held: held_now, pace, looks, clock: None };
            let measured = runner.case(what, tokens);
            (kept, held) = (runner.kept, runner.held);
            match measured {
                Ok(m) if m.rel_err <= m.allowed => Ok(Outcome::Took(m.times.median)),
                Ok(_) => Ok(Outcome::Wrong),
                Err(Error::Unsupported { .. }) => Ok(Outcome::Refused),
                Err(e) => Err(e),
            }
        };
        try_all(&candidates, &mut tried, measure)?;
        if found(tried)?.is_break() {
            break;
        }
    }
    Ok(())
}

/// A row to measure, and the variants there are.
type Row = (What, Vec<&'static str>, Tried);

fn rows<B>(backend: &B, options: &Options) -> Result<Vec<Row>, Error>
where
    B: Explain<GroupedGemmSpec> + Explain<DispatchSpec>,
{
    let mut rows = Vec::new();
    for Case { op, case, tokens, what } in catalog::cases(&options.select).map_err(|e| Error::input("tune", e))? {
        for tokens in tokens {
            let [spec] = &specs_of(what, tokens, options.openai_weights)[..] else { continue };
            let Some((kernel, told)) = explain(backend, spec, Hint::default())? else { continue };
            let Some(class) = told.class else { continue };
            let (case, chosen, times, wrong) = (case.clone(), told.chosen, Vec::new(), Vec::new());
            let mut candidates: Vec<_> =
                told.chosen.into_iter().chain(told.rejected.iter().map(|r| r.variant)).collect();
            candidates.retain(|name| may_run(backend, spec, name));
            rows.push((what, candidates, Tried { op, case, tokens, kernel, class, chosen, times, wrong }));
        }
    }
    Ok(rows)
}

/// Times every candidate by `measure`, which is told the best time so far; then once more, with a look at the result, the fastest, until
/// one is right or is the one that is chosen anyway.
fn try_all(
    candidates: &[&'static str],
    tried: &mut Tried,
    mut measure: impl FnMut(&'static str, f64, bool) -> Result<Outcome, Error>,
) -> Result<(), Error> {
    let mut best = f64::INFINITY;
    for variant in candidates {
        if let Outcome::Took(us) = measure(variant, best, false)? {
            tried.times.push((variant, us));
            best = best.min(us);
        }
    }
    tried.times.sort_by(|a, b| a.1.total_cmp(&b.1));
    while let Some(variant) = tried.best().filter(|v| Some(*v) != tried.chosen) {
        if let Outcome::Took(_) = measure(variant, f64::INFINITY, true)? {
            break;
        }
        tried.wrong.push(variant);
        tried.times.remove(0);
    }
    Ok(())
}

fn explain<B>(backend: &B, spec: &AnySpec, hint: Hint<'_>) -> Result<Option<(&'static str, Explanation)>, Error>
where
    B: Explain<GroupedGemmSpec> + Explain<DispatchSpec>,
{
    Ok(match spec {
        AnySpec::GroupedGemm(op) => Some((spec.name(), backend.explain_here(op, hint)?)),
        AnySpec::Dispatch(op) => Some((spec.name(), backend.explain_here(op, hint)?)),
        _ => None,
    })
}

fn may_run<B>(backend: &B, spec: &AnySpec, variant: &str) -> bool
where
    B: Explain<GroupedGemmSpec> + Explain<DispatchSpec>,
{
    let forced = Hint { variant: Some(variant), ..Hint::default() };
    explain(backend, spec, forced).is_ok_and(|told| told.is_some_and(|(_, told)| told.chosen.is_some()))
}

/// The rows of the ops that have measured choices, at every power of two of tokens.
pub fn tuned_rows() -> Select {
    let ops = ["moe_mlp1", "moe_mlp2", "grouped_gemm_bf16", "linear", "moe_dispatch"].map(String::from).to_vec();
    let presets = ["gpt-oss-20b", "gpt-oss-120b"].map(String::from).to_vec();
    Select { ops, presets, tokens: (0..14).map(|i| 1 << i).collect(), ..Select::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Tried {
        let class = Class { name: "k64".into(), size: 1 };
        let (case, chosen, times, wrong) = ("tiny".into(), Some("usual"), Vec::new(), Vec::new());
        Tried { op: "linear", case, tokens: 1, kernel: "grouped_gemm", class, chosen, times, wrong }
    }

    /// Four variants: the fastest is wrong, one does not run the row. Each is timed once, as few as are needed are looked at.
    #[test]
    fn the_fastest_that_is_right() {
        let (mut tried, mut calls) = (row(), Vec::new());
        let measure = |variant: &'static str, best, looks| {
            calls.push((variant, best, looks));
            Ok(match (variant, looks) {
                ("usual", _) => Outcome::Took(9.0),
                ("wrong", false) => Outcome::Took(1.0),
                ("wrong", true) => Outcome::Wrong,
                ("good", _) => Outcome::Took(3.0),
                _ => Outcome::Refused,
            })
        };
        try_all(&["usual", "wrong", "other", "good"], &mut tried, measure).unwrap();
        assert_eq!(tried.times, [("good", 3.0), ("usual", 9.0)]);
        assert_eq!(tried.wrong, ["wrong"]);
        assert_eq!(tried.excess(), Some(3.0));
        let timed =
            [("usual", f64::INFINITY), ("wrong", 9.0), ("other", 1.0), ("good", 1.0)].map(|(v, b)| (v, b, false));
        assert_eq!(calls, [&timed[..], &["wrong", "good"].map(|v| (v, f64::INFINITY, true))].concat());
    }

    #[test]
    fn an_error_is_the_result_and_nothing_right_is_no_row() {
        let mut tried = row();
        let lost = try_all(&["usual"], &mut tried, |_, _, _| Err(Error::input("a device", "is gone")));
        assert!(lost.unwrap_err().to_string().contains("is gone"));
        let wrong = |_: &'static str, _, looks| Ok(if looks { Outcome::Wrong } else { Outcome::Took(1.0) });
        try_all(&["other"], &mut tried, wrong).unwrap();
        assert_eq!((tried.times.as_slice(), tried.wrong.as_slice()), (&[][..], &["other"][..]));
    }

    /// A variant that is chosen anyway stays where another one is hardly faster, and is not looked at.
    #[test]
    fn the_chosen_one_where_it_is_as_good() {
        let mut tried = row();
        let times = |v: &'static str, _, looks: bool| {
            assert!(!looks, "{v}");
            Ok(Outcome::Took(if v == "usual" { 1.02 } else { 1.0 }))
        };
        try_all(&["usual", "other"], &mut tried, times).unwrap();
        assert_eq!((tried.times[0].0, tried.best()), ("other", Some("usual")));
    }
}
