//! The compare kinds of the format, and row selection.

use super::Class;
use super::case::{Stop, fail, resolve_tensor, skip};
use super::files::Files;
use super::values::{Values, product};
use serde_json::Value;

/// What a comparison found: the worst error as a part of what is allowed, or what is wrong.
pub(super) type Found = Result<f64, String>;

/// The rule for `class` in an expected entry's `compare`.
pub(super) fn rule_for(compare: &Value, class: Class) -> Result<&Value, Stop> {
    if compare.get("kind").is_some() {
        return Ok(compare);
    }
    match compare.get(class.name()) {
        Some(rule) => Ok(rule),
        None => skip(format!("no comparison for class {class}")),
    }
}

/// Compares under one rule.
pub(super) fn compare(files: &Files, actual: &Values, expected: &Values, rule: &Value) -> Result<Found, Stop> {
    let Some(kind) = rule.get("kind").and_then(Value::as_str) else {
        return fail("a comparison without `kind`");
    };
    match kind {
        "not_judged" => return Ok(Ok(0.0)),
        "all_of" => return all_of(files, actual, expected, rule),
        _ => {}
    }
    let (mut a, mut e) = (actual.data.clone(), expected.data.clone());
    if a.len() != e.len() {
        return Ok(Err(format!("shape {:?} instead of {:?}", actual.shape, expected.shape)));
    }
    if kind == "exact_bits" {
        return Ok(exact_bits(actual, expected));
    }
    if kind == "prefix_equal" {
        let inner = product(expected.shape.iter().skip(1));
        let n = (number(rule, "min_prefix")? as usize).saturating_mul(inner).min(e.len());
        return Ok(exact(&a[..n], &e[..n]));
    }
    let elementwise = matches!(kind, "abs" | "rel" | "abs_rel" | "peak" | "bound_absdot" | "abs_scaled");
    let mut bounds = if elementwise { bounds(files, kind, expected, rule)? } else { Vec::new() };
    if let Some(keep) = selection(files, &expected.shape, rule)? {
        for list in [&mut a, &mut e, &mut bounds] {
            let mut kept = keep.iter();
            list.retain(|_| kept.next().copied().unwrap_or(true));
        }
    }
    if e.is_empty() {
        return Ok(Ok(0.0));
    }
    if kind == "peak" {
        let peak = e.iter().fold(0f64, |m, x| m.max(x.abs()));
        bounds.fill(number(rule, "peak")? * peak);
    }
    let width = expected.shape.last().copied().unwrap_or(1).max(1);
    Ok(match kind {
        "exact" => exact(&a, &e),
        "set_equal" => sets(&a, &e, width),
        "argmax_agree" => argmax(&a, &e, width, number(rule, "min_fraction")?),
        "mean_abs" => mean(&a, &e, number(rule, "mean_abs")?),
        _ if elementwise => within(&a, &e, &bounds),
        _ => return skip(format!("compare kind {kind:?} is not known here")),
    })
}

fn all_of(files: &Files, actual: &Values, expected: &Values, rule: &Value) -> Result<Found, Stop> {
    let Some(rules) = rule.get("of").and_then(Value::as_array) else { return fail("`all_of` without a list `of`") };
    let mut worst = 0f64;
    for rule in rules {
        match compare(files, actual, expected, rule)? {
            Ok(ratio) => worst = worst.max(ratio),
            wrong => return Ok(wrong),
        }
    }
    Ok(Ok(worst))
}

fn number(rule: &Value, key: &str) -> Result<f64, Stop> {
    match rule.get(key).and_then(Value::as_f64) {
        Some(x) => Ok(x),
        None => fail(format!("a comparison without the number `{key}`")),
    }
}

fn reference(files: &Files, rule: &Value, key: &str) -> Result<Values, Stop> {
    match rule.get(key) {
        Some(at) => Ok(Values::of(&resolve_tensor(files, at, key)?)),
        None => fail(format!("a comparison without `{key}`")),
    }
}

/// The bound of each element; those of `peak` are filled in after row selection.
fn bounds(files: &Files, kind: &str, expected: &Values, rule: &Value) -> Result<Vec<f64>, Stop> {
    let (e, get) = (&expected.data, |key| number(rule, key));
    Ok(match kind {
        "abs" => vec![get("abs")?; e.len()],
        "rel" | "abs_rel" => {
            let (abs, rel) = (if kind == "rel" { 0.0 } else { get("abs")? }, get("rel")?);
            e.iter().map(|x| abs + rel * x.abs()).collect()
        }
        "bound_absdot" => {
            let (c, rel, absdot) = (get("c")?, get("rel")?, reference(files, rule, "absdot")?.data);
            if absdot.len() != e.len() {
                return fail(format!("`absdot` has {} elements, expected {}", absdot.len(), e.len()));
            }
            e.iter().zip(absdot).map(|(x, dot)| c * dot + rel * x.abs()).collect()
        }
        "abs_scaled" => {
            let (abs, slope, scale) = (get("abs")?, get("slope")?, reference(files, rule, "scale")?.data);
            let each = e.len() / scale.len().max(1);
            if each * scale.len() != e.len() {
                return fail(format!("`scale` has {} elements, which {} rows do not fit", scale.len(), e.len()));
            }
            scale.iter().flat_map(|s| std::iter::repeat_n(abs + slope * s, each)).collect()
        }
        _ => vec![0.0; e.len()],
    })
}

/// Which elements take part; `None`: all.
fn selection(files: &Files, shape: &[usize], rule: &Value) -> Result<Option<Vec<bool>>, Stop> {
    let axis = rule.get("row_axis").and_then(Value::as_i64).unwrap_or(-2);
    let rank = shape.len() as i64;
    let axis = if rank == 0 { 0 } else { axis.rem_euclid(rank) as usize };
    let rows = shape.get(axis).copied().unwrap_or(1);
    let mut keep: Option<Vec<bool>> = None;
    let mut both = |mut chosen: Vec<bool>, how: &Value| -> Result<(), Stop> {
        if chosen.len() != rows {
            return fail(format!("row selection has {} rows, the tensor {rows}", chosen.len()));
        }
        if how.get("prefix").and_then(Value::as_bool).unwrap_or(false) {
            let first_dropped = chosen.iter().position(|k| !k).unwrap_or(rows);
            chosen[first_dropped..].fill(false);
        }
        let before = keep.take().unwrap_or_else(|| vec![true; rows]);
        keep = Some(before.iter().zip(chosen).map(|(a, b)| *a && b).collect());
        Ok(())
    };
    if let Some(mask) = rule.get("row_mask") {
        let values = reference(files, mask, "tensor")?.data;
        both(values.iter().map(|x| *x != 0.0).collect(), mask)?;
    }
    if let Some(margin) = rule.get("row_margin") {
        let (values, least) = (reference(files, margin, "tensor")?, number(margin, "min")?);
        let tokens = values.shape.last().copied().unwrap_or(1).max(1);
        let clear = |t: usize| values.data.iter().skip(t).step_by(tokens).all(|m| *m >= least);
        both((0..tokens.min(values.data.len())).map(clear).collect(), margin)?;
    }
    let inner = product(shape.iter().skip(axis + 1));
    let total = product(shape.iter());
    Ok(keep.map(|keep| (0..total).map(|i| keep[i / inner.max(1) % rows.max(1)]).collect()))
}

/// Equal, or both NaN.
fn same(a: f64, e: f64) -> bool {
    a == e || (a.is_nan() && e.is_nan())
}

fn count_wrong(n: usize, of: usize, first: usize, a: &[f64], e: &[f64]) -> String {
    format!("{n} of {of} wrong, the first at {first}: {:e} instead of {:e}", a[first], e[first])
}

fn exact(a: &[f64], e: &[f64]) -> Found {
    let wrong: Vec<usize> = (0..e.len()).filter(|i| !same(a[*i], e[*i])).collect();
    wrong.first().map_or(Ok(0.0), |first| Err(count_wrong(wrong.len(), e.len(), *first, a, e)))
}

fn exact_bits(actual: &Values, expected: &Values) -> Found {
    if let (Some(a), Some(e)) = (actual.dtype, expected.dtype)
        && a != e
    {
        return Err(format!("type {a} instead of {e}"));
    }
    let signs = actual.data.iter().zip(&expected.data);
    if let Some(i) = signs.clone().position(|(a, e)| a == e && a.is_sign_negative() != e.is_sign_negative()) {
        return Err(format!("the sign of zero differs at {i}"));
    }
    exact(&actual.data, &expected.data)
}

fn sets(a: &[f64], e: &[f64], width: usize) -> Found {
    let sorted = |row: &[f64]| {
        let mut row = row.to_vec();
        row.sort_by(f64::total_cmp);
        row
    };
    let equal = |(a, e): (&[f64], &[f64])| sorted(a).into_iter().zip(sorted(e)).all(|(a, e)| same(a, e));
    let differ = a.chunks(width).zip(e.chunks(width)).position(|rows| !equal(rows));
    differ.map_or(Ok(0.0), |row| Err(format!("another set in row {row}")))
}

/// NaN where a number is expected, or the reverse; an infinity where something else is.
fn special(a: &[f64], e: &[f64]) -> Option<String> {
    let wrong = |(a, e): (&f64, &f64)| !(same(*a, *e) || a.is_finite() && e.is_finite());
    let first = a.iter().zip(e).position(wrong)?;
    Some(format!("{} instead of {} at {first}", a[first], e[first]))
}

fn argmax(a: &[f64], e: &[f64], width: usize, least: f64) -> Found {
    if let Some(words) = special(a, e) {
        return Err(words);
    }
    let best = |row: &[f64]| (1..row.len()).fold(0, |m, i| if row[i] > row[m] { i } else { m });
    let (mut agree, mut rows) = (0usize, 0usize);
    for (a, e) in a.chunks(width).zip(e.chunks(width)) {
        (agree, rows) = (agree + usize::from(best(a) == best(e)), rows + 1);
    }
    let share = agree as f64 / rows as f64;
    if share >= least {
        return Ok(if least < 1.0 { (1.0 - share) / (1.0 - least) } else { 0.0 });
    }
    Err(format!("the largest agrees in {share:.3} of {rows} rows, {least} wanted"))
}

fn mean(a: &[f64], e: &[f64], allowed: f64) -> Found {
    if let Some(words) = special(a, e) {
        return Err(words);
    }
    let error = |(a, e): (&f64, &f64)| if a == e { 0.0 } else { (a - e).abs() };
    let mean = a.iter().zip(e).map(error).sum::<f64>() / e.len() as f64;
    if mean <= allowed {
        return Ok(if mean == 0.0 { 0.0 } else { mean / allowed });
    }
    Err(format!("mean error {mean:.3e}, allowed {allowed:.3e}"))
}

fn within(a: &[f64], e: &[f64], bounds: &[f64]) -> Found {
    if let Some(words) = special(a, e) {
        return Err(words);
    }
    let (mut worst, mut at, mut wrong) = (0f64, 0, 0);
    for i in 0..e.len() {
        let error = if same(a[i], e[i]) { 0.0 } else { (a[i] - e[i]).abs() };
        // Not `error > bound`: a NaN bound must not pass.
        let ok = error <= bounds[i] || error == 0.0;
        let ratio = if error == 0.0 { 0.0 } else { error / bounds[i] };
        wrong += usize::from(!ok);
        if ratio > worst || (!ok && wrong == 1) {
            (worst, at) = (ratio, i);
        }
    }
    match wrong {
        0 => Ok(worst),
        n => Err(format!(
            "{n} of {} out of bounds, the worst at {at}: {:e} instead of {:e}, off by {:.3e}, allowed {:.3e}",
            e.len(),
            a[at],
            e[at],
            (a[at] - e[at]).abs(),
            bounds[at]
        )),
    }
}
