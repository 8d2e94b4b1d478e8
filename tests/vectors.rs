//! The bundled golden vectors, in every accuracy class of the reference.

use dropless::testing::vectors::{Class, Vectors};
use dropless::testing::{Filter, Status};

fn judged(class: Class) {
    let report = Vectors::bundled().unwrap().run(&class.cpu(), class, &Filter::default(), |_| {});
    for row in report.rows.iter().filter(|r| r.status != Status::Passed) {
        println!("{} {} ({}): {}", row.status, row.case, row.op, row.message);
    }
    assert_eq!(report.to_string(), "148 passed, 0 failed, 0 skipped", "class {class}");
}

#[test]
fn oracle() {
    judged(Class::F64);
}

#[test]
fn single() {
    judged(Class::F32);
}

#[test]
fn twin() {
    judged(Class::Bf16);
}
