//! The rows of a bench: op, case and tokens, named as docs/vectors.md maps them to specs.

use super::routing::Skew;
use crate::dtype::DType;
use std::fmt;

/// Token counts of the MoE rows.
const MOE_TOKENS: [usize; 8] = [1, 4, 16, 64, 256, 1024, 4096, 8192];
/// Token counts of the dispatch rows.
const DISPATCH_TOKENS: [usize; 5] = [1, 64, 1024, 4096, 16384];

/// A model whose dimensions the rows have.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Preset {
    /// As on the command line.
    pub name: &'static str,
    /// As in the names of cases.
    pub short: &'static str,
    /// Width of a token.
    pub hidden: usize,
    /// Width of an expert.
    pub intermediate: usize,
    /// Experts.
    pub experts: usize,
    /// Experts a token.
    pub top_k: usize,
}

/// The presets; `tiny` is for trying the command out.
pub const PRESETS: [Preset; 3] = [
    Preset { name: "gpt-oss-20b", short: "20b", hidden: 2880, intermediate: 2880, experts: 32, top_k: 4 },
    Preset { name: "gpt-oss-120b", short: "120b", hidden: 2880, intermediate: 2880, experts: 128, top_k: 4 },
    Preset { name: "tiny", short: "tiny", hidden: 96, intermediate: 64, experts: 8, top_k: 4 },
];

/// Query and key heads of the attention rows.
pub(super) const HEADS: (usize, usize) = (64, 8);

/// What a case runs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum What {
    /// Gather, MXFP4 GEMM, bias, SwiGLU.
    Mlp1(Preset),
    /// MXFP4 GEMM, bias, weighted combine.
    Mlp2(Preset),
    /// Dispatch, mlp1, mlp2.
    Block(Preset),
    /// bf16 grouped GEMM of mlp1's shape, rows in expert order.
    Bf16(Preset),
    /// Router logits to everything that the grouped GEMMs need.
    Dispatch(Preset),
    /// bf16 linear layer: columns, contraction length.
    Linear { n: usize, k: usize },
    /// Causal attention of one sequence of `keys`, or as long as it has queries; the queries are its last ones. Keys are in pages of
    /// `page` or contiguous, in a cache of that type.
    Prefill { window: Option<usize>, head_dim: usize, keys: Option<usize>, page: Option<usize>, cache: DType },
    /// One query for each of `tokens` sequences of `kv` keys, in pages of `page` or contiguous, in a cache of that type.
    Decode { window: Option<usize>, kv: usize, page: Option<usize>, cache: DType },
    /// One query for each of `tokens` sequences of up to `most` keys, the shortest of one.
    Ragged { most: usize },
}

impl What {
    /// Does it run on the weights of experts, which its neighbours share?
    pub(super) fn has_experts(self) -> bool {
        matches!(self, What::Mlp1(_) | What::Mlp2(_) | What::Block(_))
    }
}

/// An op, a case of it, and the token counts it runs with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Case {
    pub(super) op: &'static str,
    pub(super) case: String,
    pub(super) tokens: Vec<usize>,
    pub(super) what: What,
}

/// Which rows to run; empty lists mean all of the default ones.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Select {
    /// Ops.
    pub ops: Vec<String>,
    /// Names of presets.
    pub presets: Vec<String>,
    /// Cases whose name contains one of these.
    pub cases: Vec<String>,
    /// Tokens: any number for the MoE and dense rows; of the attention rows those that they have.
    pub tokens: Vec<usize>,
    /// How the tokens of the MoE rows choose experts; their cases are named after it.
    pub routing: Skew,
}

/// A name that nothing has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unknown {
    what: &'static str,
    name: String,
    known: Vec<String>,
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no {} {:?}; there are {}", self.what, self.name, self.known.join(", "))
    }
}

impl std::error::Error for Unknown {}

/// The cases that `select` asks for, those that share weights beside each other.
pub(super) fn cases(select: &Select) -> Result<Vec<Case>, Unknown> {
    let presets = presets(select)?;
    let mut all: Vec<Case> = presets.iter().flat_map(moe).collect();
    if select.presets.is_empty() {
        // The parts of the larger model are measured where it is asked for by name.
        all.retain(|c| matches!(c.what, What::Block(_) | What::Dispatch(_)) || !c.case.contains("120b"));
    }
    all.iter_mut().for_each(|c| c.case.push_str(select.routing.suffix()));
    if select.presets.is_empty() || presets.iter().any(|p| p.short != "tiny") {
        all.extend(dense());
        all.extend(attention());
    }
    let mut known: Vec<String> = all.iter().map(|c| c.op.to_string()).collect();
    known.dedup();
    // Its rows are those of `ModelOptions`.
    known.push("model".into());
    if let Some(name) = select.ops.iter().find(|o| !known.contains(o)) {
        return Err(Unknown { what: "op", name: name.clone(), known });
    }
    let wanted = |list: &[String], test: &dyn Fn(&String) -> bool| list.is_empty() || list.iter().any(test);
    all.retain(|c| wanted(&select.ops, &|o| o == c.op) && wanted(&select.cases, &|s| c.case.contains(s.as_str())));
    for case in all.iter_mut().filter(|_| !select.tokens.is_empty()) {
        match case.what {
            What::Prefill { .. } | What::Decode { .. } | What::Ragged { .. } => {
                case.tokens.retain(|t| select.tokens.contains(t))
            }
            _ => case.tokens = select.tokens.clone(),
        }
    }
    all.retain(|c| !c.tokens.is_empty());
    Ok(all)
}

fn presets(select: &Select) -> Result<Vec<Preset>, Unknown> {
    if select.presets.is_empty() {
        return Ok(PRESETS.into_iter().filter(|p| p.short != "tiny").collect());
    }
    let find = |name: &String| {
        PRESETS.into_iter().find(|p| p.name == name).ok_or_else(|| Unknown {
            what: "preset",
            name: name.clone(),
            known: PRESETS.map(|p| p.name.to_string()).to_vec(),
        })
    };
    select.presets.iter().map(find).collect()
}

fn moe(preset: &Preset) -> Vec<Case> {
    let new = |op, case: String, tokens: &[usize], what| Case { op, case, tokens: tokens.to_vec(), what };
    let (p, short) = (*preset, preset.short.to_string());
    let experts = format!("E{} k{}", p.experts, p.top_k);
    vec![
        new("moe_mlp1", short.clone(), &MOE_TOKENS, What::Mlp1(p)),
        new("moe_mlp2", short.clone(), &MOE_TOKENS, What::Mlp2(p)),
        new("moe_block_from_logits", short.clone(), &MOE_TOKENS, What::Block(p)),
        new("grouped_gemm_bf16", format!("{short} mlp1"), &MOE_TOKENS, What::Bf16(p)),
        new("moe_dispatch", experts, &DISPATCH_TOKENS, What::Dispatch(p)),
    ]
}

fn dense() -> Vec<Case> {
    let new = |case: &str, tokens: &[usize], n, k| {
        let what = What::Linear { n, k };
        Case { op: "linear", case: case.into(), tokens: tokens.to_vec(), what }
    };
    vec![
        new("qkv 5120x2880", &[1, 64, 1024, 8192], 5120, 2880),
        new("out 2880x4096", &[1, 64, 1024, 8192], 2880, 4096),
        new("unembedding 201088x2880", &[1, 64], 201_088, 2880),
    ]
}

fn attention() -> Vec<Case> {
    let new = |case: String, tokens: &[usize], what| Case { op: "flash_attn", case, tokens: tokens.to_vec(), what };
    let prefill = |window, head_dim, cache| What::Prefill { window, head_dim, keys: None, page: None, cache };
    let pages = |keys, page| What::Prefill { window: None, head_dim: 64, keys, page: Some(page), cache: DType::Bf16 };
    let decode = |window, kv, page, cache| What::Decode { window, kv, page, cache };
    let lengths = [1024, 4096, 16384];
    let mut all = vec![
        new("prefill full".into(), &lengths, prefill(None, 64, DType::Bf16)),
        new("prefill window128".into(), &lengths, prefill(Some(128), 64, DType::Bf16)),
        new("prefill full hd128".into(), &[16384], prefill(None, 128, DType::Bf16)),
        new("prefill f8e4m3".into(), &[4096], prefill(None, 64, DType::F8E4m3)),
    ];
    let last = What::Prefill { window: None, head_dim: 64, keys: Some(8192), page: None, cache: DType::Bf16 };
    all.push(new("prefill last 4096 of kv8192".into(), &[4096], last));
    all.push(new("prefill last 4096 of kv8192 page16".into(), &[4096], pages(Some(8192), 16)));
    all.push(new("prefill full page64".into(), &[4096], pages(None, 64)));
    let batches: [(usize, &[usize]); 4] = [(1024, &[1, 64]), (8192, &[1, 8, 64]), (32768, &[1, 64]), (131_072, &[1])];
    for (kv, tokens) in batches {
        all.push(new(format!("decode full kv{kv}"), tokens, decode(None, kv, None, DType::Bf16)));
    }
    for page in [16, 64, 256] {
        let paged = decode(None, 8192, Some(page), DType::Bf16);
        all.push(new(format!("decode full kv8192 page{page}"), &[1, 64], paged));
    }
    all.push(new("decode mixed to kv131072".into(), &[8], What::Ragged { most: 131_072 }));
    all.push(new("decode window128".into(), &[1, 8, 64], decode(Some(128), 8192, None, DType::Bf16)));
    for kv in [8192, 32768] {
        let case = format!("decode f8e4m3 {kv}");
        all.push(new(case, &[1, 8, 64], decode(None, kv, None, DType::F8E4m3)));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(select: &Select) -> Vec<String> {
        cases(select).unwrap().iter().map(|c| format!("{} {} {:?}", c.op, c.case, c.tokens)).collect()
    }

    #[test]
    fn selections() {
        let ops = |op: &str| Select { ops: vec![op.into()], ..Select::default() };
        assert_eq!(names(&ops("moe_mlp1")).len(), 1);
        assert_eq!(names(&ops("moe_block_from_logits")).len(), 2);
        let one = Select { presets: vec!["gpt-oss-20b".into()], tokens: vec![7], ..ops("moe_mlp1") };
        assert_eq!(names(&one), ["moe_mlp1 20b [7]"]);
        let decode = Select { cases: vec!["kv8192".into()], tokens: vec![64], ..Select::default() };
        assert_eq!(
            names(&decode),
            [
                "flash_attn decode full kv8192 [64]",
                "flash_attn decode full kv8192 page16 [64]",
                "flash_attn decode full kv8192 page64 [64]",
                "flash_attn decode full kv8192 page256 [64]"
            ]
        );
        let tiny = Select { presets: vec!["tiny".into()], ..Select::default() };
        assert!(names(&tiny).iter().all(|n| n.contains("tiny") || n.contains("E8 k4")), "{:?}", names(&tiny));
    }

    #[test]
    fn unknown_names_are_refused_with_the_known_ones() {
        let op = cases(&Select { ops: vec!["conv".into()], ..Select::default() }).unwrap_err().to_string();
        assert!(op.contains("\"conv\"") && op.contains("moe_mlp1"), "{op}");
        let preset = cases(&Select { presets: vec!["30b".into()], ..Select::default() }).unwrap_err().to_string();
        assert!(preset.contains("gpt-oss-120b"), "{preset}");
    }
}
