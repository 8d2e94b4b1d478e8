//! A grid of blocks: their waves run until a barrier or their end, in turn.

use crate::decode::Program;
use crate::instruction::Flow;
use crate::lds::Lds;
use crate::memory::Memory;
use crate::object::Kernel;
use crate::wave::Wave;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Extents of a launch.
#[derive(Clone, Copy, Debug)]
pub struct Launch {
    /// Blocks.
    pub grid: [u32; 3],
    /// Threads of a block, in one dimension.
    pub threads: u32,
    /// Bytes of LDS beyond those that the kernel names.
    pub shared: u32,
}

/// What the waves of a block share.
pub struct Block<'a> {
    /// Its LDS.
    pub lds: Lds,
    memory: &'a Memory,
    /// The range that was touched last.
    last: (u64, u64),
}

impl Block<'_> {
    /// May the kernel touch these bytes?
    ///
    /// # Errors
    /// They are in no allocation.
    #[inline(always)]
    pub fn check(&mut self, address: u64, bytes: u64) -> Result<(), String> {
        if address >= self.last.0 && address < self.last.1 && bytes <= self.last.1 - address {
            return Ok(());
        }
        self.last = self.memory.range(address, bytes)?;
        Ok(())
    }
}

/// Runs a kernel to its end; gives the number of instructions.
///
/// # Errors
/// What the first wave that failed did, where, and why it is wrong.
pub fn run(
    program: &Program,
    kernel: &Kernel,
    launch: Launch,
    arguments: &[u8],
    memory: &Memory,
) -> Result<u64, String> {
    let mut segment = kernel.segment(launch, arguments)?;
    let mut memory = memory.clone();
    let address = segment.as_mut_ptr() as u64;
    memory.add(address, segment.len() as u64);
    let entry = program.index(kernel.entry).ok_or("the kernel starts where no instruction does")?;
    let [x, y, z] = launch.grid.map(u64::from);
    let (next, count, failed) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    let fault = Mutex::new(None);
    let work = || {
        while !failed.load(Ordering::Relaxed) {
            let n = next.fetch_add(1, Ordering::Relaxed);
            if n >= x * y * z {
                break;
            }
            let id = [n % x, n / x % y, n / x / y].map(|i| i as u32);
            match block(program, kernel, launch, entry, address, id, &memory) {
                Ok(instructions) => {
                    count.fetch_add(instructions, Ordering::Relaxed);
                }
                Err(e) => {
                    failed.store(true, Ordering::Relaxed);
                    let mut fault = fault.lock().unwrap_or_else(|e| e.into_inner());
                    fault.get_or_insert(format!("{} block {id:?} {e}", kernel.name));
                }
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min((x * y * z) as usize / 2);
    match threads {
        0 | 1 => work(),
        n => std::thread::scope(|scope| (0..n).for_each(|_| drop(scope.spawn(work)))),
    }
    match fault.into_inner().unwrap_or_else(|e| e.into_inner()) {
        Some(fault) => Err(fault),
        None => Ok(count.into_inner()),
    }
}

fn block(
    program: &Program,
    kernel: &Kernel,
    launch: Launch,
    entry: usize,
    arguments: u64,
    id: [u32; 3],
    memory: &Memory,
) -> Result<u64, String> {
    let lds = Lds::new((kernel.shared + launch.shared) as usize);
    let mut shared = Block { lds, memory, last: (1, 0) };
    let threads = launch.threads as usize;
    let mut waves: Vec<Wave> = (0..threads.div_ceil(kernel.lanes))
        .map(|w| {
            let mut wave = Wave::new(w, kernel.lanes, threads - w * kernel.lanes);
            kernel.start(&mut wave, arguments, id);
            wave.next = entry;
            wave
        })
        .collect();
    loop {
        let mut waiting = 0;
        for wave in waves.iter_mut().filter(|w| !w.done) {
            waiting += usize::from(until_barrier(program, wave, &mut shared)?);
        }
        if waiting == 0 {
            return Ok(waves.iter().map(|w| w.count).sum());
        }
        if waiting < waves.len() {
            return Err(format!("{} of {} waves are at a barrier, the others have ended", waiting, waves.len()));
        }
        shared.lds.barrier();
        for wave in &mut waves {
            for access in wave.signalled.take().unwrap_or_default() {
                shared.lds.late(wave.id, &access).map_err(|e| format!("wave {}: {e}", wave.id))?;
            }
        }
    }
}

/// A wave of a target behind some instructions, alone in its block with 512 bytes of LDS.
#[cfg(test)]
pub(crate) fn alone(arch: &str, code: &[&str], prepare: impl FnOnce(&mut Wave)) -> Result<Wave, String> {
    alone_in(arch, code, &Memory::new(), prepare)
}

/// The same, with memory that it may touch.
#[cfg(test)]
pub(crate) fn alone_in(
    arch: &str,
    code: &[&str],
    memory: &Memory,
    prepare: impl FnOnce(&mut Wave),
) -> Result<Wave, String> {
    let one = |(n, i): (usize, &&str)| format!("\t{i} // {:012x}: 00000000\n", 4 * n);
    let text: String = code.iter().chain(&["s_endpgm"]).enumerate().map(one).collect();
    let program = Program::new(&crate::listing::lines(&text)?, arch)?;
    let mut block = Block { lds: Lds::new(512), memory, last: (1, 0) };
    let lanes = if arch.starts_with("gfx9") { 64 } else { 32 };
    let mut wave = Wave::new(0, lanes, lanes);
    prepare(&mut wave);
    while until_barrier(&program, &mut wave, &mut block)? {
        wave.signalled = None;
    }
    Ok(wave)
}

/// True at a barrier, false at the end.
fn until_barrier(program: &Program, wave: &mut Wave, block: &mut Block<'_>) -> Result<bool, String> {
    loop {
        let i = program.instructions.get(wave.next).ok_or("runs past the end of the code")?;
        let said = |wave: &Wave, e: String| format!("wave {}, {:#x} `{}`: {e}", wave.id, i.address, i.text);
        wave.waits.check(i).map_err(|e| said(wave, e))?;
        wave.count += 1;
        wave.next += 1;
        match (i.run)(wave, i, block).map_err(|e| said(wave, e))? {
            Flow::Next => {}
            Flow::Jump(to) => wave.next = to,
            Flow::Barrier if wave.exec() != wave.threads => {
                return Err(said(
                    wave,
                    format!("lanes {:#x} reach the barrier, the wave has {:#x}", wave.exec(), wave.threads),
                ));
            }
            Flow::Barrier => return Ok(true),
            Flow::End => {
                wave.done = true;
                return Ok(false);
            }
        }
    }
}
