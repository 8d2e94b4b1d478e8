//! Random damage to every file of a checkpoint: an error or a model that runs, never a panic.

use crate::common::{config, config_json, parse_config, weights};
use dropless::gpt_oss::safetensors::SafetensorsFile;
use dropless::gpt_oss::{Checkpoint, Config, Forward, Layout, Model, Options, Tokenizer, convert, synth};
use dropless::{Cpu, DType, Error};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::{Arc, LazyLock};

/// Overwrites, inserts or removes bytes within the first `within`.
fn damage(bytes: &[u8], within: usize, changes: &[(usize, u8, u8)]) -> Vec<u8> {
    let mut out = bytes.to_vec();
    for (at, byte, kind) in changes {
        let at = at % within.min(out.len()).max(1);
        match kind % 8 {
            0 => out.insert(at, *byte),
            1 if !out.is_empty() => drop(out.remove(at)),
            2 => out.truncate(at),
            _ => out.iter_mut().skip(at).take(1).for_each(|b| *b = *byte),
        }
    }
    out
}

fn changes() -> impl Strategy<Value = Vec<(usize, u8, u8)>> {
    // Mostly digits and JSON's own characters: they keep the text JSON more often.
    let byte = prop_oneof![prop::sample::select(b"0123456789-.,:[]{}\"e ".as_slice()), any::<u8>()];
    prop::collection::vec((any::<usize>(), byte, any::<u8>()), 1..4)
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<i64>().prop_map(|n| json!(n)),
        (0..600u64).prop_map(|n| json!(n)),
        any::<f64>().prop_map(|x| json!(x)),
        "[a-z_]{0,20}".prop_map(|s| json!(s)),
        prop::collection::vec(0..600u64, 0..6).prop_map(|v| json!(v)),
        prop::sample::select(vec![Value::Null, json!(true), json!({}), json!("yarn"), json!("full_attention")]),
    ]
}

/// If the files make a checkpoint, it must run.
fn run(config: Config, layout: Layout, bytes: Vec<u8>) -> Result<(), Error> {
    let file = SafetensorsFile::parse(Path::new("model.safetensors"), bytes.into())?;
    run_checkpoint(&Checkpoint::from_files(config, layout, vec![file])?)
}

fn run_checkpoint(checkpoint: &Checkpoint) -> Result<(), Error> {
    let options = Options {
        activations: DType::F32,
        kv: None,
        max_context: 8,
        max_chunk: 4,
        max_sequences: 1,
        published_experts: false,
    };
    let mut model = Model::load(Arc::new(Cpu::new()), checkpoint, &options, &mut |_| {})?;
    let mut session = model.session()?;
    model.forward(&mut session, &[1, 2], Forward::LAST).map(drop)
}

/// A folder with a sharded synthetic checkpoint and its tokenizer.
static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let root = tempfile::tempdir().unwrap();
    synth(&Config::preset("tiny").unwrap(), &root.path().join("one"), 1, &mut |_| {}).unwrap();
    convert(&root.path().join("one"), Layout::Hf, &root.path().join("shards"), 900_000, &mut |_| {}).unwrap();
    root
});

/// What is damaged below does run when it is whole.
#[test]
fn undamaged_files_run() {
    for layout in [Layout::Hf, Layout::Original] {
        run(config(layout), layout, weights(layout).to_vec()).unwrap();
    }
    run_checkpoint(&Checkpoint::open(&FOLDER.path().join("shards")).unwrap()).unwrap();
    Tokenizer::from_file(&FOLDER.path().join("one/tokenizer.json")).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_headers(changes in changes(), original in any::<bool>()) {
        let layout = if original { Layout::Original } else { Layout::Hf };
        let bytes = weights(layout);
        let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize + 8;
        let _ = run(config(layout), layout, damage(bytes, header, &changes));
    }

    #[test]
    fn damaged_configs(changes in changes(), original in any::<bool>()) {
        let layout = if original { Layout::Original } else { Layout::Hf };
        let text = config_json(layout).to_string();
        let damaged = damage(text.as_bytes(), usize::MAX, &changes);
        if let Ok(config) = Config::parse(Path::new("config.json"), &damaged) {
            let _ = run(config, layout, weights(layout).to_vec());
        }
    }

    #[test]
    fn other_values_in_configs(fields in prop::collection::vec((any::<prop::sample::Index>(), value()), 1..3), inner in any::<bool>()) {
        let mut json = config_json(Layout::Hf);
        for (field, value) in fields {
            let object = if inner { &mut json["rope_scaling"] } else { &mut json };
            if let Some(object) = object.as_object_mut() {
                let keys: Vec<String> = object.keys().cloned().collect();
                object.insert(field.get(&keys).clone(), value);
            }
        }
        if let Ok(config) = parse_config(&json) {
            let _ = config.to_json(Layout::Original);
            let _ = run(config, Layout::Hf, weights(Layout::Hf).to_vec());
        }
    }

    #[test]
    fn damaged_indices(changes in changes()) {
        let dir = FOLDER.path().join("shards");
        let good = std::fs::read(dir.join("model.safetensors.index.json")).unwrap();
        let copy = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(&dir).unwrap() {
            let entry = entry.unwrap();
            std::fs::hard_link(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
        let index = copy.path().join("model.safetensors.index.json");
        std::fs::remove_file(&index).unwrap();
        std::fs::write(&index, damage(&good, usize::MAX, &changes)).unwrap();
        let _ = Checkpoint::open(copy.path()).and_then(|c| run_checkpoint(&c));
    }

    #[test]
    fn damaged_tokenizers(changes in changes()) {
        let good = std::fs::read(FOLDER.path().join("one/tokenizer.json")).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), damage(&good, usize::MAX, &changes)).unwrap();
        if let Ok(tokenizer) = Tokenizer::from_file(file.path()) {
            let ids = tokenizer.encode("the <|end|> 日", dropless::gpt_oss::Specials::Parse);
            tokenizer.decode(&ids.unwrap_or_default());
        }
    }
}
