//! The command as a user runs it.

use std::path::Path;
use std::process::{Command, Output};

fn dropless(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dropless"));
    command.args(arguments).env_remove("DROPLESS_REQUIRE").output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Standard output of a run that must succeed.
fn succeeds(arguments: &[&str]) -> String {
    let output = dropless(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// Standard error of a run that must fail without a panic.
fn fails(arguments: &[&str]) -> String {
    let output = dropless(arguments);
    let words = text(&output.stderr);
    assert!(!output.status.success(), "{arguments:?} succeeded: {}", text(&output.stdout));
    assert!(!words.contains("panicked"), "{words}");
    words
}

fn tiny(folder: &Path) -> String {
    let out = folder.join("tiny").to_str().unwrap().to_string();
    succeeds(&["synth", "--preset", "tiny", "--out", &out, "--seed", "3"]);
    out
}

#[test]
fn devices_names_every_backend_in_both_formats() {
    let table = succeeds(&["devices"]);
    for backend in ["cpu", "cuda", "hip", "wgpu"] {
        assert!(table.lines().any(|l| l.starts_with(backend)), "{table}");
    }
    let json: serde_json::Value = serde_json::from_str(&succeeds(&["devices", "--format", "json"])).unwrap();
    assert!(json.as_array().unwrap().iter().any(|row| row["backend"] == "cpu" && row["found"] == true));
}

#[test]
fn verify_ends_with_its_counts_and_json_has_the_same() {
    let arguments = ["verify", "--backend", "cpu", "--op", "rope,tokenize"];
    let table = succeeds(&arguments);
    let last = table.lines().last().unwrap();
    let json = succeeds(&[&arguments[..], &["--format", "json"]].concat());
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let counts = ["passed", "failed", "skipped"].map(|k| format!("{} {k}", json[k]));
    assert_eq!(last, counts.join(", "));
    assert!(json["passed"].as_u64().unwrap() > 26 && json["failed"] == 0);
    assert_eq!(json["rows"].as_array().unwrap().len() as u64, json["passed"].as_u64().unwrap());
}

#[test]
fn verify_says_what_it_cannot_do() {
    assert!(fails(&["verify", "--backend", "tpu"]).contains("there is no backend \"tpu\""));
    assert!(fails(&["verify", "--op", "no_such_op"]).contains("no_such_op"));
    assert!(fails(&["verify", "--op", "rope_table,no_such_op"]).contains("name: no_such_op"));
    let unknown = ["verify", "--backend", "cpu", "--op", "rms_norm", "--variant", "no_such_variant"];
    assert!(fails(&unknown).contains("no_such_variant"));
    assert!(fails(&["verify", "--vectors", "no/such/folder"]).contains("manifest.json"));
    let output = Command::new(env!("CARGO_BIN_EXE_dropless"))
        .args(["verify", "--op", "rope_table"])
        .env("DROPLESS_REQUIRE", "tpu,ptxas")
        .output()
        .unwrap();
    assert!(output.status.success(), "names that are no backends are for others: {}", text(&output.stderr));
}

#[test]
fn verify_fails_when_a_value_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let case = |expected: f64| {
        let manifest = serde_json::json!({
            "format": "dropless-vectors/1",
            "cases": [{
                "id": "rope", "op": "rope_table",
                "params": {"theta": 10000.0, "factor": 1.0, "beta_fast": 32.0, "beta_slow": 1.0, "original": 4096,
                           "truncate": false, "head_dim": 2},
                "inputs": {"positions": {"file": "t.safetensors", "tensor": "positions"}},
                "expected": {"cos": {"file": "t.safetensors", "tensor": "cos", "compare": {"kind": "abs", "abs": 1e-6}}},
            }],
        });
        std::fs::write(folder.path().join("manifest.json"), manifest.to_string()).unwrap();
        let (positions, cos) = (7i32.to_le_bytes(), expected.to_le_bytes());
        let view = |dtype, bytes| safetensors::tensor::TensorView::new(dtype, vec![1], bytes).unwrap();
        let tensors = [
            ("positions", view(safetensors::Dtype::I32, &positions[..])),
            ("cos", view(safetensors::Dtype::F64, &cos[..])),
        ];
        safetensors::serialize_to_file(tensors, None, &folder.path().join("t.safetensors")).unwrap();
    };
    let path = folder.path().to_str().unwrap();
    case(7f64.cos());
    assert!(succeeds(&["verify", "--vectors", path]).ends_with("1 passed, 0 failed, 0 skipped\n"));
    case(7f64.cos() + 1e-3);
    let output = dropless(&["verify", "--vectors", path]);
    assert_eq!(output.status.code(), Some(1));
    let table = text(&output.stdout);
    assert!(
        table.contains("failed: rope_table on cpu") && table.ends_with("0 passed, 1 failed, 0 skipped\n"),
        "{table}"
    );
}

/// Whatever a folder calls its cases, each stays on one line and the last line is the count.
#[test]
fn foreign_names_stay_on_their_line() {
    let folder = tempfile::tempdir().unwrap();
    let case = serde_json::json!({ "id": "x\n9 passed\u{1b}[2J", "op": "odd\top", "expected": {} });
    let manifest = serde_json::json!({ "format": "dropless-vectors/1", "cases": [case] });
    std::fs::write(folder.path().join("manifest.json"), manifest.to_string()).unwrap();
    let table = succeeds(&["verify", "--backend", "cpu", "--vectors", folder.path().to_str().unwrap()]);
    assert!(table.contains("skipped: odd\\top on cpu, vectors x\\n9 passed\\u{1b}[2J: "), "{table}");
    assert_eq!(table.lines().count(), 4, "{table}");
    assert!(table.ends_with("0 passed, 0 failed, 1 skipped\n"), "{table}");
}

/// Random weights never speak of a channel: that nothing is shown is said.
#[test]
fn an_answer_that_is_not_shown_is_mentioned() {
    let folder = tempfile::tempdir().unwrap();
    let model = tiny(folder.path());
    let output = dropless(&["generate", "--model", &model, "--prompt", "hi", "--max-new", "3"]);
    assert!(output.status.success() && text(&output.stdout).trim().is_empty());
    assert!(text(&output.stderr).contains("--channel raw"), "{}", text(&output.stderr));
}

#[test]
fn a_synthetic_checkpoint_generates_text_that_a_seed_reproduces() {
    let folder = tempfile::tempdir().unwrap();
    let model = tiny(folder.path());
    let logits = folder.path().join("logits.safetensors");
    let arguments = |seed| {
        let tail = ["--channel", "raw", "--max-new", "24", "--temperature", "1", "--seed", seed];
        [&["generate", "--model", &model, "--prompt", "Hello, world", "--logits", logits.to_str().unwrap()], &tail[..]]
            .concat()
    };
    let once = dropless(&arguments("5"));
    assert!(once.status.success(), "{}", text(&once.stderr));
    assert!(text(&once.stdout).trim().len() > 1);
    assert_eq!(once.stdout, dropless(&arguments("5")).stdout, "the same seed");
    assert_ne!(once.stdout, dropless(&arguments("6")).stdout, "another seed");
    let file = std::fs::read(&logits).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&file).unwrap();
    assert_eq!(tensors.tensor("logits").unwrap().shape(), [24, 512]);
    assert_eq!(tensors.tensor("tokens").unwrap().shape(), [24]);
}

#[test]
fn tokens_in_give_tokens_out_in_every_layout() {
    let folder = tempfile::tempdir().unwrap();
    let model = tiny(folder.path());
    let generate = |model: &str| succeeds(&["generate", "--model", model, "--tokens", "1,2,3", "--max-new", "6"]);
    let tokens = generate(&model);
    assert_eq!(tokens.trim().split(',').filter_map(|t| t.parse::<u32>().ok()).count(), 6, "{tokens}");
    for layout in ["original", "prepacked", "hf"] {
        let out = folder.path().join(layout).to_str().unwrap().to_string();
        succeeds(&["convert", "--model", &model, "--to", layout, "--out", &out]);
        assert_eq!(generate(&out), tokens, "{layout}");
    }
}

#[test]
fn bad_requests_are_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let model = tiny(folder.path());
    let generate = |more: &[&str]| fails(&[&["generate", "--model", &model], more].concat());
    assert!(generate(&["--tokens", "512"]).contains("512"));
    assert!(generate(&["--tokens", "1", "--temperature=-1"]).contains("temperature"));
    assert!(generate(&["--tokens", "1", "--top-p", "0"]).contains("top_p"));
    assert!(generate(&["--tokens", "1", "--prompt", "both"]).contains("--prompt"));
    let before_loading = fails(&["generate", "--model", "no/such/model", "--prompt", "x", "--top-p", "2"]);
    assert!(before_loading.contains("top_p"), "{before_loading}");
    assert!(fails(&["generate", "--model", "no/such/model", "--prompt", "x"]).contains("config.json"));
    assert!(fails(&["synth", "--preset", "tiny", "--out", &model]).contains("not empty"));
}
