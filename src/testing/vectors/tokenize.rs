//! `tokenize` of the format, by the vocabulary that is built in.

use super::Actual;
use super::case::{Case, Stop, fail, skip};
use super::values::Values;
use crate::gpt_oss::tokenizer::{Specials, Tokenizer};
use serde_json::Value;
use std::sync::OnceLock;

/// The built-in tokenizer and the SHA-256 of its vocabulary, made once.
fn harmony() -> &'static (Tokenizer, Option<String>) {
    static HARMONY: OnceLock<(Tokenizer, Option<String>)> = OnceLock::new();
    HARMONY.get_or_init(|| {
        let tokenizer = Tokenizer::harmony();
        let sha256 = tokenizer.vocabulary_sha256();
        (tokenizer, sha256)
    })
}

pub(super) fn tokenize(case: &Case<'_>) -> Result<Actual, Stop> {
    let p = case.params()?;
    let specials = p.one_of("special_tokens", &[("all", Specials::Parse), ("none", Specials::AsText)])?;
    let (tokenizer, sha256) = harmony();
    if sha256.as_deref() != Some(p.string("vocab_file_sha256")?) {
        return skip("the vocabulary of this SHA-256 is not built in");
    }
    if case.json_value("pattern")?.as_str() != tokenizer.pattern() {
        return skip("its pattern is not that of the built-in tokenizer");
    }
    let text = case.json_value("text")?;
    let Some(text) = text.as_str() else { return fail("`text` is not a string") };
    if specials == Specials::Parse {
        let given = case.json_value("special_ids")?;
        let Some(given) = given.as_object() else { return fail("`special_ids` is not an object") };
        let known = |(name, id): (&String, &Value)| {
            id.as_u64().is_some_and(|id| tokenizer.special(name).map(u64::from) == Some(id))
        };
        let unlisted = |name: &String| !given.contains_key(name) && text.contains(name.as_str());
        if !given.iter().all(known) || tokenizer.specials().keys().any(unlisted) {
            return skip("its special tokens are not those of the built-in tokenizer");
        }
    }
    let ids: Vec<f64> = tokenizer.encode(text, specials)?.into_iter().map(f64::from).collect();
    Ok(vec![("ids".into(), Values { shape: vec![ids.len()], data: ids, dtype: None })])
}
