//! The chat format of gpt-oss: how a turn is put to the model, and how its answer is read.
//!
//! A message is `<|start|>role<|channel|>channel<|message|>text<|end|>`. The model thinks in the channel `analysis`, calls
//! tools in `commentary` and answers in `final`; `<|return|>` ends the answer, `<|call|>` a tool call.

use super::tokenizer::{Specials, TextStream, Tokenizer};
use crate::error::Error;
use std::fmt;

/// How long the model thinks before it answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Effort {
    /// Little.
    Low,
    /// Some.
    #[default]
    Medium,
    /// A lot.
    High,
}

impl fmt::Display for Effort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Effort::Low => "low",
            Effort::Medium => "medium",
            Effort::High => "high",
        })
    }
}

/// One turn: what the user says, and what the application says before.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Turn<'a> {
    /// The application's instructions ("system prompt"), which harmony puts in a developer message.
    pub instructions: Option<&'a str>,
    /// The user's words.
    pub user: &'a str,
    /// How long to think.
    pub effort: Effort,
    /// Today, as 2025-08-05; left out where unknown.
    pub date: Option<&'a str>,
}

const IDENTITY: &str = "You are ChatGPT, a large language model trained by OpenAI.\nKnowledge cutoff: 2024-06\n";
const CHANNELS: &str = "# Valid channels: analysis, commentary, final. Channel must be included for every message.";

/// Part of a rendered turn.
enum Piece {
    Special(&'static str),
    Text(String),
}

impl Turn<'_> {
    /// The turn as tokens, up to where the model's answer begins. What the turn's texts say of special tokens is plain text.
    ///
    /// # Errors
    /// [`Error::Input`] where the tokenizer lacks a special token of the format, else as [`Tokenizer::encode`].
    pub fn encode(&self, tokenizer: &Tokenizer) -> Result<Vec<u32>, Error> {
        let mut ids = Vec::new();
        for piece in self.pieces() {
            match piece {
                Piece::Special(name) => ids.push(special(tokenizer, name)?),
                Piece::Text(text) => ids.extend(tokenizer.encode(&text, Specials::AsText)?),
            }
        }
        Ok(ids)
    }

    fn pieces(&self) -> Vec<Piece> {
        let date = self.date.map(|d| format!("Current date: {d}\n")).unwrap_or_default();
        let system = format!("{IDENTITY}{date}\nReasoning: {}\n\n{CHANNELS}", self.effort);
        let mut messages = vec![("system", system)];
        messages.extend(self.instructions.map(|text| ("developer", format!("# Instructions\n\n{text}"))));
        messages.push(("user", self.user.to_string()));
        let mut pieces = Vec::new();
        for (role, text) in messages {
            pieces.extend([Piece::Special("<|start|>"), Piece::Text(role.into())]);
            pieces.extend([Piece::Special("<|message|>"), Piece::Text(text), Piece::Special("<|end|>")]);
        }
        pieces.extend([Piece::Special("<|start|>"), Piece::Text("assistant".into())]);
        pieces
    }
}

fn special(tokenizer: &Tokenizer, name: &str) -> Result<u32, Error> {
    let missing = || Error::input("tokenizer", format!("has no {name}, which the harmony chat format needs"));
    tokenizer.special(name).ok_or_else(missing)
}

/// What is shown of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Show {
    /// The channel `final`.
    #[default]
    Final,
    /// Every channel, each under a line with its name in brackets.
    All,
    /// Every token, special ones by name.
    Raw,
}

/// Reads an answer token by token.
pub struct AnswerReader<'a> {
    tokenizer: &'a Tokenizer,
    show: Show,
    state: State,
    stream: TextStream,
    shown_any: bool,
}

enum State {
    /// Before `<|message|>`: the text so far, and where in it `<|channel|>` stood.
    Header { text: String, channel: Option<usize> },
    /// After it; is it shown?
    Body { shown: bool },
}

impl State {
    const START: State = State::Header { text: String::new(), channel: None };
}

impl<'a> AnswerReader<'a> {
    /// A reader of what comes after [`Turn::encode`].
    pub fn new(tokenizer: &'a Tokenizer, show: Show) -> Self {
        AnswerReader { tokenizer, show, state: State::START, stream: TextStream::default(), shown_any: false }
    }

    /// The text to show for this token, perhaps none.
    pub fn push(&mut self, id: u32) -> String {
        if self.show == Show::Raw {
            return self.stream.push(self.tokenizer, id);
        }
        if self.tokenizer.is_special(id) {
            return self.mark(id);
        }
        let piece = self.stream.push(self.tokenizer, id);
        match &mut self.state {
            State::Header { text, .. } => {
                text.push_str(&piece);
                String::new()
            }
            State::Body { shown: true } => piece,
            State::Body { shown: false } => String::new(),
        }
    }

    /// The end of the answer: what is left to show.
    pub fn finish(&mut self) -> String {
        let rest = self.stream.finish();
        let shown = self.show == Show::Raw || matches!(self.state, State::Body { shown: true });
        self.state = State::START;
        if shown { rest } else { String::new() }
    }

    /// A special token: the end of a text or of a header's part.
    fn mark(&mut self, id: u32) -> String {
        let name = self.tokenizer.token_bytes(id).unwrap_or_default();
        let rest = self.stream.finish();
        let (state, out) = match (std::mem::replace(&mut self.state, State::START), name.as_slice()) {
            (State::Header { text, channel }, b"<|message|>") => {
                let text = text + &rest;
                let named = channel.and_then(|at| text.get(at..)).and_then(|t| t.split_whitespace().next());
                let (shown, label) = self.begin(named.unwrap_or("final"));
                (State::Body { shown }, label)
            }
            (State::Header { text, .. }, b"<|channel|>") => {
                let text = text + &rest;
                let channel = Some(text.len());
                (State::Header { text, channel }, String::new())
            }
            // `<|constrain|>` before the type of a tool's arguments, or a token of no meaning here.
            (State::Header { text, channel }, _) => {
                (State::Header { text: text + &rest + " ", channel }, String::new())
            }
            (State::Body { shown }, b"<|end|>" | b"<|return|>" | b"<|call|>" | b"<|start|>") => {
                (State::START, if shown { rest } else { String::new() })
            }
            (State::Body { shown }, _) => (State::Body { shown }, if shown { rest } else { String::new() }),
        };
        self.state = state;
        out
    }

    /// A message begins: is it shown, and under which label? One without a channel counts as the answer.
    fn begin(&mut self, channel: &str) -> (bool, String) {
        let shown = self.show == Show::All || channel == "final";
        let line = if self.shown_any { "\n" } else { "" };
        self.shown_any |= shown;
        match self.show {
            Show::All => (shown, format!("{line}[{channel}]\n")),
            _ if shown => (shown, line.to_string()),
            _ => (shown, String::new()),
        }
    }
}
