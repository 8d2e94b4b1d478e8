//! The suite is itself tested: each wrong rule, injected into the reference, must make one of the bundled golden vectors fail.
//!
//! The rule in force is global to the process: this is the only test in this file. The golden vectors alone catch all
//! rules; conformance by formula compares the reference with itself, and is not counted on.

use dropless::mutation::{Rule, inject};
use dropless::testing::vectors::{Class, Vectors};
use dropless::testing::{Filter, Status};

/// The first case that fails, the likely ones first.
fn caught_by(vectors: &Vectors, rule: &str) -> Option<(String, String)> {
    let cpu = Class::F32.cpu();
    let likely = vectors.catching(rule);
    let rest = vectors.ids().into_iter().filter(|id| !likely.contains(id));
    for id in likely.iter().copied().chain(rest) {
        let report = vectors.run(&cpu, Class::F32, &Filter::case(id), |_| {});
        if let Some(row) = report.with(Status::Failed).next() {
            return Some((row.case.clone(), row.message.clone()));
        }
    }
    None
}

#[test]
fn every_wrong_rule_is_caught() {
    let vectors = Vectors::bundled().unwrap();
    inject(None);
    let clean = vectors.run(&Class::F32.cpu(), Class::F32, &Filter::default(), |_| {});
    assert_eq!(clean.to_string(), "148 passed, 0 failed, 0 skipped", "without a wrong rule");
    let mut missed = Vec::new();
    for (rule, name) in Rule::ALL {
        inject(Some(rule));
        match caught_by(&vectors, name) {
            Some((case, words)) => println!("{name:24} {case:40} {}", words.chars().take(100).collect::<String>()),
            None => missed.push(name),
        }
    }
    inject(None);
    assert!(missed.is_empty(), "no golden vector notices {missed:?}");
}
