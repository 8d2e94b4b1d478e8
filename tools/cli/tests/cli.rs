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
fn explain_names_the_kernel_the_others_and_the_roof_without_a_device() {
    let arguments = ["explain", "--op", "moe_block_from_logits", "--preset", "gpt-oss-20b", "--tokens", "64"];
    let arguments = [&arguments[..], &["--device", "h200"]].concat();
    let table = succeeds(&arguments);
    assert!(table.starts_with("moe_block_from_logits 20b, 64 tokens, cuda on NVIDIA H200\n"), "{table}");
    assert!(table.contains("\n  moe_dispatch: ") && table.contains("\n    not simt: "), "{table}");
    assert!(table.contains("memory binds (4657 GB/s") && table.contains("  predicted: "), "{table}");
    let json: serde_json::Value =
        serde_json::from_str(&succeeds(&[&arguments[..], &["--format", "json"]].concat())).unwrap();
    let kernels = json[0]["kernels"].as_array().unwrap();
    assert_eq!(kernels.len(), 3);
    assert!(kernels.iter().all(|k| k["variant"].is_string()), "{json}");
    assert!((json[0]["roof"]["us"].as_f64().unwrap() - 91.0).abs() < 1.0, "{json}");
    // Where the built-in measurements have the same kernel.
    let wide = ["explain", "--op", "flash_attn", "--case", "prefill full", "--tokens", "4096", "--device", "a100"];
    let json: serde_json::Value =
        serde_json::from_str(&succeeds(&[&wide[..], &["--format", "json"]].concat())).unwrap();
    let (us, roof) = (json[0]["predicted_us"].as_f64().unwrap(), json[0]["roof"]["us"].as_f64().unwrap());
    assert!(us > roof && us < 10.0 * roof, "{json}");
    // An older generation runs something else.
    let turing =
        succeeds(&["explain", "--op", "flash_attn", "--shape", "max_q_len=1,max_k_len=8192", "--device", "sm_75"]);
    assert!(turing.contains("not sm80_decode: needs sm_80 or later, this is sm_75"), "{turing}");
    assert!(succeeds(&["explain", "--backend", "cpu", "--op", "linear", "--tokens", "1"]).contains(": reference\n"));
}

#[test]
fn explain_takes_a_shape_of_every_op() {
    for (op, shape) in [
        (
            "grouped_gemm",
            "rows=256,n=5760,k=2880,experts=32,weights=tiled,bias=bf16,epilogue=swiglu,input_rows=64,divide=4",
        ),
        ("grouped_gemm", "rows=256,n=2880,k=2880,experts=32,tokens=64,top_k=4,local_first=8,local_count=8"),
        (
            "flash_attn",
            "sequences=3,max_q_len=7,max_k_len=100,window=128,page_size=16,layout=hnd,sinks=none,lse=with_sink",
        ),
        ("moe_dispatch", "tokens=64,experts=32,top_k=4"),
        ("moe_route", "tokens=64,experts=32,top_k=4,logits=bf16,score=renormalized"),
        ("moe_sort", "tokens=64,experts=32,top_k=4"),
        ("moe_permute", "tokens=64,top_k=4,dim=2880"),
        ("moe_combine", "tokens=64,top_k=4,dim=2880,out=f32"),
        ("kv_append", "tokens=64,page_size=16,slots=1024"),
        ("rope", "tokens=64,pairing=interleaved"),
        ("rms_norm", "rows=64,residual=true"),
        ("swiglu", "rows=64,swiglu=silu"),
        ("embedding", "tokens=64"),
        ("argmax", "rows=64"),
        ("mxfp4_prepack", "experts=128"),
    ] {
        let table = succeeds(&["explain", "--op", op, "--shape", shape, "--device", "sm_90"]);
        assert!(table.starts_with(&format!("{op}, cuda on NVIDIA H200\n")) && !table.contains("no variant"), "{table}");
    }
}

#[test]
fn rows_have_weights_in_the_layout_that_a_backend_is_fastest_with() {
    let hip = [
        "explain",
        "--backend",
        "hip",
        "--device",
        "mi300x",
        "--op",
        "moe_mlp1",
        "--preset",
        "gpt-oss-20b",
        "--tokens",
        "64",
    ];
    assert!(succeeds(&hip).contains("  grouped_gemm: mfma_decode\n"));
    let prepacked = succeeds(&[&hip[..], &["--weights", "prepacked"]].concat());
    assert!(prepacked.contains("not mfma_decode: multiplies bf16 by MXFP4 as OpenAI stores it"), "{prepacked}");
}

#[test]
fn explain_estimates_what_no_device_has_run() {
    let gemm =
        ["explain", "--op", "grouped_gemm", "--shape", "rows=4096,n=4096,k=4096,weights=bf16", "--backend", "hip"];
    let table = succeeds(&[&gemm[..], &["--device", "mi300x"]].concat());
    assert!(table.contains("hip on AMD Instinct MI300X") && table.contains("(estimated, not measured; "), "{table}");
    assert!(table.contains("of matrix peak in its main loop"), "{table}");
    let norm =
        succeeds(&["explain", "--op", "rms_norm", "--shape", "rows=4096", "--backend", "hip", "--device", "gfx950"]);
    assert!(norm.contains("MI355X") && norm.contains("of memory bandwidth in its main loop"), "{norm}");
}

#[test]
fn explain_says_what_it_does_not_know() {
    let shape = |op: &str, shape: &str| fails(&["explain", "--op", op, "--shape", shape]);
    let unknown = shape("moe_permute", "tokens=4,top_k=2,width=5");
    assert!(unknown.contains("has no \"width\"; it has tokens, top_k, dim, x"), "{unknown}");
    assert!(shape("moe_permute", "tokens=4").contains("needs top_k, dim"));
    assert!(shape("rms_norm", "rows=many").contains("rows must be a number, got \"many\""));
    assert!(shape("rms_norm", "rows=1,x=f8").contains("x must be one of bf16, f16, f32"));
    assert!(shape("rms_norm", "rows").contains("name=value"));
    assert!(shape("grouped_gemm", "rows=1,n=1,k=33").contains("multiple of the MXFP4 block"));
    assert!(shape("moe_mlp1", "rows=1").contains("grouped_gemm"));
    assert!(fails(&["explain", "--op", "grouped_gemm"]).contains("--shape"));
    assert!(fails(&["explain", "--op", "moe_mlp1", "--device", "h1000"]).contains("h200 (sm_90)"));
    assert!(fails(&["explain", "--op", "moe_mlp1", "--backend", "tpu"]).contains("there is no backend \"tpu\""));
    assert!(fails(&["explain", "--op", "moe_mlp1", "--backend", "metal"]).contains("there is no backend"));
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
fn verify_replays_the_cases_that_are_asked_for() {
    let arguments = ["verify", "--backend", "cpu", "--op", "flash_attn,moe_sort", "--case", "faulty", "--replay"];
    let table = succeeds(&arguments);
    assert!(table.contains("replays") && !table.contains("vectors"), "{table}");
    assert!(table.ends_with(" passed, 0 failed, 0 skipped\n"), "{table}");
    let json = succeeds(&[&arguments[..], &["--format", "json"]].concat());
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let rows = json["rows"].as_array().unwrap();
    assert!(rows.iter().all(|r| r["case"].as_str().unwrap().contains("faulty")), "{json}");
    for op in ["flash_attn", "moe_sort"] {
        assert!(rows.iter().any(|r| r["op"] == op), "{json}");
    }
}

#[test]
fn verify_says_what_it_cannot_do() {
    assert!(fails(&["verify", "--backend", "tpu"]).contains("there is no backend \"tpu\""));
    assert!(fails(&["verify", "--op", "no_such_op"]).contains("no_such_op"));
    assert!(fails(&["verify", "--op", "rope_table,no_such_op"]).contains("name: no_such_op"));
    let unknown = ["verify", "--backend", "cpu", "--op", "rms_norm", "--variant", "no_such_variant"];
    let words = fails(&unknown);
    assert!(words.contains("no_such_variant") && words.contains("sm75") && !words.contains("two_launches"), "{words}");
    assert!(fails(&["verify", "--backend", "cpu", "--case", "no_such_case"]).contains("no_such_case"));
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
    assert!(succeeds(&["verify", "--backend", "cpu", "--vectors", path]).ends_with("1 passed, 0 failed, 0 skipped\n"));
    case(7f64.cos() + 1e-3);
    let output = dropless(&["verify", "--backend", "cpu", "--vectors", path]);
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
