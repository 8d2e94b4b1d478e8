// A device of Dawn's for src/wgpu/dawn.rs: reads requests from stdin, writes an answer to each to stdout. Both are frames: the
// lengths of a header in JSON and of the bytes behind it, each in four bytes, lowest first; then the two.
import fs from 'node:fs';
import { create, globals } from 'webgpu';

// Events are looked for as long as the process runs: what nobody names any more would be freed before. Without the zeroing of
// workgroup memory, which kernels do not ask for, software compiles them eight times faster.
Object.assign(globalThis, globals, { gpu: create(['enable-dawn-features=disable_workgroup_init']) });

function readExactly(count) {
  const bytes = Buffer.alloc(count);
  for (let have = 0; have < count;) {
    const got = fs.readSync(0, bytes, have, count - have, null);
    if (got === 0) process.exit(0); // nobody asks any more
    have += got;
  }
  return bytes;
}

function answer(header, bytes = new Uint8Array()) {
  const json = Buffer.from(JSON.stringify(header));
  const lengths = Buffer.alloc(8);
  lengths.writeUInt32LE(json.length, 0);
  lengths.writeUInt32LE(bytes.length, 4);
  for (const part of [lengths, json, bytes]) {
    for (let done = 0; done < part.length;) done += fs.writeSync(1, part, done);
  }
}

const adapter = await gpu.requestAdapter();
if (!adapter) {
  answer({ error: 'Dawn finds no adapter' });
  process.exit(0);
}
const wanted = ['shader-f16', 'subgroups'].filter((feature) => adapter.features.has(feature));
const device = await adapter.requestDevice({ requiredFeatures: wanted });
const { description, subgroupMinSize, subgroupMaxSize } = adapter.info;
answer({ name: description, features: wanted, subgroups: [subgroupMinSize ?? 0, subgroupMaxSize ?? 0] });

const buffers = new Map();
const pipelines = [];
const storage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;

const requests = {
  alloc({ id, size }) {
    buffers.set(id, device.createBuffer({ size, usage: storage }));
  },
  free({ id }) {
    buffers.get(id).destroy();
    buffers.delete(id);
  },
  write({ id, offset }, bytes) {
    device.queue.writeBuffer(buffers.get(id), offset, bytes);
  },
  async read({ id, offset, size }) {
    const staging = device.createBuffer({ size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(buffers.get(id), offset, staging, 0, size);
    device.queue.submit([encoder.finish()]);
    await staging.mapAsync(GPUMapMode.READ);
    const bytes = new Uint8Array(staging.getMappedRange()).slice();
    staging.destroy();
    return bytes;
  },
  async pipeline({ entry, bindings }, text) {
    const type = (i) => (i === 0 ? 'uniform' : 'storage');
    const entries = Array.from({ length: bindings + 1 }, (_, binding) => ({
      binding,
      visibility: GPUShaderStage.COMPUTE,
      buffer: { type: type(binding) },
    }));
    const group = device.createBindGroupLayout({ entries });
    const layout = device.createPipelineLayout({ bindGroupLayouts: [group] });
    const module = device.createShaderModule({ code: text.toString() });
    const faults = (await module.getCompilationInfo()).messages.filter((m) => m.type === 'error');
    if (faults.length > 0) throw new Error(faults.map((m) => `${m.lineNum}:${m.linePos}: ${m.message}`).join('\n'));
    pipelines.push({ group, pipeline: await device.createComputePipelineAsync({ layout, compute: { module, entryPoint: entry } }) });
  },
  // Parameters of the dispatches lie one behind the other in `bytes`.
  run({ dispatches }, bytes) {
    const encoder = device.createCommandEncoder();
    let first = 0;
    for (const { pipeline: index, size, bound, groups } of dispatches) {
      const uniform = device.createBuffer({ size, usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST });
      device.queue.writeBuffer(uniform, 0, bytes.subarray(first, first + size));
      first += size;
      const { group, pipeline } = pipelines[index];
      const places = bound.map(([id, offset, size]) => ({ buffer: buffers.get(id), offset, size }));
      const entries = [{ buffer: uniform }, ...places].map((resource, binding) => ({ binding, resource }));
      const pass = encoder.beginComputePass();
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, device.createBindGroup({ layout: group, entries }));
      pass.dispatchWorkgroups(...groups);
      pass.end();
    }
    device.queue.submit([encoder.finish()]);
  },
};

for (;;) {
  const lengths = readExactly(8);
  const header = JSON.parse(readExactly(lengths.readUInt32LE(0)).toString());
  const bytes = readExactly(lengths.readUInt32LE(4));
  const scopes = ['validation', 'out-of-memory', 'internal'];
  for (const scope of scopes) device.pushErrorScope(scope);
  let got;
  let error;
  try {
    got = await requests[header.request](header, bytes);
  } catch (e) {
    error = String(e.message ?? e);
  }
  for (const _ of scopes) {
    const caught = await device.popErrorScope();
    error ??= caught?.message;
  }
  answer(error === undefined ? {} : { error }, got);
}
