//! `model_logits`, `model_hidden` and `model_greedy` of the format.

use super::case::{Case, Params, Stop, fail, skip};
use super::moe_ops::{score, swiglu_params};
use super::small_ops::PAIRINGS;
use super::values::Values;
use super::{Actual, Runner, host_ops};
use crate::backend::Replay;
use crate::dtype::DType;
use crate::gpt_oss::checkpoint::names::Part;
use crate::gpt_oss::{Checkpoint, Config, Forward, Layout, Logits, Model, Options};
use crate::host::HostTensor;
use crate::kernel::AllOps;

/// The dimensions in `params.model`; config.json beside the weights says the same.
fn config(p: &Params<'_>, layout: Layout, context: usize) -> Result<Config, Stop> {
    let model = p.inner("model")?;
    let rope = model.inner("rope")?;
    model.only("qkv", if layout == Layout::Hf { "separate" } else { "concatenated" })?;
    let config = Config {
        layers: model.count("layers")?,
        hidden: model.count("hidden")?,
        intermediate: model.count("intermediate")?,
        experts: model.count("experts")?,
        top_k: model.count("top_k")?,
        vocab: model.count("vocab")?,
        q_heads: model.count("num_q_heads")?,
        kv_heads: model.count("num_kv_heads")?,
        head_dim: model.count("head_dim")?,
        sm_scale: model.number("sm_scale")?,
        rms_eps: model.number("rms_eps")?,
        layer_windows: model.counts("layer_windows")?,
        rope: host_ops::yarn(&rope)?,
        pairing: rope.one_of("pairing", &PAIRINGS)?,
        swiglu: swiglu_params(&model.inner("swiglu")?)?,
        score: score(&model)?,
        tied_head: model.flag("tied_head")?,
        max_context: context.max(1),
        eos: Vec::new(),
    };
    match config.check() {
        Ok(()) => Ok(config),
        Err(e) => skip(e.to_string()),
    }
}

/// A model, its prompt, and how the prompt is fed.
struct Setup<B: Replay + AllOps> {
    model: Model<B>,
    tokens: Vec<u32>,
}

fn setup<B: Replay + AllOps>(
    run: &Runner<'_, B>,
    case: &Case<'_>,
    p: &Params<'_>,
    steps: usize,
    most_chunk: usize,
) -> Result<Setup<B>, Stop> {
    let layout = p.one_of("layout", &[("hf", Layout::Hf), ("original", Layout::Original)])?;
    let mut tokens = Vec::new();
    for token in case.i32s("tokens")? {
        match u32::try_from(token) {
            Ok(id) => tokens.push(id),
            Err(_) => return fail(format!("token id {token}")),
        }
    }
    let context = tokens.len().saturating_add(steps);
    let config = config(p, layout, context)?;
    let file = case.files.open_safetensors(case.whole_file("checkpoint")?)?;
    for part in Part::all(&config, layout) {
        let (name, (dtype, _)) = (part.name(layout), part.shape(&config));
        match file.get(&name) {
            Ok(Some(t)) if t.dtype != dtype => return skip(format!("{name} is {}, the loader takes {dtype}", t.dtype)),
            Err(e) => return skip(e.to_string()),
            _ => {}
        }
    }
    let checkpoint = Checkpoint::from_files(config, layout, vec![file])?;
    let options = Options {
        activations: run.class.out(),
        kv: None,
        max_context: context.max(1),
        max_chunk: most_chunk.clamp(1, context.max(1)),
        max_sequences: 1,
        published_experts: false,
    };
    let model = Model::load(run.backend.clone(), &checkpoint, &options, &mut |_| {})?;
    Ok(Setup { model, tokens })
}

/// `model_logits` and `model_hidden`: logits at every position, and every intermediate result that is expected.
pub(super) fn prefill<B: Replay + AllOps>(run: &Runner<'_, B>, case: &Case<'_>) -> Result<Actual, Stop> {
    let p = case.params()?;
    let chunks = p.counts("chunks")?;
    let forced = match p.one_of("routing", &[("free", false), ("forced", true)])? {
        true => Some(case.i32s("routing")?),
        false => None,
    };
    let Setup { mut model, tokens } = setup(run, case, &p, 0, chunks.iter().copied().max().unwrap_or(0))?;
    if chunks.iter().try_fold(0usize, |n, c| n.checked_add(*c)) != Some(tokens.len()) {
        return fail(format!("chunks {chunks:?} are not {} tokens", tokens.len()));
    }
    let (top_k, layers) = (model.config().top_k, model.config().layers);
    if forced.as_ref().is_some_and(|f| Some(f.len()) != (layers * top_k).checked_mul(tokens.len())) {
        return fail("`routing` is not [layers, tokens, top_k]");
    }
    let mut roles: Vec<(String, Vec<HostTensor>)> = Vec::new();
    let mut add = |name: &str, tensor: HostTensor| match roles.iter_mut().find(|(n, _)| n == name) {
        Some((_, list)) => list.push(tensor),
        None => roles.push((name.to_string(), vec![tensor])),
    };
    let mut session = model.session()?;
    let mut at = 0;
    for chunk in chunks.into_iter().filter(|c| *c > 0) {
        let rows = at * top_k..(at + chunk) * top_k;
        let routing: Option<Vec<i32>> = forced.as_ref().map(|all| {
            let of_layer = all.chunks_exact(tokens.len() * top_k);
            of_layer.flat_map(|layer| &layer[rows.clone()]).copied().collect()
        });
        let mut record = |name: &str, tensor: HostTensor| {
            if case.wants(name) {
                add(name, tensor);
            }
        };
        let want = Forward {
            logits: Logits::All,
            routing: routing.as_deref(),
            record: (case.text("op") == "model_hidden").then_some(&mut record),
        };
        let logits = model.forward(&mut session, &tokens[at..at + chunk], want)?;
        add("logits", logits);
        at += chunk;
    }
    Ok(roles.into_iter().map(|(name, pieces)| (name, concatenated(&pieces))).collect())
}

/// Pieces of one tensor, one after the other along the first axis.
fn concatenated(pieces: &[HostTensor]) -> Values {
    let mut out = Values { shape: Vec::new(), data: Vec::new(), dtype: None };
    for piece in pieces {
        let rows = out.shape.first().copied().unwrap_or(0) + piece.shape.first().copied().unwrap_or(0);
        out.shape.clone_from(&piece.shape);
        if let Some(first) = out.shape.first_mut() {
            *first = rows;
        }
        out.dtype = Some(piece.dtype);
        out.data.extend(piece.to_f64());
    }
    out
}

/// `model_greedy`: the most likely token, fed back.
pub(super) fn greedy<B: Replay + AllOps>(run: &Runner<'_, B>, case: &Case<'_>) -> Result<Actual, Stop> {
    let p = case.params()?;
    p.only("routing", "free")?;
    let steps = p.count("steps")?;
    case.expect_len("tokens", Some(steps))?;
    let prompt = case.i32s("tokens")?.len();
    let Setup { mut model, tokens } = setup(run, case, &p, steps, prompt)?;
    let mut session = model.session()?;
    let (mut feed, mut ids, mut logits) = (tokens, Vec::new(), Vec::new());
    for _ in 0..steps {
        let row = model.forward(&mut session, &feed, Forward::LAST)?;
        let values = row.to_f64();
        let best = (1..values.len()).fold(0, |best, i| if values[i] > values[best] { i } else { best });
        feed = vec![best as u32];
        ids.push(best as f64);
        logits.push(row);
    }
    let ids = Values { shape: vec![ids.len()], data: ids, dtype: Some(DType::I32) };
    Ok(vec![("tokens".into(), ids), ("logits".into(), concatenated(&logits))])
}
