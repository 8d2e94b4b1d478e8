//! Whatever a folder of vectors holds, judging it ends in words: never a panic, never a pass by accident.

use dropless::backend::HostBytes;
use dropless::testing::vectors::{Class, Vectors};
use dropless::testing::{Filter, Report, Status};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::OnceLock;

type Files = BTreeMap<String, HostBytes>;

fn bundled() -> &'static (Files, Value) {
    static BUNDLED: OnceLock<(Files, Value)> = OnceLock::new();
    BUNDLED.get_or_init(|| {
        let files = dropless_vectors::files().unwrap();
        let manifest = serde_json::from_slice(&files["manifest.json"]).unwrap();
        (files.into_iter().map(|(name, bytes)| (name, bytes.into())).collect(), manifest)
    })
}

/// A case of the bundled manifest.
fn case(id: &str) -> Value {
    let cases = bundled().1["cases"].as_array().unwrap();
    cases.iter().find(|c| c["id"] == id).unwrap().clone()
}

fn set_with(mut files: Files, cases: Vec<Value>) -> Result<Vectors, dropless::Error> {
    let manifest = json!({ "format": "dropless-vectors/1", "cases": cases });
    files.insert("manifest.json".into(), serde_json::to_vec(&manifest).unwrap().into());
    Vectors::from_memory(files)
}

fn run(vectors: &Vectors) -> Report {
    vectors.run(&Class::F32.cpu(), Class::F32, &Filter::default(), |_| {})
}

fn judge(case: Value) -> (Status, String) {
    let report = run(&set_with(bundled().0.clone(), vec![case]).unwrap());
    (report.rows[0].status, report.rows[0].message.clone())
}

/// Changes a case and says how it must end, and what its message must name.
fn ends(id: &str, change: impl Fn(&mut Value), status: Status, named: &str) {
    let mut changed = case(id);
    change(&mut changed);
    let (got, message) = judge(changed);
    assert!(got == status && message.contains(named), "{id}: {got} {message:?}, wanted {status} naming {named:?}");
}

#[test]
fn unknown_things_are_skipped_by_name() {
    let skipped = Status::Skipped;
    ends("swiglu/grid", |c| c["op"] = json!("swish"), skipped, "swish");
    ends("swiglu/grid", |c| c["params"]["gate_up"] = json!("zigzag"), skipped, "zigzag");
    ends("swiglu/grid", |c| c["expected"]["y"]["compare"] = json!({ "kind": "close" }), skipped, "close");
    ends("swiglu/grid", |c| c["expected"]["z"] = c["expected"]["y"].clone(), skipped, "`z`");
    ends("moe_route/ties", |c| c["params"]["tie"] = json!("random"), skipped, "random");
    ends("moe_route/ties", |c| c["params"]["score"] = json!("sigmoid"), skipped, "sigmoid");
    ends("flash_attn/decode_w8", |c| c["params"]["causal"] = json!(false), skipped, "window");
    ends("flash_attn/decode_w8", |c| c["params"]["alignment"] = json!("top_left"), skipped, "top_left");
    ends("flash_attn/decode_w8", |c| c["params"]["kv_layout"] = json!("ring"), skipped, "ring");
    ends("flash_attn/varlen_w0", |c| c["params"]["q_offsets"] = json!([0, 0, 0]), skipped, "q_offsets");
    ends("grouped_gemm/tiles", |c| c["params"]["weight_format"] = json!("nvfp4"), skipped, "nvfp4");
    ends("mxfp4/quantize_ocp", |c| c["params"]["rule"] = json!("stochastic"), skipped, "stochastic");
    ends("mxfp4/decode_random", |c| c["params"]["scale_bias"] = json!(128), skipped, "scale_bias");
    ends("rope_table/real", |c| c["params"]["concentration"] = json!("sqrt"), skipped, "sqrt");
    ends("tokenize/ordinary_0", |c| c["params"]["vocab_file_sha256"] = json!("00"), skipped, "SHA-256");
    ends("model_logits/hf_len1", |c| c["params"]["layout"] = json!("gguf"), skipped, "gguf");
}

#[test]
fn what_is_not_asked_is_ignored() {
    let passed = Status::Passed;
    ends("swiglu/grid", |c| c["colour"] = json!("blue"), passed, "");
    ends("swiglu/grid", |c| c["params"]["colour"] = json!([1, 2]), passed, "");
    ends("swiglu/grid", |c| c["inputs"]["extra"] = json!(7), passed, "");
    ends("swiglu/grid", |c| c["expected"]["z"] = json!({ "optional": true }), passed, "");
    let plain = json!({ "head_dim": 128, "theta": 1e4, "factor": 1 });
    ends("rope_table/plain128", |c| c["params"] = plain.clone(), passed, "");
}

#[test]
fn broken_cases_fail_in_words() {
    let failed = Status::Failed;
    ends("swiglu/grid", |c| c["inputs"]["gate_up"]["tensor"] = json!("nowhere"), failed, "nowhere");
    ends("swiglu/grid", |c| c["inputs"]["gate_up"]["file"] = json!("no.safetensors"), failed, "no.safetensors");
    ends("swiglu/grid", |c| c["inputs"] = json!({}), failed, "gate_up");
    ends("swiglu/grid", |c| c["params"] = json!({}), failed, "alpha");
    ends("swiglu/grid", |c| c["expected"] = json!(3), failed, "expected");
    ends("moe_route/ties", |c| c["params"]["T"] = json!(1_000_000), failed, "logits");
    ends("rope_table/real", |c| c["params"]["head_dim"] = json!(1_000_000_000), failed, "elements");
    ends("grouped_gemm/scatter", |c| c["params"]["out_rows"] = json!(2_000_000_000), failed, "elements");
    ends("flash_attn/varlen_w0", |c| c["params"]["q_lens"] = json!([1]), failed, "q_lens");
    ends("model_logits/hf_len7", |c| c["params"]["chunks"] = json!([1]), failed, "chunks");
    // Only the wrong tensor, of another shape.
    ends("rms_norm/moe_input", |c| c["expected"]["y"]["tensor"] = json!("rms.expected_f64"), failed, "y");
}

/// A tensor of no elements may have any other dimensions, and parameters any size: neither is computed with blindly.
#[test]
fn absurd_sizes_end_in_words() {
    let header = json!({
        "none": { "dtype": "F32", "shape": [0, 1u64 << 40, 1u64 << 40], "data_offsets": [0, 0] },
        "rows": { "dtype": "F32", "shape": [0, 4], "data_offsets": [0, 0] },
    });
    let header = header.to_string();
    let mut files = bundled().0.clone();
    files.insert("none.safetensors".into(), [&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat().into());
    let at = |tensor: &str| json!({ "file": "none.safetensors", "tensor": tensor });
    let mask = |kind: &str| json!({ "kind": kind, "abs": 0, "min_prefix": 9, "row_axis": 0, "row_mask": { "tensor": at("rows") } });
    let swiglu = |kind: &str| {
        let mut case = case("swiglu/grid");
        (case["id"], case["inputs"]["gate_up"], case["expected"]) =
            (json!(kind), at("rows"), json!({ "y": at("none") }));
        case["expected"]["y"]["compare"] = mask(kind);
        case
    };
    let mut transposed = case("grouped_gemm/single_row");
    let sizes = json!({ "E": 8e15, "K": 0, "N": 8e15, "weight_format": "bf16", "weight_layout": "ekn" });
    for (key, value) in sizes.as_object().unwrap() {
        transposed["params"][key] = value.clone();
    }
    transposed["inputs"]["w"] = at("none");
    let mut scatter = case("grouped_gemm/scatter");
    scatter["params"]["out_rows"] = json!(2_000_000_000);
    scatter["expected"]["y"]["rows"] = scatter["inputs"]["out_index"].clone();
    let cases = vec![swiglu("abs"), swiglu("prefix_equal"), transposed, scatter];
    let report = run(&set_with(files, cases).unwrap());
    let ends: Vec<(Status, &str)> = report.rows.iter().map(|r| (r.status, r.message.as_str())).collect();
    assert!(ends[..2].iter().all(|(status, _)| *status == Status::Passed), "no element is right: {ends:?}");
    assert!(ends[2].0 == Status::Failed && ends[2].1.contains("group_sizes"), "{ends:?}");
    assert!(ends[3].0 == Status::Skipped && ends[3].1.contains("elements"), "{ends:?}");
}

#[test]
fn files_stay_in_the_folder() {
    let dir = tempfile::tempdir().unwrap();
    let inside = dir.path().join("inside");
    std::fs::create_dir(&inside).unwrap();
    let bytes = bundled().0["ops/swiglu.safetensors"].as_slice();
    std::fs::write(dir.path().join("outside.safetensors"), bytes).unwrap();
    let absolute = dir.path().join("outside.safetensors").display().to_string();
    for name in ["../outside.safetensors", "x/../../outside.safetensors", absolute.as_str(), "..\\outside.safetensors"]
    {
        let mut case = case("swiglu/grid");
        case["inputs"]["gate_up"]["file"] = json!(name);
        case["expected"]["y"]["file"] = json!(name);
        let manifest = json!({ "format": "dropless-vectors/1", "cases": [case] });
        std::fs::write(inside.join("manifest.json"), manifest.to_string()).unwrap();
        let report = run(&Vectors::open(&inside).unwrap());
        assert_eq!(report.rows[0].status, Status::Failed, "{name}");
        assert!(report.rows[0].message.contains("leaves the folder"), "{}", report.rows[0].message);
    }
}

#[test]
fn manifests_that_are_none_are_refused() {
    let refused = |bytes: &[u8], named: &str| {
        let files = Files::from([("manifest.json".to_string(), bytes.to_vec().into())]);
        let error = Vectors::from_memory(files).err().expect(named).to_string();
        assert!(error.contains(named), "{error}");
    };
    refused(b"", "JSON");
    refused(b"[]", "format");
    refused(br#"{"format": "dropless-vectors/2", "cases": []}"#, "dropless-vectors/2");
    refused(br#"{"format": "dropless-vectors/1"}"#, "cases");
    refused(br#"{"format": "dropless-vectors/1", "cases": [1]}"#, "case 0");
    refused(br#"{"format": "dropless-vectors/1", "cases": [{"id": "a", "op": "b"}, {"id": "a", "op": "b"}]}"#, "\"a\"");
    let empty = std::env::temp_dir().join("dropless-no-such-folder");
    assert!(Vectors::open(&empty).err().expect("no folder").to_string().contains("manifest.json"));
}

/// Cases small enough to run a thousand times.
const SMALL: [&str; 14] = [
    "mxfp4/quantize_ocp",
    "mxfp4_repack/gguf_to_openai",
    "grouped_gemm/single_row",
    "grouped_gemm/scatter",
    "moe_route/ties",
    "moe_permute/ties",
    "flash_attn/empty_rows_causal_w0",
    "flash_attn/d128_causal_w5",
    "flash_attn/paged16_NHD_decode_w8",
    "rope_table/tiny",
    "rope_apply/half_split_f64_table",
    "rms_norm/moe_input",
    "moe_block/norm_and_residual",
    "model_logits/hf_len1",
];

/// Every place in a JSON value.
fn places(value: &Value, at: String, out: &mut Vec<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(k, v)| places(v, format!("{at}/{k}"), out)),
        Value::Array(list) => list.iter().enumerate().for_each(|(i, v)| places(v, format!("{at}/{i}"), out)),
        _ => {}
    }
    out.push(at);
}

fn odd_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        Just(json!([])),
        Just(json!({})),
        Just(json!("")),
        Just(json!(true)),
        Just(json!(-1)),
        Just(json!(0)),
        Just(json!(1.5)),
        Just(json!(u64::MAX)),
        Just(json!(1e300)),
        (0u32..300).prop_map(|n| json!(n)),
        prop::collection::vec(-3i64..400, 0..5).prop_map(|list| json!(list)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// One value of a manifest replaced by another: an end in words, whatever it is.
    #[test]
    fn any_value_of_a_case_may_be_anything(id in prop::sample::select(&SMALL[..]), at in any::<prop::sample::Index>(), value in odd_value()) {
        let mut case = case(id);
        let mut all = Vec::new();
        places(&case, String::new(), &mut all);
        let place = all.remove(at.index(all.len()));
        *case.pointer_mut(&place).unwrap() = value;
        if let Ok(vectors) = set_with(bundled().0.clone(), vec![case]) {
            let row = &run(&vectors).rows[0];
            prop_assert_eq!(row.message.is_empty(), row.status == Status::Passed, "{:?}", row);
        }
    }

    /// Bytes of a tensor file changed or cut off.
    #[test]
    fn any_byte_of_a_file_may_be_anything(id in prop::sample::select(&SMALL[..]), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>(), header in any::<bool>()) {
        let case = case(id);
        let input = case["inputs"].as_object().unwrap().values().next().unwrap();
        let name = input["file"].as_str().unwrap().to_string();
        let mut files = bundled().0.clone();
        let mut bytes = files[&name].as_slice().to_vec();
        let end = if header { bytes.len().min(2000) } else { bytes.len() };
        let at = at.index(end);
        if cut { bytes.truncate(at) } else { bytes[at] = byte }
        files.insert(name, bytes.into());
        let row = &run(&set_with(files, vec![case]).unwrap()).rows[0];
        prop_assert_eq!(row.message.is_empty(), row.status == Status::Passed, "{:?}", row);
    }
}

/// Numbers in JSON files are tensors too, and f64 that is exact in f32 is f32.
#[test]
fn inputs_may_come_from_json() {
    let mut files = bundled().0.clone();
    let numbers = json!({
        "x": [[1.0, -2.0, 0.5, 4.0]], "w": [1.0, 1.0, 1.0, 0.1], "ids": [[2, 0], [1, 2]], "sorted": [1, 2, 0, 3],
    });
    files.insert("numbers.json".into(), serde_json::to_vec(&numbers).unwrap().into());
    let at = |pointer: &str| json!({ "file": "numbers.json", "pointer": pointer });
    let permute = json!({
        "id": "ids", "op": "moe_permute", "inputs": { "topk_idx": at("/ids") },
        "params": { "T": 2, "E": 3, "top_k": 2, "order": "expert_then_assignment_id" },
        "expected": { "sorted_assignment": { "file": "numbers.json", "pointer": "/sorted", "compare": { "kind": "exact" } } },
    });
    let norm = json!({
        "id": "norm", "op": "rms_norm", "inputs": { "x": at("/x"), "weight": at("/w") }, "params": { "eps": 0.0 },
        "expected": { "y": { "file": "numbers.json", "pointer": "/x", "compare": { "kind": "abs", "abs": 0.1 } } },
    });
    let report = run(&set_with(files, vec![permute, norm]).unwrap());
    assert_eq!(report.rows[0].status, Status::Passed, "{}", report.rows[0].message);
    // 0.1 is not exact in f32.
    assert_eq!(report.rows[1].status, Status::Skipped);
    assert!(report.rows[1].message.contains("`weight`"), "{}", report.rows[1].message);
}
