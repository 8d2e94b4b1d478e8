//! Texts with cooperative matrices, as SPIR-V of our making.
//!
//! They need the Vulkan memory model, in which every access is private to an invocation unless it says otherwise, and a barrier
//! orders what is not private alone. naga writes neither (wgpu issue 8805), so a driver may move accesses of workgroup memory
//! across barriers; one did. Here naga's words get both. And a word that is unpacked to a pair of f32 and made f16 again is that pair as
//! it is: naga has no bitcast to vectors of f16.

use std::collections::{HashMap, HashSet};

const MEMORY_MODEL: u32 = 14;
const VULKAN: u32 = 3;
const STORE: u32 = 62;
const LOAD: u32 = 61;
const MATRIX_LOAD: u32 = 4457;
const MATRIX_STORE: u32 = 4458;
const CONTROL_BARRIER: u32 = 224;
const MEMORY_BARRIER: u32 = 225;
const TYPE_POINTER: u32 = 32;
const CONSTANT: u32 = 43;
const VARIABLE: u32 = 59;
const ACCESS_CHAIN: u32 = 65;
/// Storage classes that invocations share.
const SHARED: [u32; 2] = [4, 12];
const NON_PRIVATE: u32 = 0x20;
/// Make available, make visible.
const SEMANTICS: u32 = 0x2000 | 0x4000;
const HEADER: usize = 5;
const EXTENDED: u32 = 12;
const UNPACK_HALF: u32 = 62;
const CONVERT: u32 = 115;
const BITCAST: u32 = 124;

/// A text as a module: by wgpu, or where it has cooperative matrices for Vulkan by us.
///
/// # Errors
/// What naga says of a text with cooperative matrices; wgpu tells its own in the error scope around.
///
/// # Safety
/// What the text does is right without the checks that are off.
pub(super) unsafe fn module(
    device: &wgpu::Device,
    label: &str,
    text: &str,
    checks: wgpu::ShaderRuntimeChecks,
) -> Result<wgpu::ShaderModule, String> {
    let label = Some(label);
    if !text.contains("enable wgpu_cooperative_matrix;") || device.adapter_info().backend != wgpu::Backend::Vulkan {
        let source = wgpu::ShaderSource::Wgsl(text.into());
        // SAFETY: the caller's.
        return Ok(unsafe {
            device.create_shader_module_trusted(wgpu::ShaderModuleDescriptor { label, source }, checks)
        });
    }
    let (names, words) = compiled(text)?;
    // SAFETY: the caller's, and naga has validated what becomes SPIR-V here.
    Ok(unsafe {
        device.create_shader_module_passthrough(wgpu::ShaderModuleDescriptorPassthrough {
            label,
            entry_points: names.into(),
            spirv: Some(words.into()),
            ..Default::default()
        })
    })
}

/// What a pipeline can name, and the words. wgpu reads no names from words that are passed on.
pub(super) fn compiled(text: &str) -> Result<(Vec<wgpu::PassthroughShaderEntryPoint<'static>>, Vec<u32>), String> {
    use naga::{back::spv, proc::BoundsCheckPolicy::Unchecked, valid};
    let module = naga::front::wgsl::parse_str(text).map_err(|e| e.emit_to_string(text))?;
    // f16 in words is everywhere.
    let needs = valid::Capabilities::SHADER_FLOAT16
        | valid::Capabilities::SHADER_FLOAT16_IN_FLOAT32
        | valid::Capabilities::COOPERATIVE_MATRIX;
    let info = valid::Validator::new(valid::ValidationFlags::all(), needs).validate(&module);
    let info = info.map_err(|e| e.emit_to_string(text))?;
    let options = spv::Options {
        lang_version: (1, 5),
        flags: spv::WriterFlags::empty(),
        bounds_check_policies: naga::proc::BoundsCheckPolicies {
            index: Unchecked,
            buffer: Unchecked,
            image_load: Unchecked,
            binding_array: Unchecked,
        },
        zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
        force_loop_bounding: false,
        ..spv::Options::default()
    };
    let words = spv::write_vec(&module, &info, &options, None).map_err(|e| e.to_string())?;
    let names = module.entry_points.iter().map(|e| wgpu::PassthroughShaderEntryPoint {
        name: e.name.clone().into(),
        workgroup_size: e.workgroup_size.into(),
    });
    Ok((names.collect(), shared(words).and_then(reinterpreted).ok_or("naga's SPIR-V breaks off")?))
}

/// The same words, in which halves that become f32 and f16 again stay what they are. Only f16 is converted to: a vector of two f32
/// needs no conversion to anything else.
fn reinterpreted(words: Vec<u32>) -> Option<Vec<u32>> {
    let mut unpacked = HashMap::new();
    let mut out = words.get(..HEADER)?.to_vec();
    for i in instructions(&words)? {
        match (i[0] & 0xffff, &i[1..]) {
            (EXTENDED, [_, id, _, UNPACK_HALF, word]) => drop(unpacked.insert(*id, *word)),
            (CONVERT, [kind, id, from]) if unpacked.contains_key(from) => {
                out.extend([4 << 16 | BITCAST, *kind, *id, unpacked[from]]);
                continue;
            }
            _ => {}
        }
        out.extend(i);
    }
    Some(out)
}

/// The same words, in which accesses of what invocations share say so, and barriers make it available and visible.
fn shared(words: Vec<u32>) -> Option<Vec<u32>> {
    let instructions = instructions(&words)?;
    // Kernels beside those with matrices: in the older model every access is shared.
    if !instructions.iter().any(|i| matches!(i, [op, _, VULKAN] if op & 0xffff == MEMORY_MODEL)) {
        return Some(words);
    }
    let mut classes = HashMap::new();
    let mut pointers = HashSet::new();
    let mut barriers = HashMap::new();
    let mut bound = *words.get(3)?;
    for i in &instructions {
        match (i[0] & 0xffff, &i[1..]) {
            (TYPE_POINTER, [id, class, ..]) => drop(classes.insert(*id, *class)),
            (VARIABLE | ACCESS_CHAIN, [kind, id, ..]) if classes.get(kind).is_some_and(|c| SHARED.contains(c)) => {
                pointers.insert(*id);
            }
            (CONTROL_BARRIER, [_, _, semantics]) | (MEMORY_BARRIER, [_, semantics]) => {
                barriers.entry(*semantics).or_insert_with(|| {
                    bound += 1;
                    bound - 1
                });
            }
            _ => {}
        }
    }
    let mut out = words.get(..HEADER)?.to_vec();
    out[3] = bound;
    for i in instructions {
        let mut i = i.to_vec();
        // Where its pointer is, and how many words it has without memory operands.
        let access = match i[0] & 0xffff {
            LOAD => Some((3, 4)),
            STORE => Some((1, 3)),
            MATRIX_LOAD => Some((3, 6)),
            MATRIX_STORE => Some((1, 5)),
            _ => None,
        };
        if let Some((pointer, plain)) = access
            && pointers.contains(i.get(pointer)?)
        {
            match i.get_mut(plain) {
                Some(operands) => *operands |= NON_PRIVATE,
                None => i.push(NON_PRIVATE),
            }
        }
        let named = match i[0] & 0xffff {
            CONTROL_BARRIER => i.get_mut(3),
            MEMORY_BARRIER => i.get_mut(2),
            _ => None,
        };
        if let Some(semantics) = named {
            *semantics = *barriers.get(semantics)?;
        }
        let twin = (i[0] & 0xffff == CONSTANT).then(|| barriers.get(i.get(2)?)).flatten();
        let twin = twin.map(|id| [i[0], i[1], *id, i[3] | SEMANTICS]);
        i[0] = (i.len() as u32) << 16 | i[0] & 0xffff;
        out.extend(i);
        out.extend(twin.into_iter().flatten());
    }
    Some(out)
}

/// What follows the header, cut where each instruction says that it ends.
fn instructions(words: &[u32]) -> Option<Vec<&[u32]>> {
    let mut rest = words.get(HEADER..)?;
    let mut all = Vec::new();
    while let Some(first) = rest.first() {
        let (one, after) = rest.split_at_checked((first >> 16).max(1) as usize)?;
        all.push(one);
        rest = after;
    }
    Some(all)
}

/// What would still be an invocation's own, or order nothing: accesses through any pointer to what is shared, and barriers. In words
/// without the Vulkan memory model, all of them.
#[cfg(test)]
pub(super) fn unmarked(words: &[u32]) -> Vec<Vec<u32>> {
    let all = instructions(words).unwrap_or_default();
    let pointers: HashSet<u32> =
        all.iter().filter(|i| i[0] & 0xffff == TYPE_POINTER && SHARED.contains(&i[2])).map(|i| i[1]).collect();
    // Whatever makes a pointer: type and id are the first words of all that has a result.
    let shared: HashSet<u32> = all.iter().filter(|i| i.len() > 2 && pointers.contains(&i[1])).map(|i| i[2]).collect();
    let orders = |id: u32| all.iter().any(|i| i[0] & 0xffff == CONSTANT && i[2] == id && i[3] & SEMANTICS == SEMANTICS);
    let wrong = |i: &&[u32]| match i[0] & 0xffff {
        LOAD => shared.contains(&i[3]) && i.get(4).is_none_or(|o| o & NON_PRIVATE == 0),
        STORE => shared.contains(&i[1]) && i.get(3).is_none_or(|o| o & NON_PRIVATE == 0),
        MATRIX_LOAD => shared.contains(&i[3]) && i.get(6).is_none_or(|o| o & NON_PRIVATE == 0),
        MATRIX_STORE => shared.contains(&i[1]) && i.get(5).is_none_or(|o| o & NON_PRIVATE == 0),
        CONTROL_BARRIER => !orders(i[3]),
        MEMORY_BARRIER => !orders(i[2]),
        _ => false,
    };
    all.iter().copied().filter(|i| wrong(i)).map(<[u32]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "enable f16; enable wgpu_cooperative_matrix;
        @group(0) @binding(0) var<storage, read_write> words: array<f32>;
        var<workgroup> a: array<vec4<f16>, 64>;
        var<workgroup> products: array<f32, 256>;
        @compute @workgroup_size(32) fn probe(@builtin(local_invocation_index) lane: u32) {
            var own = lane;
            a[lane] = vec4<f16>(vec4<f32>(words[own]));
            workgroupBarrier();
            let x = coopLoadT<coop_mat16x16<f16, A>>(&a[0], 4u);
            let y = coopLoad<coop_mat16x16<f16, B>>(&a[0], 4u);
            coopStoreT(coopMultiplyAdd(x, y, coop_mat16x16<f32, C>()), &products[0], 16u);
            storageBarrier();
            workgroupBarrier();
            let pair = vec2<f16>(unpack2x16float(own)) * 2.0h;
            words[lane] = products[lane] + f32(pair.x) + unpack2x16float(lane).y;
        }";

    #[test]
    fn a_pair_of_halves_stays_as_it_is() {
        let (_, words) = compiled(TEXT).unwrap();
        let all = instructions(&words).unwrap();
        let of = |op: u32| all.iter().filter(|i| i[0] & 0xffff == op).collect::<Vec<_>>();
        let unpacks: Vec<_> = of(EXTENDED).into_iter().filter(|i| i[4] == UNPACK_HALF).collect();
        // One is read as f32, the other as it is: no conversion is left of that.
        assert_eq!((unpacks.len(), of(BITCAST).len()), (2, 1));
        assert!(unpacks.iter().any(|u| u[5] == of(BITCAST)[0][3]));
        assert!(of(CONVERT).iter().all(|c| unpacks.iter().all(|u| u[2] != c[3])));
    }

    #[test]
    fn every_shared_access_and_barrier_says_so() {
        let (_, words) = compiled(TEXT).unwrap();
        let of = |op: u32| -> Vec<Vec<u32>> {
            instructions(&words).unwrap().into_iter().filter(|i| i[0] & 0xffff == op).map(<[u32]>::to_vec).collect()
        };
        let count = |op, plain| (of(op).iter().filter(|i| i.get(plain) == Some(&NON_PRIVATE)).count(), of(op).len());
        assert_eq!((count(MATRIX_LOAD, 6), count(MATRIX_STORE, 5)), ((2, 2), (1, 1)));
        // Shared: words and products are read, a and words are written; the rest is an invocation's own.
        let (loads, stores) = (count(LOAD, 4), count(STORE, 3));
        assert_eq!((loads.0, stores.0), (2, 2));
        assert!(loads.1 > 2 && stores.1 > 2);
        let barriers = of(CONTROL_BARRIER);
        assert_eq!(barriers.len(), 3);
        for barrier in barriers {
            let constant = of(CONSTANT).into_iter().find(|c| c[2] == barrier[3]).unwrap();
            assert_eq!(constant[3] & SEMANTICS, SEMANTICS);
            assert!(barrier[3] < words[3], "ids end below the bound");
        }
    }

    #[test]
    fn what_is_not_marked_is_found() {
        let (_, words) = compiled(TEXT).unwrap();
        assert_eq!(unmarked(&words), Vec::<Vec<u32>>::new());
        let mut at = HEADER;
        let mut faults = 0;
        while at < words.len() {
            let (op, len) = (words[at] & 0xffff, (words[at] >> 16) as usize);
            let mut other = words.clone();
            // The word that says it is the last one.
            let last = &mut other[at + len - 1];
            let marked = match op {
                LOAD | STORE | MATRIX_LOAD | MATRIX_STORE => *last == NON_PRIVATE && len > 3,
                CONSTANT => *last & SEMANTICS == SEMANTICS,
                _ => false,
            };
            if marked {
                *last = 0;
                assert_ne!(unmarked(&other), Vec::<Vec<u32>>::new(), "{op}");
                faults += 1;
            }
            at += len;
        }
        assert_eq!(faults, 9, "two loads and two stores, of matrices two and one, semantics of two kinds of barriers");
    }

    #[test]
    fn words_that_break_off_are_none() {
        let (_, words) = compiled(TEXT).unwrap();
        assert_eq!(shared(words[..HEADER + 1].to_vec()), None);
        assert_eq!(shared(words[..3].to_vec()), None);
    }

    #[test]
    fn a_text_that_naga_refuses_is_words() {
        assert!(compiled("fn probe() { let x = y; }").unwrap_err().contains('y'));
    }
}
