//! The suite is itself tested: each wrong rule, injected into the reference, must make one of the bundled golden vectors fail.
//!
//! The rule in force is global to the process: this is the only test in this file. The golden vectors alone catch all
//! rules; conformance by formula compares the reference with itself, and is not counted on.

use dropless::mutation::{Rule, inject};
use dropless::testing::vectors::{Class, Vectors};
use dropless::testing::{Filter, Status};

fn failure(vectors: &Vectors, id: &str) -> Option<String> {
    let report = vectors.run(&Class::F32.cpu(), Class::F32, &Filter::case(id), |_| {});
    report.with(Status::Failed).next().map(|row| row.message.clone())
}

#[test]
fn every_wrong_rule_is_caught() {
    let vectors = Vectors::bundled().unwrap();
    inject(None);
    let clean = vectors.run(&Class::F32.cpu(), Class::F32, &Filter::default(), |_| {});
    assert_eq!(clean.to_string(), "148 passed, 0 failed, 0 skipped", "without a wrong rule");
    let (mut missed, mut uncaught) = (Vec::new(), Vec::new());
    for (rule, name) in Rule::ALL {
        inject(Some(rule));
        // The manifest names the cases under which an independent checker was seen to fail: ours must fail under each of them.
        let (mut caught, mut first) = (0, String::new());
        for id in vectors.catching(name) {
            match failure(&vectors, id) {
                Some(words) if caught == 0 => (caught, first) = (1, format!("{id:36} {words}")),
                Some(_) => caught += 1,
                None => missed.push((name, id)),
            }
        }
        if caught == 0 {
            uncaught.push(name);
        }
        println!("{name:26} {caught:3} cases, first {}", first.chars().take(120).collect::<String>());
    }
    inject(None);
    assert!(uncaught.is_empty(), "no golden vector notices {uncaught:?}");
    assert!(missed.is_empty(), "cases that should have noticed: {missed:?}");
}
