//! A report as lines: of columns, Markdown, comma-separated values.

use super::goals::Goal;
use super::{compare, goals};
use dropless::testing::bench::{Report, Row};

/// What is printed beside the rows.
#[derive(Default)]
pub struct Extra<'a> {
    pub goals: Option<&'a [Goal]>,
    /// Those that were asked for and that no row answers.
    pub missing: Vec<&'a Goal>,
    pub before: Option<&'a Report>,
    /// What the command that repeats a row has beside the row's own options; a model's weights are the first.
    pub flags: &'a [String],
}

const HEADING: [&str; 14] = [
    "op", "case", "tokens", "tokens/s", "us", "p20", "p80", "burst", "TFLOP/s", "GB/s", "roof us", "roof %", "rel err",
    "variant",
];

/// The rows as cells, the heading first.
pub fn table(report: &Report, extra: &Extra<'_>) -> Vec<Vec<String>> {
    let mut heading: Vec<String> = HEADING.map(String::from).to_vec();
    if extra.goals.is_some() {
        heading.extend(["goal", "best peer", "verdict"].map(String::from));
    }
    if extra.before.is_some() {
        heading.extend(["before", "change"].map(String::from));
    }
    let mut table = vec![heading];
    table.extend(report.rows.iter().map(|row| line(row, extra)));
    table
}

fn line(row: &Row, extra: &Extra<'_>) -> Vec<String> {
    let mut line = vec![row.op.clone(), row.case.clone(), row.tokens.to_string()];
    line.extend(
        [row.tokens_per_s, row.us_median, row.us_p20, row.us_p80, row.us_burst, row.tflops, row.gbps, row.roof_us]
            .map(number),
    );
    line.extend([format!("{:.0}", row.roof_pct), format!("{:.1e}", row.rel_err), row.variant.clone()]);
    let none = || "-".to_string();
    if let Some(all) = extra.goals {
        let goal = goals::of(all, row);
        line.push(goal.map_or_else(none, |g| with_unit(g.goal, &g.unit)));
        line.push(goal.and_then(|g| Some(with_unit(g.peer?, &g.unit))).unwrap_or_else(none));
        line.push(goal.map_or_else(none, |g| g.verdict(row).into()));
    }
    if let Some(earlier) = extra.before {
        let before = compare::before(earlier, row);
        line.push(before.map_or_else(none, number));
        line.push(before.map_or_else(none, |b| compare::change(b, row.us_median)));
    }
    line
}

fn with_unit(value: f64, unit: &str) -> String {
    if unit == "us" { number(value) } else { format!("{} {unit}", number(value)) }
}

/// Three or four digits.
pub fn number(value: f64) -> String {
    match value.abs() {
        1000.0.. => format!("{value:.0}"),
        100.0.. => format!("{value:.1}"),
        1.0.. => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// The roof, what was skipped, goals without a row, and how to repeat the slowest row.
pub fn notes(report: &Report, extra: &Extra<'_>) -> String {
    let roof = &report.roof;
    let mut out = format!("roof: {:.0} GB/s ({}), ", roof.gbps.rate, roof.gbps.by);
    out += &format!("{:.1} TFLOP/s ({})\n", roof.tflops.rate, roof.tflops.by);
    for skipped in &report.skipped {
        let reason = skipped.reason.replace('\n', "; ");
        out += &format!("skipped: {} {} {}: {reason}\n", skipped.op, skipped.case, skipped.tokens);
    }
    for goal in &extra.missing {
        out += &format!("not measured: {} {} {}, ", goal.op, goal.case, goal.tokens);
        out += &format!("goal {}\n", with_unit(goal.goal, &goal.unit));
    }
    if let Some(row) = report.rows.iter().min_by(|a, b| a.roof_pct.total_cmp(&b.roof_pct)) {
        out += &format!("farthest from its roof, again: {}\n", repro(row, extra.flags));
    }
    out
}

/// The command that measures one row again.
pub fn repro(row: &Row, flags: &[String]) -> String {
    let Row { backend, op, case, tokens, .. } = row;
    let of_row = match case.rsplit_once("decode ctx") {
        Some((_, context)) if op == "model" => format!("--batch {tokens} --context {context}"),
        None if op == "model" => format!("--tokens {tokens}"),
        _ => format!("--op {op} --case \"{case}\" --tokens {tokens}"),
    };
    let weights = |flag: &&String| op == "model" || !["--model", "--synth"].iter().any(|m| flag.starts_with(m));
    let flags = flags.iter().filter(weights).map(|flag| format!("{flag} ")).collect::<String>();
    format!("dropless bench --backend {backend} {flags}{of_row}")
}

pub fn markdown(table: &[Vec<String>]) -> String {
    let mut out = String::new();
    for (i, line) in table.iter().enumerate() {
        let cells: Vec<String> = line.iter().map(|cell| cell.replace('|', "\\|")).collect();
        out += &format!("| {} |\n", cells.join(" | "));
        if i == 0 {
            out += &format!("|{}\n", "---|".repeat(line.len()));
        }
    }
    out
}

pub fn csv(table: &[Vec<String>]) -> String {
    let cell = |c: &String| {
        if c.contains([',', '"', '\n']) { format!("\"{}\"", c.replace('"', "\"\"")) } else { c.clone() }
    };
    table.iter().map(|line| line.iter().map(cell).collect::<Vec<_>>().join(",") + "\n").collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn row(op: &str, case: &str, tokens: usize, us: f64) -> Row {
        Row {
            backend: "cuda".into(),
            device: "a device".into(),
            driver: "CUDA 13.0".into(),
            commit: "v0".into(),
            op: op.into(),
            case: case.into(),
            shape: "E32, k4".into(),
            tokens,
            variant: "sm80".into(),
            us_median: us,
            us_p20: us,
            us_p80: us,
            us_burst: us,
            tflops: 2.0,
            gbps: 3.0,
            tokens_per_s: tokens as f64 / us * 1e6,
            roof_us: us / 2.0,
            roof_pct: 50.0,
            rel_err: 1e-3,
            scratch_bytes: 0,
            peak_bytes: 1,
        }
    }

    #[test]
    fn every_line_has_every_column() {
        let report = Report { rows: vec![row("moe_mlp1", "20b", 4, 40.0), row("x", "y", 1, 1.0)], ..Report::default() };
        let goal =
            r#"[{"backend":"cuda","op":"moe_mlp1","case":"20b","tokens":4,"unit":"us","goal":39.0,"peer":52.6}]"#;
        let goals: Vec<Goal> = serde_json::from_str(goal).unwrap();
        let table = table(&report, &Extra { goals: Some(&goals), before: Some(&report), ..Extra::default() });
        assert!(table.iter().all(|line| line.len() == HEADING.len() + 5), "{table:?}");
        assert_eq!(table[1][14..], ["39.00", "52.60", "faster", "40.00", "+0.0%"]);
        assert_eq!(table[2][14..], ["-", "-", "-", "1.00", "+0.0%"]);
    }

    #[test]
    fn cells_are_escaped() {
        let table = [vec!["a".to_string(), "b,\"c".into()], vec!["d|e".into(), "f".into()]];
        assert_eq!(csv(&table), "a,\"b,\"\"c\"\nd|e,f\n");
        assert_eq!(markdown(&table), "| a | b,\"c |\n|---|---|\n| d\\|e | f |\n");
    }

    #[test]
    fn rows_of_a_model_are_repeated_by_prompt_or_batch() {
        let flags = ["--synth tiny".to_string(), "--capability 8.0".into()];
        let again = |case, tokens| repro(&row("model", case, tokens, 1.0), &flags[..1]);
        assert_eq!(again("tiny prefill", 512), "dropless bench --backend cuda --synth tiny --tokens 512");
        let decode = "dropless bench --backend cuda --synth tiny --batch 8 --context 64";
        assert_eq!(again("tiny decode ctx64", 8), decode);
        let op = "dropless bench --backend cuda --capability 8.0 --op linear --case \"qkv\" --tokens 4";
        assert_eq!(repro(&row("linear", "qkv", 4, 1.0), &flags), op);
    }

    #[test]
    fn notes_say_what_is_missing_and_how_to_repeat() {
        let report = Report { rows: vec![row("moe_mlp1", "20b", 4, 40.0)], ..Report::default() };
        let goal =
            r#"[{"backend":"cuda","op":"model","case":"c","tokens":1,"unit":"tokens/s","goal":800,"peer":null}]"#;
        let goals: Vec<Goal> = serde_json::from_str(goal).unwrap();
        let missing = goals.iter().collect();
        let notes = notes(&report, &Extra { goals: Some(&goals), missing, ..Extra::default() });
        assert!(notes.contains("not measured: model c 1, goal 800.0 tokens/s"), "{notes}");
        assert!(notes.contains("dropless bench --backend cuda --op moe_mlp1 --case \"20b\" --tokens 4"), "{notes}");
    }
}
