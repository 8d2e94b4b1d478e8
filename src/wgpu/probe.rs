//! What a driver must compute rightly for some variants, tried once when a device is taken: where it does not, they are not run.

use super::device::{Rewrite, caught, rewritten};
use super::source::enabled;
use super::spirv;
use dropless_kernels_wgsl::{PROBES, Probe};
use std::sync::mpsc;

/// Something that this device's driver gets wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Name of the probe.
    pub probe: &'static str,
    /// What came of it.
    pub reason: String,
}

/// The faults of a device, of those that variants for its features and its matrices of `side` x `side` rely on.
pub(super) fn faults(
    device: &wgpu::Device,
    queue: &wgpu::Queue,
    features: wgpu::Features,
    side: u32,
    rewrite: Option<&Rewrite>,
) -> Vec<Fault> {
    let known = |need: &&str| wgpu::Features::from_name(need).is_some_and(|f| features.contains(f));
    let mut faults = Vec::new();
    for probe in PROBES.iter().filter(|p| p.needs.iter().all(known) && (p.side == 0 || p.side == side)) {
        let (input, wanted) = match probe.name {
            "halves" => halves(),
            "subgroups" => subgroups(),
            _ => matrices(probe.side as usize),
        };
        let reason = match run(device, queue, rewritten(rewrite, text(probe)), &input, wanted.len()) {
            Ok(got) => match got.iter().zip(&wanted).position(|(got, want)| got != want) {
                None => continue,
                Some(i) => format!("result {i} is {:e}, not {:e}", f32::from_bits(got[i]), f32::from_bits(wanted[i])),
            },
            Err(reason) => reason,
        };
        faults.push(Fault { probe: probe.name, reason });
    }
    faults
}

/// Every e2m1 code with every other as f16 divided by 2^14, most of them subnormal; and their values.
fn halves() -> (Vec<u32>, Vec<u32>) {
    const VALUES: [f32; 8] = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0];
    let half = |code: u32| (code & 8) << 12 | (code & 7) << 9;
    let value =
        |code: u32| VALUES.iter().cycle().nth(code as usize).copied().unwrap_or(0.0).to_bits() | (code & 8) << 28;
    let words = (0..16).map(|code| half(code) | half(15 - code) << 16).collect();
    (words, (0..16).flat_map(|code| [value(code), value(15 - code)]).collect())
}

/// 128 numbers that f32 adds up exactly in any order; of each invocation their sum, the largest, its place, and two neighbours'.
fn subgroups() -> (Vec<u32>, Vec<u32>) {
    let value = |lane: u32| (lane * 37 % 101) as f32;
    let sum: f32 = (0..128).map(value).sum();
    // 37 * 30 is 100 more than a multiple of 101; no other lane has it.
    let wanted = |lane: u32| [sum, 100.0, 30.0, value(lane ^ 1), value(lane ^ 2)];
    ((0..128).map(|i| value(i).to_bits()).collect(), (0..128).flat_map(wanted).map(f32::to_bits).collect())
}

/// Four left and four right matrices of numbers that f16 holds, in part subnormal; and for each subgroup of four twice the sum of
/// three products: of its own, and of the two behind them. f32 holds them.
fn matrices(side: usize) -> (Vec<u32>, Vec<u32>) {
    let (one, all) = (side * side, 4 * side * side);
    let a = |i: usize| (i * 7 % 13) as f32 * 2f32.powi(-24);
    let b = |i: usize| (i * 5 % 11) as f32 - 5.0;
    let sum = |i: usize| {
        let product = |turn: usize| {
            let first = (i / one + turn) % 4 * one;
            let (row, column) = (first + i % one / side * side, first + i % side * side);
            (0..side).map(|k| 2.0 * a(row + k) * b(column + k)).sum::<f32>()
        };
        (0..3).map(product).sum::<f32>() + 0.0
    };
    let words = (0..all).map(a).chain((0..all).map(b));
    (words.map(f32::to_bits).collect(), (0..all).map(|i| sum(i).to_bits()).collect())
}

/// The whole text of a probe.
fn text(probe: &Probe) -> String {
    let side = if probe.side == 0 { String::new() } else { format!("const SIDE = {};\n", probe.side) };
    enabled(probe.needs) + &side + &probe.files.concat()
}

/// The words that a probe leaves behind its input.
fn run(
    device: &wgpu::Device,
    queue: &wgpu::Queue,
    text: String,
    input: &[u32],
    count: usize,
) -> Result<Vec<u32>, String> {
    use wgpu::BufferUsages as Usage;
    let (first, size) = (4 * input.len() as u64, 4 * (input.len() + count) as u64);
    let (sender, receiver) = mpsc::channel();
    let buffer = |size, usage| {
        device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("dropless probe"),
            size,
            usage,
            mapped_at_creation: false,
        })
    };
    let staging = caught(device, "a probe", || {
        let words = buffer(size, Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST);
        let staging = buffer(size - first, Usage::MAP_READ | Usage::COPY_DST);
        queue.write_buffer(&words, 0, bytemuck::cast_slice(input));
        let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some("dropless probe"),
            entries: &[wgpu::BindGroupLayoutEntry {
                binding: 0,
                visibility: wgpu::ShaderStages::COMPUTE,
                ty: wgpu::BindingType::Buffer {
                    ty: wgpu::BufferBindingType::Storage { read_only: false },
                    has_dynamic_offset: false,
                    min_binding_size: None,
                },
                count: None,
            }],
        });
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some("dropless probe"),
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        // SAFETY: probes stay inside their buffer, which `first` and `size` are made for.
        let module = unsafe { spirv::module(device, "dropless probe", &text, wgpu::ShaderRuntimeChecks::unchecked()) }?;
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some("dropless probe"),
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: Some("probe"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            cache: None,
        });
        let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("dropless probe"),
            layout: &layout,
            entries: &[wgpu::BindGroupEntry { binding: 0, resource: words.as_entire_binding() }],
        });
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            pass.set_pipeline(&pipeline);
            pass.set_bind_group(0, &group, &[]);
            pass.dispatch_workgroups(1, 1, 1);
        }
        encoder.copy_buffer_to_buffer(&words, first, &staging, 0, size - first);
        queue.submit([encoder.finish()]);
        staging.slice(..).map_async(wgpu::MapMode::Read, move |done| {
            // Where the wait below fails, nobody receives.
            let _ = sender.send(done);
        });
        Ok::<_, String>(staging)
    });
    let staging = staging.map_err(|e| e.to_string())??;
    device.poll(wgpu::PollType::wait_indefinitely()).map_err(|e| e.to_string())?;
    receiver.recv().map_err(|e| e.to_string())?.map_err(|e| e.to_string())?;
    let mapped = staging.slice(..).get_mapped_range().map_err(|e| e.to_string())?;
    Ok(bytemuck::pod_collect_to_vec(&mapped))
}
