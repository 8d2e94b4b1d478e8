//! Tokens one after the other: the model's most likely one, or a draw.

use super::model::{Feed, Forward, Model, Session};
use crate::backend::Replay;
use crate::error::Error;
use crate::host::HostTensor;
use crate::kernel::AllOps;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use std::ops::ControlFlow;

/// How the next token is chosen.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Sampling {
    /// The largest logit; the lowest id among equal ones.
    Greedy,
    /// A draw from softmax(logits / temperature), restricted to the most likely tokens that together reach `top_p`.
    Draw {
        /// Zero or more; zero is greedy.
        temperature: f64,
        /// Above zero, at most 1.
        top_p: f64,
        /// Same seed, same draws.
        seed: u64,
    },
}

impl Sampling {
    fn is_greedy(self) -> bool {
        match self {
            Sampling::Greedy => true,
            Sampling::Draw { temperature, .. } => temperature == 0.0,
        }
    }
}

/// What to generate.
#[derive(Clone, PartialEq, Debug)]
pub struct Request<'a> {
    /// Tokens to continue, at least one.
    pub prompt: &'a [u32],
    /// Most tokens to add.
    pub max_new: usize,
    /// How they are chosen.
    pub sampling: Sampling,
    /// Tokens that end the generation; they are not part of it.
    pub stop: &'a [u32],
    /// Bring the logits of every step to the host. Where they are not asked for, a greedy choice is the device's.
    pub logits: bool,
}

/// Why a generation ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    /// A stop token came.
    Token(u32),
    /// As many tokens as asked for.
    MaxNew,
    /// The context is full.
    Context,
    /// The callback wanted no more.
    Caller,
}

/// A new token and the logits it was chosen from.
pub struct Step<'a> {
    /// The token.
    pub token: u32,
    /// \[1, vocab\], of the position before it, where [`Request::logits`] asked for them or the token was drawn.
    pub logits: Option<&'a HostTensor>,
}

/// Chooses tokens from logits.
///
/// Each draw takes one u64 of ChaCha8 seeded by `seed_from_u64(seed)`; its upper 53 bits, over 2^53, say how far along the
/// restricted distribution, in descending order of probability (equal ones by id), the token lies.
pub struct Sampler {
    sampling: Sampling,
    rng: ChaCha8Rng,
}

impl Sampler {
    /// A sampler at the start of its stream.
    ///
    /// # Errors
    /// [`Error::Input`] for a temperature that is negative or not finite, or `top_p` outside (0, 1].
    pub fn new(sampling: Sampling) -> Result<Self, Error> {
        let mut seed = 0;
        if let Sampling::Draw { temperature, top_p, seed: given } = sampling {
            if !(temperature >= 0.0 && temperature.is_finite()) {
                return Err(Error::input("temperature", format!("must be zero or more and finite, got {temperature}")));
            }
            if !(top_p > 0.0 && top_p <= 1.0) {
                return Err(Error::input("top_p", format!("must be above 0 and at most 1, got {top_p}")));
            }
            seed = given;
        }
        Ok(Sampler { sampling, rng: ChaCha8Rng::seed_from_u64(seed) })
    }

    /// The next token.
    ///
    /// # Errors
    /// [`Error::Input`] where there are no logits, or one is NaN or +inf: the model's numbers went wrong before.
    pub fn next(&mut self, logits: &[f64]) -> Result<u32, Error> {
        if let Some((id, bad)) = logits.iter().enumerate().find(|(_, l)| l.is_nan() || **l == f64::INFINITY) {
            return Err(Error::input("logits", format!("token {id} has {bad}: no token can be chosen")));
        }
        let greedy = argmax(logits).ok_or_else(|| Error::input("logits", "must be of at least one token, got none"))?;
        match self.sampling {
            Sampling::Draw { temperature, top_p, .. } if !self.sampling.is_greedy() => {
                let u = (self.rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
                Ok(draw(logits, temperature, top_p, u).unwrap_or(greedy))
            }
            _ => Ok(greedy),
        }
    }
}

/// The largest; the first among equal ones.
fn argmax(logits: &[f64]) -> Option<u32> {
    let best = |best: (usize, f64), next: (usize, f64)| if next.1 > best.1 { next } else { best };
    logits.iter().copied().enumerate().reduce(best).map(|(id, _)| id as u32)
}

/// The token at `u` of the way along the most likely ones.
fn draw(logits: &[f64], temperature: f64, top_p: f64, u: f64) -> Option<u32> {
    let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut weights: Vec<(usize, f64)> =
        logits.iter().enumerate().map(|(id, l)| (id, ((l - max) / temperature).exp())).collect();
    // The sort is stable: equal ones stay in the order of their ids.
    weights.sort_by(|a, b| b.1.total_cmp(&a.1));
    let total: f64 = weights.iter().map(|w| w.1).sum();
    let (mut kept, mut mass) = (0, 0.0);
    for (_, weight) in &weights {
        kept += 1;
        mass += weight;
        if mass >= top_p * total {
            break;
        }
    }
    let mut left = u * mass;
    for (id, weight) in weights.iter().take(kept) {
        if left < *weight {
            return Some(*id as u32);
        }
        left -= weight;
    }
    None
}

/// Feeds the prompt and generates; each token goes to the callback as soon as it is known.
///
/// # Errors
/// [`Error::Input`] for bad sampling parameters, an empty prompt or one that does not fit the context; else as
/// [`Model::forward`].
pub fn generate<B: Replay + AllOps>(
    model: &mut Model<B>,
    session: &mut Session,
    request: &Request<'_>,
    on_token: &mut dyn FnMut(Step<'_>) -> ControlFlow<()>,
) -> Result<Stop, Error> {
    let mut sampler = Sampler::new(request.sampling)?;
    let mut feed = request.prompt.to_vec();
    for count in 0..request.max_new {
        // A token just generated may find the context full; a prompt that does not fit is an error.
        if count > 0 && session.len() >= model.max_context() {
            return Ok(Stop::Context);
        }
        let (token, logits) = if request.logits || !request.sampling.is_greedy() {
            let logits = model.forward(session, &feed, Forward::LAST)?;
            (sampler.next(&logits.to_f64())?, Some(logits))
        } else {
            let next = model.next_tokens(&mut [Feed { session, tokens: &feed }])?.into_iter().next();
            (next.ok_or_else(|| Error::input("model", "chose no token"))?, None)
        };
        if request.stop.contains(&token) {
            return Ok(Stop::Token(token));
        }
        if on_token(Step { token, logits: logits.as_ref() }).is_break() {
            return Ok(Stop::Caller);
        }
        feed = vec![token];
    }
    Ok(Stop::MaxNew)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampler(temperature: f64, top_p: f64) -> Result<Sampler, Error> {
        Sampler::new(Sampling::Draw { temperature, top_p, seed: 7 })
    }

    #[test]
    fn ties_go_to_the_lowest_id() {
        assert_eq!(argmax(&[1.0, 3.0, 3.0, 2.0]), Some(1));
        assert_eq!(argmax(&[f64::NEG_INFINITY; 3]), Some(0));
        assert_eq!(argmax(&[]), None);
    }

    #[test]
    fn draws_follow_the_distribution() {
        let logits = [0.0, 3f64.ln(), f64::NEG_INFINITY, 6f64.ln()];
        // Probabilities .1, .3, 0, .6; in descending order ids 3, 1, 0.
        for (u, id) in [(0.0, 3), (0.599, 3), (0.601, 1), (0.899, 1), (0.901, 0), (0.999, 0)] {
            assert_eq!(draw(&logits, 1.0, 1.0, u), Some(id), "u {u}");
        }
        // top_p .7 keeps ids 3 and 1, of .9 together.
        for (u, id) in [(0.0, 3), (0.66, 3), (0.67, 1), (0.999, 1)] {
            assert_eq!(draw(&logits, 1.0, 0.7, u), Some(id), "u {u}, top_p .7");
        }
        // Half the temperature squares the odds: .36 / (.36 + .09 + .01).
        assert_eq!(draw(&logits, 0.5, 1.0, 0.78), Some(3));
        assert_eq!(draw(&logits, 0.5, 1.0, 0.79), Some(1));
    }

    #[test]
    fn a_seed_reproduces() {
        let logits: Vec<f64> = (0..100).map(|i| f64::from(i % 7) / 3.0).collect();
        let run = || -> Vec<u32> {
            let mut sampler = sampler(1.0, 0.9).unwrap();
            (0..50).map(|_| sampler.next(&logits).unwrap()).collect()
        };
        assert_eq!(run(), run());
        assert!(run().windows(2).any(|w| w[0] != w[1]));
    }

    #[test]
    fn bad_parameters_are_named() {
        for (temperature, top_p, word) in [
            (-1.0, 1.0, "temperature"),
            (f64::NAN, 1.0, "temperature"),
            (f64::INFINITY, 1.0, "temperature"),
            (1.0, 0.0, "top_p"),
            (1.0, 1.5, "top_p"),
            (1.0, f64::NAN, "top_p"),
        ] {
            let error = sampler(temperature, top_p).err().unwrap().to_string();
            assert!(error.contains(word), "{error}");
        }
        let error = sampler(1.0, 1.0).unwrap().next(&[0.0, f64::NAN]).unwrap_err().to_string();
        assert!(error.contains("token 1 has NaN"), "{error}");
    }
}
