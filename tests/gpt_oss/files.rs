//! Checkpoints written and read back.

use crate::common::{F32, VECTORS};
use dropless::Cpu;
use dropless::gpt_oss::convert::{MAX_SHARD, convert};
use dropless::gpt_oss::{
    Checkpoint, Config, Layout, Model, Request, Sampling, Specials, Stop, TextStream, Tokenizer, generate, synth,
};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

/// Every tensor of a folder by name: type, shape, bytes.
fn tensors(dir: &Path) -> BTreeMap<String, (String, Vec<usize>, Vec<u8>)> {
    let checkpoint = Checkpoint::open(dir).unwrap();
    let names = checkpoint.names();
    let read = |name: &String| {
        let tensor = checkpoint.tensor(name).unwrap().unwrap();
        (name.clone(), (tensor.dtype.to_string(), tensor.shape.clone(), tensor.bytes.as_slice().to_vec()))
    };
    names.iter().map(read).collect()
}

fn bundled(layout: Layout, dir: &Path) {
    std::fs::create_dir(dir).unwrap();
    for name in ["config.json", "model.safetensors"] {
        std::fs::write(dir.join(name), &VECTORS[&format!("tiny-{layout}/{name}")]).unwrap();
    }
}

#[test]
fn layouts_convert_into_each_other() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    for layout in [Layout::Hf, Layout::Original] {
        bundled(layout, &at(&layout.to_string()));
    }
    let steps = [
        ("hf", Layout::Prepacked, "a", None),
        ("a", Layout::Original, "b", Some("original")),
        ("b", Layout::Hf, "c", Some("hf")),
        ("original", Layout::Prepacked, "d", Some("a")),
        ("d", Layout::Hf, "e", Some("hf")),
        ("hf", Layout::Original, "f", Some("original")),
        ("original", Layout::Original, "g", Some("original")),
    ];
    for (from, layout, to, same_as) in steps {
        let mut last = None;
        convert(&at(from), layout, &at(to), 300_000, &mut |p| last = Some(p)).unwrap();
        let last = last.unwrap();
        assert_eq!(last.done, last.total);
        assert!(at(to).join("model.safetensors.index.json").is_file(), "small shards need an index");
        let opened = Checkpoint::open(&at(to)).unwrap();
        assert_eq!(opened.layout(), layout);
        assert_eq!(opened.config(), Checkpoint::open(&at(from)).unwrap().config());
        if let Some(same) = same_as {
            assert_eq!(tensors(&at(to)), tensors(&at(same)), "{from} -> {to}");
        }
    }
    assert!(!at("a.partial").exists());
}

#[test]
fn prepacked_computes_the_same() {
    let root = tempfile::tempdir().unwrap();
    let (hf, packed) = (root.path().join("hf"), root.path().join("packed"));
    bundled(Layout::Hf, &hf);
    convert(&hf, Layout::Prepacked, &packed, MAX_SHARD, &mut |_| {}).unwrap();
    let run = |dir: &Path| {
        let mut model = Model::load(Arc::new(Cpu::new()), &Checkpoint::open(dir).unwrap(), &F32, &mut |_| {}).unwrap();
        let mut session = model.session().unwrap();
        model.forward(&mut session, &[1, 2, 3], dropless::gpt_oss::Forward::LAST).unwrap().to_f64()
    };
    assert_eq!(run(&hf), run(&packed));
}

#[test]
fn a_synthetic_model_speaks() {
    let root = tempfile::tempdir().unwrap();
    let (one, two) = (root.path().join("new").join("one"), root.path().join("two"));
    let config = Config::preset("tiny").unwrap();
    synth(&config, &one, 7, &mut |_| {}).unwrap();
    std::fs::create_dir(&two).unwrap();
    synth(&config, &two, 7, &mut |_| {}).unwrap();
    assert_eq!(tensors(&one), tensors(&two), "a seed reproduces");
    let checkpoint = Checkpoint::open(&one).unwrap();
    assert_eq!(checkpoint.config(), &config);

    let tokenizer = Tokenizer::open(&one, config.vocab).unwrap();
    for id in 0..config.vocab as u32 {
        assert!(!tokenizer.token_bytes(id).unwrap().is_empty(), "token {id}");
    }
    for text in ["Hello, world! the then", "<|start|>", "naïve 日本語 😀\n\t\0"] {
        let ids = tokenizer.encode(text, Specials::AsText).unwrap();
        assert!(ids.iter().all(|id| !tokenizer.is_special(*id)));
        assert_eq!(tokenizer.decode(&ids), text);
    }
    assert_eq!(
        tokenizer.encode("a<|start|>", Specials::Parse).unwrap().last(),
        tokenizer.special("<|start|>").as_ref()
    );
    let merged = tokenizer.encode("the other", Specials::AsText).unwrap();
    assert!(merged.len() < 9, "pairs are merged: {merged:?}");

    let mut model = Model::load(Arc::new(Cpu::new()), &checkpoint, &F32, &mut |_| {}).unwrap();
    let prompt = tokenizer.encode("Once upon a time", Specials::Parse).unwrap();
    let mut run = |seed| {
        let sampling = Sampling::Draw { temperature: 1.0, top_p: 0.95, seed };
        let request = Request { prompt: &prompt, max_new: 24, sampling, stop: &config.eos, logits: true };
        let (mut text, mut stream, mut count) = (String::new(), TextStream::default(), 0);
        let mut session = model.session().unwrap();
        let stop = generate(&mut model, &mut session, &request, &mut |step| {
            assert!(step.logits.unwrap().to_f64().iter().all(|l| l.abs() < 30.0), "activations stay sane");
            text += &stream.push(&tokenizer, step.token);
            count += 1;
            ControlFlow::Continue(())
        });
        assert_eq!((stop.unwrap(), count), (Stop::MaxNew, 24));
        text + &stream.finish()
    };
    let first = run(1);
    assert!(!first.is_empty());
    assert_eq!(first, run(1));
    assert_ne!(first, run(2));
}

#[test]
fn nothing_is_overwritten_and_nothing_half_done_stays() {
    let root = tempfile::tempdir().unwrap();
    let config = Config::preset("tiny").unwrap();
    let full = root.path().join("full");
    std::fs::create_dir(&full).unwrap();
    std::fs::write(full.join("mine"), b"x").unwrap();
    let error = synth(&config, &full, 0, &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("not empty"), "{error}");
    let error = synth(&config, &full.join("mine"), 0, &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("not a folder"), "{error}");

    // A failure midway (config.json cannot be written: something else has its name) leaves nothing.
    let out = root.path().join("out");
    let partial = root.path().join("out.partial");
    let mut spoil = |_| std::fs::create_dir_all(partial.join("config.json")).unwrap();
    assert!(synth(&config, &out, 0, &mut spoil).is_err());
    assert!(!out.exists() && !partial.exists());

    // A damaged source fails before anything is written.
    let source = root.path().join("source");
    bundled(Layout::Hf, &source);
    let bytes = &VECTORS["tiny-hf/model.safetensors"];
    std::fs::write(source.join("model.safetensors"), &bytes[..bytes.len() - 1]).unwrap();
    assert!(convert(&source, Layout::Original, &out, MAX_SHARD, &mut |_| {}).is_err());
    assert!(!out.exists() && !partial.exists());

    std::fs::create_dir(&partial).unwrap();
    let error = synth(&config, &out, 0, &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("interrupted"), "{error}");
}

#[test]
fn presets_have_the_published_sizes() {
    for (name, layers, experts, billions) in [("gpt-oss-20b", 24, 32, 20.9), ("gpt-oss-120b", 36, 128, 116.8)] {
        let c = Config::preset(name).unwrap();
        assert_eq!((c.layers, c.experts, c.hidden, c.vocab), (layers, experts, 2880, 201088));
        let attention = 2 * c.hidden * (c.q_heads + c.kv_heads) * c.head_dim;
        let expert = 3 * c.hidden * c.intermediate;
        let parameters = c.layers * (attention + c.experts * expert) + 2 * c.vocab * c.hidden;
        assert!((parameters as f64 / 1e9 - billions).abs() < 0.1, "{name}: {parameters}");
    }
}
