//! The layout of MXFP4 weights in rows of `bench`, `explain` and `tune`.

use clap::{Args, ValueEnum};

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Layout {
    /// As published checkpoints have them
    Openai,
    /// In the tiles of `dropless convert --to prepacked`
    Prepacked,
}

#[derive(Args)]
pub struct MoeWeights {
    /// Layout of MXFP4 weights, but of a checkpoint's [default: the one a backend is fastest with: openai with hip, else prepacked]
    #[arg(long, value_enum, value_name = "LAYOUT")]
    weights: Option<Layout>,
}

impl MoeWeights {
    /// Are they as published, in rows of this backend?
    pub fn openai(&self, backend: &str) -> bool {
        match self.weights {
            Some(layout) => layout == Layout::Openai,
            None => backend == "hip",
        }
    }

    /// What of the command line says so.
    pub fn flag(&self) -> Option<String> {
        let name = self.weights?.to_possible_value()?;
        Some(format!("--weights {}", name.get_name()))
    }
}
