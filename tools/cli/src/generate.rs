//! `dropless generate`: text or tokens in, text or tokens out.

use crate::backends::{self, Choice, CudaArgs};
use crate::output;
use anyhow::{Context, anyhow};
use clap::ValueEnum;
use dropless::gpt_oss::generate::{Request, Sampler, Sampling, generate};
use dropless::gpt_oss::harmony::{AnswerReader, Effort, Show, Turn};
use dropless::gpt_oss::tokenizer::{Specials, Tokenizer};
use dropless::gpt_oss::{Checkpoint, Model, Options};
use dropless::kernel::AllOps;
use dropless::{Cpu, DType, Hip, HostTensor, Replay, Wgpu};
use std::io::{IsTerminal, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

#[derive(clap::Args)]
#[command(group(clap::ArgGroup::new("input").required(true).args(["prompt", "tokens"])))]
pub struct Args {
    /// Folder of the checkpoint: config.json, safetensors, tokenizer.json
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// Backend to run on
    #[arg(long, default_value = "cpu")]
    backend: String,
    #[command(flatten)]
    cuda: CudaArgs,
    /// What to say to the model
    #[arg(long, value_name = "TEXT")]
    prompt: Option<String>,
    /// Tokens to continue, as they are; unless --channel says otherwise, tokens are printed too
    #[arg(long, value_delimiter = ',', value_name = "IDS")]
    tokens: Vec<u32>,
    /// Instructions put before the prompt
    #[arg(long, value_name = "TEXT", conflicts_with = "tokens")]
    system: Option<String>,
    /// How long to think
    #[arg(long, value_enum, default_value_t = EffortName::Medium)]
    effort: EffortName,
    /// Most tokens to generate
    #[arg(long, value_name = "N", default_value_t = 256)]
    max_new: usize,
    /// What to show; raw: the prompt verbatim, no chat around it, and all text [default: final]
    #[arg(long, value_enum)]
    channel: Option<Channel>,
    /// Type of the KV cache: f32, bf16, f16 or f8e4m3 [default: that of activations, f32 on cpu, bf16 elsewhere]
    #[arg(long, value_name = "TYPE", value_parser = backends::cache_type)]
    kv: Option<DType>,
    /// Leave the experts of a published checkpoint in its own layout, where they would become tiles while they are loaded
    #[arg(long)]
    published_experts: bool,
    /// Seed of the draws
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Temperature; 0 takes the most likely token
    #[arg(long, value_name = "T", default_value_t = 0.0)]
    temperature: f64,
    /// Draw among the most likely tokens that together reach this probability
    #[arg(long, value_name = "P", default_value_t = 1.0)]
    top_p: f64,
    /// Write the logits each token was chosen from to this safetensors file: tokens i32 [n], logits f32 [n, vocab]
    #[arg(long, value_name = "FILE")]
    logits: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Channel {
    Final,
    All,
    Raw,
}

#[derive(Clone, Copy, ValueEnum)]
enum EffortName {
    Low,
    Medium,
    High,
}

/// Tokens in one call of the layers: bounds the memory of activations. A device needs many to be busy.
const CPU_CHUNK: usize = 128;
const DEVICE_CHUNK: usize = 8192;

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let choice = backends::one(&args.backend)?;
    args.cuda.check(&[choice])?;
    match choice {
        Choice::Cpu => run_on(Cpu::new(), DType::F32, CPU_CHUNK, args),
        Choice::Hip => run_on(Hip::new(0)?, DType::Bf16, DEVICE_CHUNK, args),
        Choice::Wgpu => run_on(Wgpu::new(0)?, DType::Bf16, DEVICE_CHUNK, args),
        Choice::Cuda => run_on(args.cuda.open()?, DType::Bf16, DEVICE_CHUNK, args),
    }
}

fn run_on<B: Replay + AllOps>(backend: B, activations: DType, chunk: usize, args: &Args) -> anyhow::Result<ExitCode> {
    let sampling = Sampling::Draw { temperature: args.temperature, top_p: args.top_p, seed: args.seed };
    // Bad parameters are refused before the model is loaded for minutes.
    Sampler::new(sampling)?;
    let checkpoint = Checkpoint::open(&args.model)?;
    let (vocab, eos) = (checkpoint.config().vocab, checkpoint.config().eos.clone());
    let as_text = args.tokens.is_empty() || args.channel.is_some();
    let tokenizer = if as_text { Some(Tokenizer::open(&args.model, vocab)?) } else { None };
    let prompt = prompt(args, tokenizer.as_ref())?;
    let max_context = prompt.len().saturating_add(args.max_new);
    let max_chunk = chunk.min(prompt.len().max(1));
    let options = Options {
        activations,
        kv: args.kv,
        max_context,
        max_chunk,
        max_sequences: 1,
        published_experts: args.published_experts,
    };
    let bar = output::progress_bar(false);
    let mut model = Model::load(Arc::new(backend), &checkpoint, &options, &mut |p| {
        bar.set_length(p.total);
        bar.set_position(p.done);
    })?;
    bar.finish_and_clear();

    let mut session = model.session()?;
    let request =
        Request { prompt: &prompt, max_new: args.max_new, sampling, stop: &eos, logits: args.logits.is_some() };
    let mut printer = Printer::new(tokenizer.as_ref(), args.channel);
    let mut record = Record::default();
    let mut failure = None;
    let started = Instant::now();
    generate(&mut model, &mut session, &request, &mut |step| {
        if let (Some(_), Some(logits)) = (&args.logits, step.logits) {
            record.push(step.token, logits);
        }
        match printer.push(step.token) {
            Ok(()) => ControlFlow::Continue(()),
            Err(e) => {
                failure = Some(e);
                ControlFlow::Break(())
            }
        }
    })?;
    // The logits first: whoever closed the pipe may still want the file.
    if let Some(path) = &args.logits {
        record.save(path, vocab)?;
    }
    failure.map_or_else(|| printer.finish(), Err)?;
    let mut notes = std::io::stderr();
    if printer.count > 0 && !printer.shown {
        let words =
            "tokens came, none of them in a channel that is shown: --channel raw shows all, --max-new allows more";
        writeln!(notes, "{} {words}", printer.count)?;
    }
    if notes.is_terminal() {
        let rate = printer.count as f64 / started.elapsed().as_secs_f64();
        writeln!(notes, "{} tokens after {}, {rate:.2} tokens/s", printer.count, prompt.len())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn prompt(args: &Args, tokenizer: Option<&Tokenizer>) -> anyhow::Result<Vec<u32>> {
    let (Some(text), Some(tokenizer)) = (&args.prompt, tokenizer) else { return Ok(args.tokens.clone()) };
    if args.channel == Some(Channel::Raw) {
        return Ok(tokenizer.encode(text, Specials::Parse)?);
    }
    let effort = match args.effort {
        EffortName::Low => Effort::Low,
        EffortName::Medium => Effort::Medium,
        EffortName::High => Effort::High,
    };
    let turn = Turn { instructions: args.system.as_deref(), user: text, effort, date: None };
    let words = "the chat format does not fit this tokenizer; --channel raw takes the prompt as it is";
    turn.encode(tokenizer).context(words)
}

/// Streams tokens to standard output: as text, or as ids where there is no reader.
struct Printer<'a> {
    reader: Option<AnswerReader<'a>>,
    count: usize,
    /// Some text was printed.
    shown: bool,
}

impl<'a> Printer<'a> {
    fn new(tokenizer: Option<&'a Tokenizer>, channel: Option<Channel>) -> Self {
        let show = match channel {
            None | Some(Channel::Final) => Show::Final,
            Some(Channel::All) => Show::All,
            Some(Channel::Raw) => Show::Raw,
        };
        Printer { reader: tokenizer.map(|t| AnswerReader::new(t, show)), count: 0, shown: false }
    }

    fn push(&mut self, token: u32) -> std::io::Result<()> {
        let comma = if self.count == 0 { "" } else { "," };
        self.count += 1;
        let text = self.reader.as_mut().map_or_else(|| format!("{comma}{token}"), |r| r.push(token));
        self.shown |= !text.is_empty();
        write_now(&text)
    }

    fn finish(&mut self) -> std::io::Result<()> {
        let rest = self.reader.as_mut().map(AnswerReader::finish).unwrap_or_default();
        self.shown |= !rest.is_empty();
        write_now(&(rest + "\n"))
    }
}

fn write_now(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Logits of every generated token.
#[derive(Default)]
struct Record {
    tokens: Vec<u8>,
    logits: Vec<u8>,
}

impl Record {
    fn push(&mut self, token: u32, logits: &HostTensor) {
        self.tokens.extend(token.to_le_bytes());
        self.logits.extend(logits.to_f64().iter().flat_map(|l| (*l as f32).to_le_bytes()));
    }

    fn save(&self, path: &std::path::Path, vocab: usize) -> anyhow::Result<()> {
        use safetensors::tensor::{Dtype, TensorView};
        let n = self.tokens.len() / 4;
        let tokens = TensorView::new(Dtype::I32, vec![n], &self.tokens)?;
        let logits = TensorView::new(Dtype::F32, vec![n, vocab], &self.logits)?;
        safetensors::serialize_to_file([("tokens", tokens), ("logits", logits)], None, path)
            .map_err(|e| anyhow!("cannot write {}: {e}", path.display()))
    }
}
