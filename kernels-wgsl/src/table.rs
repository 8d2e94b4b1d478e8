//! The table of variants. Of those of an op, the first that a device and a spec allow runs.

use super::{Artifact, Kernel, Probe};

const SCHEDULE: Kernel = kernel!("grouped_schedule": "include/faults.wgsl", "grouped_gemm/schedule.wgsl");
const COMBINE: Kernel =
    kernel!("grouped_combine": "include/faults.wgsl", "grouped_gemm/tables.wgsl", "grouped_gemm/combine.wgsl");
const TILED_1: Kernel = kernel!("grouped_gemm": "include/faults.wgsl", "include/swiglu.wgsl", "include/mxfp4.wgsl", "grouped_gemm/tables.wgsl",
        "grouped_gemm/rows.wgsl", "grouped_gemm/row.wgsl", "grouped_gemm/finish.wgsl", "grouped_gemm/rows_1.wgsl", "grouped_gemm/fragments.wgsl", "grouped_gemm/teams.wgsl", "grouped_gemm/collect.wgsl", "grouped_gemm/tiled.wgsl");
const TILED_1_SUBGROUP: Kernel = kernel!("grouped_gemm": "include/faults.wgsl", "include/swiglu.wgsl", "include/mxfp4.wgsl", "grouped_gemm/tables.wgsl",
        "grouped_gemm/rows.wgsl", "grouped_gemm/row.wgsl", "grouped_gemm/finish.wgsl", "grouped_gemm/rows_1.wgsl", "grouped_gemm/fragments.wgsl", "grouped_gemm/teams.wgsl", "grouped_gemm/collect_subgroup.wgsl", "grouped_gemm/tiled.wgsl");
// Of 16 x 16 through Vulkan, which takes SPIR-V of ours; of 8 x 8 through Metal.
const MATRICES: &[&str] = &["SHADER_F16", "EXPERIMENTAL_COOPERATIVE_MATRIX", "PASSTHROUGH_SHADERS"];
const MATRICES_8: &[&str] = &["SHADER_F16", "EXPERIMENTAL_COOPERATIVE_MATRIX"];
const SUBGROUPS: &[&str] = &["SUBGROUP"];
const HALVES: Kernel = kernel!("grouped_halves": "include/faults.wgsl", "include/mxfp4.wgsl", "include/fit.wgsl",
    "grouped_gemm/tables.wgsl", "grouped_gemm/rows.wgsl", "grouped_gemm/halves.wgsl");
// Files of what multiplies cooperative matrices, of one size or the other.
macro_rules! coop_prepacked {
    ($matrices:literal) => {
        kernel!("grouped_gemm": "include/faults.wgsl", "include/swiglu.wgsl", "include/mxfp4.wgsl", $matrices, "grouped_gemm/tables.wgsl",
            "grouped_gemm/rows.wgsl", "grouped_gemm/tile.wgsl", "grouped_gemm/finish.wgsl", "grouped_gemm/fragments.wgsl",
            "grouped_gemm/exact.wgsl", "grouped_gemm/coop_patches.wgsl", "grouped_gemm/coop.wgsl")
    };
}
macro_rules! coop_dense {
    ($matrices:literal) => {
        kernel!("grouped_gemm": "include/faults.wgsl", "include/swiglu.wgsl", $matrices, "grouped_gemm/tables.wgsl", "grouped_gemm/rows.wgsl",
            "grouped_gemm/tile.wgsl", "grouped_gemm/finish.wgsl", "grouped_gemm/coop_patches.wgsl", "grouped_gemm/coop_dense.wgsl")
    };
}
macro_rules! coop_attention {
    ($matrices:literal) => {
        kernel!("flash_attn": "include/kv_store.wgsl", "include/sequence.wgsl", "flash_attn/listed.wgsl", "flash_attn/find.wgsl",
            "include/mxfp4.wgsl", "include/fit.wgsl", $matrices, "flash_attn/tile.wgsl", "flash_attn/keys.wgsl", "flash_attn/coop.wgsl")
    };
}
const TILED_F16: Kernel = kernel!("grouped_gemm": "include/faults.wgsl", "include/swiglu.wgsl", "include/mxfp4.wgsl",
    "grouped_gemm/tables.wgsl", "grouped_gemm/rows.wgsl", "grouped_gemm/tile.wgsl", "grouped_gemm/finish.wgsl", "grouped_gemm/fragments.wgsl",
    "grouped_gemm/exact.wgsl", "grouped_gemm/teams.wgsl", "grouped_gemm/collect.wgsl", "grouped_gemm/tiled_f16.wgsl");
const DENSE_1: Kernel = kernel!("grouped_gemm": "include/faults.wgsl", "include/swiglu.wgsl", "grouped_gemm/tables.wgsl",
    "grouped_gemm/rows.wgsl", "grouped_gemm/row.wgsl", "grouped_gemm/finish.wgsl", "grouped_gemm/rows_1.wgsl", "grouped_gemm/share.wgsl", "grouped_gemm/dense.wgsl");
const DENSE_1_SUBGROUP: Kernel = kernel!("grouped_gemm": "include/faults.wgsl", "include/swiglu.wgsl", "grouped_gemm/tables.wgsl",
    "grouped_gemm/rows.wgsl", "grouped_gemm/row.wgsl", "grouped_gemm/finish.wgsl", "grouped_gemm/rows_1.wgsl", "grouped_gemm/share_subgroup.wgsl", "grouped_gemm/dense.wgsl");
const TILED_4: Kernel = kernel!("grouped_gemm": "include/faults.wgsl", "include/swiglu.wgsl", "include/mxfp4.wgsl", "grouped_gemm/tables.wgsl",
        "grouped_gemm/rows.wgsl", "grouped_gemm/tile.wgsl", "grouped_gemm/finish.wgsl", "grouped_gemm/rows_4.wgsl", "grouped_gemm/fragments.wgsl", "grouped_gemm/teams.wgsl", "grouped_gemm/collect.wgsl", "grouped_gemm/tiled.wgsl");
const DENSE_4: Kernel = kernel!("grouped_gemm": "include/faults.wgsl", "include/swiglu.wgsl", "grouped_gemm/tables.wgsl",
    "grouped_gemm/rows.wgsl", "grouped_gemm/tile.wgsl", "grouped_gemm/finish.wgsl", "grouped_gemm/rows_4.wgsl", "grouped_gemm/share.wgsl", "grouped_gemm/dense.wgsl");

const ROPE: Kernel =
    kernel!("rope": "include/faults.wgsl", "include/rotate.wgsl", "rope/head.wgsl", "rope/portable.wgsl");

const SEQUENCES: Kernel =
    kernel!("attention_sequences": "include/faults.wgsl", "flash_attn/lengths.wgsl", "flash_attn/sequences.wgsl");
const PAGES: Kernel = kernel!("attention_pages": "include/faults.wgsl", "include/sequence.wgsl", "flash_attn/listed.wgsl",
    "flash_attn/pages.wgsl");
const ATTENTION: &[Kernel] = &[
    SEQUENCES,
    PAGES,
    kernel!("flash_attn": "include/kv_store.wgsl", "include/sequence.wgsl", "flash_attn/listed.wgsl", "flash_attn/find.wgsl",
        "flash_attn/tile.wgsl", "flash_attn/keys.wgsl", "flash_attn/portable.wgsl"),
    kernel!("attention_combine": "include/sequence.wgsl", "flash_attn/listed.wgsl", "flash_attn/find.wgsl", "flash_attn/tile.wgsl",
        "flash_attn/split.wgsl"),
];
const ATTENTION_OF_FEW: &[Kernel] = &[
    kernel!("attention_pages": "include/faults.wgsl", "include/sequence.wgsl", "flash_attn/lengths.wgsl", "flash_attn/find_few.wgsl",
        "flash_attn/pages.wgsl"),
    kernel!("flash_attn": "include/faults.wgsl", "include/kv_store.wgsl", "include/sequence.wgsl", "flash_attn/lengths.wgsl",
        "flash_attn/find_few.wgsl", "flash_attn/tile.wgsl", "flash_attn/keys.wgsl", "flash_attn/portable.wgsl"),
    kernel!("attention_combine": "include/faults.wgsl", "include/sequence.wgsl", "flash_attn/lengths.wgsl", "flash_attn/find_few.wgsl",
        "flash_attn/tile.wgsl", "flash_attn/split.wgsl"),
];

const DECODE: &[Kernel] = &[
    SEQUENCES,
    PAGES,
    kernel!("flash_attn": "include/kv_store.wgsl", "include/sequence.wgsl", "flash_attn/listed.wgsl", "flash_attn/find.wgsl",
        "flash_attn/tile.wgsl", "flash_attn/keys.wgsl", "flash_attn/decode.wgsl"),
    ATTENTION[3],
];
const DECODE_OF_FEW: &[Kernel] = &[
    ATTENTION_OF_FEW[0],
    kernel!("flash_attn": "include/faults.wgsl", "include/kv_store.wgsl", "include/sequence.wgsl", "flash_attn/lengths.wgsl",
        "flash_attn/find_few.wgsl", "flash_attn/tile.wgsl", "flash_attn/keys.wgsl", "flash_attn/decode.wgsl"),
    ATTENTION_OF_FEW[2],
];

/// Every probe.
pub const PROBES: &[Probe] = &[
    Probe { name: "halves", needs: &[], side: 0, files: &[include_str!("../probe/halves.wgsl")] },
    Probe { name: "subgroups", needs: SUBGROUPS, side: 0, files: &[include_str!("../probe/subgroups.wgsl")] },
    Probe {
        name: "matrices_16",
        needs: MATRICES,
        side: 16,
        files: &[include_str!("../include/matrices_16.wgsl"), include_str!("../probe/matrices.wgsl")],
    },
    Probe {
        name: "matrices_8",
        needs: MATRICES_8,
        side: 8,
        files: &[include_str!("../include/matrices_8.wgsl"), include_str!("../probe/matrices.wgsl")],
    },
];

// A grouped GEMM on cooperative matrices: their side, its files, its workgroup memory, and its tile by those of a subgroup, in matrices.
macro_rules! coop {
    ($variant:literal, 16, $($rest:tt)+) => {
        coop!(@ $variant, MATRICES, "matrices_16", "include/matrices_16.wgsl", [("SUBGROUP", 32), ("SIDE", 16)], $($rest)+)
    };
    ($variant:literal, 8, $($rest:tt)+) => {
        coop!(@ $variant, MATRICES_8, "matrices_8", "include/matrices_8.wgsl", [("SIDE", 8)], $($rest)+)
    };
    (@ $variant:literal, $needs:expr, $probe:literal, $matrices:literal, [$($own:expr),+], $kernel:ident, $bytes:literal bytes,
        $m:literal x $n:literal by $m_tiles:literal x $n_tiles:literal) => {
        Artifact {
            op: "grouped_gemm",
            variant: $variant,
            needs: $needs,
            relies: &["halves", $probe],
            sizes: &[
                ("THREADS", 256),
                $($own),+,
                ("WORKGROUP_BYTES", $bytes),
                ("BLOCK_M", $m),
                ("BLOCK_N", $n),
                ("M_TILES", $m_tiles),
                ("N_TILES", $n_tiles),
            ],
            kernels: &[SCHEDULE, HALVES, $kernel!($matrices), COMBINE],
        }
    };
}

/// Every variant in this crate, those of an op in the order in which they are tried.
pub const ARTIFACTS: &[Artifact] = &[
    Artifact {
        op: "grouped_gemm",
        variant: "tiled_1_subgroup",
        needs: SUBGROUPS,
        relies: &["halves", "subgroups"],
        sizes: &[("THREADS", 256), ("BLOCK_M", 1), ("BLOCK_N", 32), ("CHUNK", 48)],
        kernels: &[SCHEDULE, TILED_1_SUBGROUP, COMBINE],
    },
    Artifact {
        op: "grouped_gemm",
        variant: "tiled_1",
        needs: &[],
        relies: &["halves"],
        sizes: &[("THREADS", 256), ("BLOCK_M", 1), ("BLOCK_N", 32), ("CHUNK", 48)],
        kernels: &[SCHEDULE, TILED_1, COMBINE],
    },
    coop!("coop_16", 16, coop_prepacked, 29184 bytes, 16 x 128 by 1 x 1),
    coop!("coop_64", 16, coop_prepacked, 36096 bytes, 64 x 128 by 2 x 2),
    coop!("coop_128", 16, coop_prepacked, 45312 bytes, 128 x 128 by 4 x 2),
    coop!("coop_dense", 16, coop_dense, 45312 bytes, 128 x 128 by 4 x 2),
    coop!("coop8_16", 8, coop_prepacked, 32768 bytes, 16 x 128 by 2 x 2),
    coop!("coop8_64", 8, coop_prepacked, 32768 bytes, 64 x 128 by 4 x 4),
    coop!("coop8_dense", 8, coop_dense, 32768 bytes, 64 x 128 by 4 x 4),
    Artifact {
        op: "grouped_gemm",
        variant: "tiled_f16",
        needs: &["SHADER_F16"],
        relies: &["halves"],
        sizes: &[("THREADS", 128), ("BLOCK_M", 8), ("BLOCK_N", 32), ("CHUNK", 4)],
        kernels: &[SCHEDULE, HALVES, TILED_F16, COMBINE],
    },
    Artifact {
        op: "grouped_gemm",
        variant: "tiled_4",
        needs: &[],
        relies: &["halves"],
        sizes: &[("THREADS", 128), ("BLOCK_M", 4), ("BLOCK_N", 32), ("CHUNK", 8)],
        kernels: &[SCHEDULE, TILED_4, COMBINE],
    },
    Artifact {
        op: "grouped_gemm",
        variant: "dense_1_subgroup",
        needs: SUBGROUPS,
        relies: &["subgroups"],
        sizes: &[("THREADS", 256), ("BLOCK_M", 1), ("BLOCK_N", 16), ("CHUNK", 3072)],
        kernels: &[SCHEDULE, DENSE_1_SUBGROUP, COMBINE],
    },
    Artifact {
        op: "grouped_gemm",
        variant: "dense_1",
        needs: &[],
        relies: &[],
        sizes: &[("THREADS", 256), ("BLOCK_M", 1), ("BLOCK_N", 16), ("CHUNK", 3072)],
        kernels: &[SCHEDULE, DENSE_1, COMBINE],
    },
    Artifact {
        op: "grouped_gemm",
        variant: "dense_4",
        needs: &[],
        relies: &[],
        sizes: &[("THREADS", 256), ("BLOCK_M", 4), ("BLOCK_N", 16), ("CHUNK", 512)],
        kernels: &[SCHEDULE, DENSE_4, COMBINE],
    },
    Artifact {
        op: "grouped_gemm",
        variant: "few_rows",
        needs: &[],
        relies: &[],
        sizes: &[("THREADS", 256), ("BLOCK_M", 4), ("BLOCK_N", 32), ("TEAM", 8)],
        kernels: &[
            SCHEDULE,
            kernel!("grouped_gemm": "include/faults.wgsl", "include/swiglu.wgsl", "include/mxfp4.wgsl", "grouped_gemm/tables.wgsl",
                "grouped_gemm/weights.wgsl", "grouped_gemm/rows.wgsl", "grouped_gemm/tile.wgsl", "grouped_gemm/finish.wgsl", "grouped_gemm/few_rows.wgsl"),
            COMBINE,
        ],
    },
    Artifact {
        op: "grouped_gemm",
        variant: "portable",
        needs: &[],
        relies: &[],
        sizes: &[("THREADS", 256), ("BLOCK_M", 64), ("BLOCK_N", 64)],
        kernels: &[
            SCHEDULE,
            kernel!("grouped_gemm": "include/faults.wgsl", "include/swiglu.wgsl", "include/mxfp4.wgsl", "grouped_gemm/tables.wgsl",
                "grouped_gemm/weights.wgsl", "grouped_gemm/rows.wgsl", "grouped_gemm/tile.wgsl", "grouped_gemm/finish.wgsl", "grouped_gemm/portable.wgsl"),
            COMBINE,
        ],
    },
    Artifact {
        op: "flash_attn",
        variant: "decode_few",
        needs: &[],
        relies: &[],
        sizes: &[
            ("THREADS", 256),
            ("BLOCK_M", 8),
            ("BLOCK_N", 64),
            ("SPLIT", 1),
            ("M_TILES", 8),
            ("N_TILES", 4),
            ("MOST_GROUPS", 256),
        ],
        kernels: DECODE_OF_FEW,
    },
    Artifact {
        op: "flash_attn",
        variant: "decode",
        needs: &[],
        relies: &[],
        sizes: &[
            ("THREADS", 256),
            ("BLOCK_M", 8),
            ("BLOCK_N", 64),
            ("SPLIT", 1),
            ("M_TILES", 8),
            ("N_TILES", 4),
            ("MOST_GROUPS", 512),
        ],
        kernels: DECODE,
    },
    Artifact {
        op: "flash_attn",
        variant: "few",
        needs: &[],
        relies: &[],
        sizes: &[("THREADS", 256), ("BLOCK_M", 8), ("BLOCK_N", 32), ("SPLIT", 1), ("MOST_GROUPS", 4096)],
        kernels: ATTENTION_OF_FEW,
    },
    Artifact {
        op: "flash_attn",
        variant: "split",
        needs: &[],
        relies: &[],
        sizes: &[("THREADS", 256), ("BLOCK_M", 8), ("BLOCK_N", 32), ("SPLIT", 1), ("MOST_GROUPS", 4096)],
        kernels: ATTENTION,
    },
    Artifact {
        op: "flash_attn",
        variant: "coop",
        needs: MATRICES,
        relies: &["matrices_16"],
        sizes: &[
            ("THREADS", 256),
            ("SUBGROUP", 32),
            ("SIDE", 16),
            ("WORKGROUP_BYTES", 46688),
            ("BLOCK_M", 64),
            ("BLOCK_N", 64),
            ("SPLIT", 0),
            ("M_TILES", 1),
            ("N_TILES", 2),
        ],
        kernels: &[SEQUENCES, PAGES, coop_attention!("include/matrices_16.wgsl")],
    },
    Artifact {
        op: "flash_attn",
        variant: "coop8",
        needs: MATRICES_8,
        relies: &["matrices_8"],
        sizes: &[
            ("THREADS", 128),
            ("SIDE", 8),
            ("WORKGROUP_BYTES", 32768),
            ("BLOCK_M", 32),
            ("BLOCK_N", 64),
            ("SPLIT", 0),
            ("M_TILES", 2),
            ("N_TILES", 4),
        ],
        kernels: &[SEQUENCES, PAGES, coop_attention!("include/matrices_8.wgsl")],
    },
    Artifact {
        op: "flash_attn",
        variant: "portable",
        needs: &[],
        relies: &[],
        // BLOCK_M and BLOCK_N are for heads of up to 64 elements; wider ones get as many fewer.
        sizes: &[("THREADS", 256), ("BLOCK_M", 32), ("BLOCK_N", 16), ("SPLIT", 0)],
        kernels: ATTENTION,
    },
    Artifact {
        op: "moe_route",
        variant: "subgroup",
        needs: SUBGROUPS,
        relies: &["subgroups"],
        sizes: &[("THREADS", 128)],
        kernels: &[
            kernel!("moe_route": "include/sum_subgroup.wgsl", "include/rank.wgsl", "moe/top_k.wgsl", "moe/route.wgsl"),
        ],
    },
    small(
        "moe_route",
        &[kernel!("moe_route": "include/sum.wgsl", "include/rank.wgsl", "moe/top_k.wgsl", "moe/route.wgsl")],
    ),
    small("moe_sort", &[kernel!("moe_sort": "include/faults.wgsl", "moe/sort.wgsl")]),
    Artifact {
        op: "moe_dispatch",
        variant: "few",
        needs: &[],
        relies: &[],
        sizes: &[("THREADS", 128)],
        kernels: &[kernel!("moe_few": "include/sum.wgsl", "include/rank.wgsl", "moe/top_k.wgsl", "moe/few.wgsl")],
    },
    Artifact {
        op: "moe_dispatch",
        variant: "subgroup",
        needs: SUBGROUPS,
        relies: &["subgroups"],
        sizes: &[("THREADS", 128)],
        kernels: &[
            kernel!("moe_route": "include/sum_subgroup.wgsl", "include/rank.wgsl", "moe/top_k.wgsl", "moe/route.wgsl"),
            kernel!("moe_sort": "include/faults.wgsl", "moe/sort.wgsl"),
        ],
    },
    small(
        "moe_dispatch",
        &[
            kernel!("moe_route": "include/sum.wgsl", "include/rank.wgsl", "moe/top_k.wgsl", "moe/route.wgsl"),
            kernel!("moe_sort": "include/faults.wgsl", "moe/sort.wgsl"),
        ],
    ),
    small("moe_permute", &[kernel!("moe_permute": "include/faults.wgsl", "moe/permute.wgsl")]),
    small("moe_combine", &[kernel!("moe_combine": "include/faults.wgsl", "moe/combine.wgsl")]),
    Artifact {
        op: "kv_append",
        variant: "together",
        needs: &[],
        relies: &[],
        sizes: &[("THREADS", 128), ("BINDINGS", 13)],
        kernels: &[
            kernel!("kv_append": "include/faults.wgsl", "include/rotate.wgsl", "include/kv_store.wgsl", "rope/head.wgsl",
            "kv_append/key.wgsl", "kv_append/value.wgsl", "kv_append/together.wgsl"),
        ],
    },
    small(
        "kv_append",
        &[
            kernel!("kv_append_keys": "include/faults.wgsl", "include/rotate.wgsl", "include/kv_store.wgsl", "kv_append/key.wgsl",
                "kv_append/keys.wgsl"),
            kernel!("kv_append_values": "include/kv_store.wgsl", "kv_append/value.wgsl", "kv_append/values.wgsl"),
            ROPE,
        ],
    ),
    small("rope", &[ROPE]),
    Artifact {
        op: "rms_norm",
        variant: "subgroup",
        needs: SUBGROUPS,
        relies: &["subgroups"],
        sizes: &[("THREADS", 256)],
        kernels: &[kernel!("rms_norm": "include/sum_subgroup.wgsl", "rms_norm/held.wgsl")],
    },
    Artifact {
        op: "rms_norm",
        variant: "held",
        needs: &[],
        relies: &[],
        sizes: &[("THREADS", 256)],
        kernels: &[kernel!("rms_norm": "include/sum.wgsl", "rms_norm/held.wgsl")],
    },
    small("rms_norm", &[kernel!("rms_norm": "include/sum.wgsl", "rms_norm/portable.wgsl")]),
    small("swiglu", &[kernel!("swiglu_rows": "include/swiglu.wgsl", "swiglu/portable.wgsl")]),
    Artifact {
        op: "argmax",
        variant: "subgroup",
        needs: SUBGROUPS,
        relies: &["subgroups"],
        sizes: &[("THREADS", 128)],
        kernels: &[
            kernel!("argmax_parts": "include/rank.wgsl", "argmax/best_subgroup.wgsl", "argmax/parts.wgsl"),
            kernel!("argmax": "include/rank.wgsl", "argmax/best_subgroup.wgsl", "argmax/portable.wgsl"),
        ],
    },
    small(
        "argmax",
        &[
            kernel!("argmax_parts": "include/rank.wgsl", "argmax/best.wgsl", "argmax/parts.wgsl"),
            kernel!("argmax": "include/rank.wgsl", "argmax/best.wgsl", "argmax/portable.wgsl"),
        ],
    ),
    small("embedding", &[kernel!("embedding": "include/faults.wgsl", "embedding/portable.wgsl")]),
    small("mxfp4_prepack", &[kernel!("mxfp4_prepack": "mxfp4_prepack/portable.wgsl")]),
];

/// The portable variant of an op that needs no tiles.
const fn small(op: &'static str, kernels: &'static [Kernel]) -> Artifact {
    Artifact { op, variant: "portable", needs: &[], relies: &[], sizes: &[("THREADS", 128)], kernels }
}
