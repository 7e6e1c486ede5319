//! How long it takes until a detector stands: compiled anew, and from the cache.

use std::error::Error;

use tokio::runtime::Runtime;
use tokio::time::Instant;
use watchfire_pipeline::DetectorFactory;

use crate::{binding, built, sandbox};

/// What makes a large component of a small one, bytes.
const LARGE: usize = 20 << 20;
/// Loops in each of its functions.
const LOOPS: usize = 20;
/// Starts of which the median counts.
const STARTS: usize = 9;
const CONFIG: &str = r#"{"high":90}"#;

/// Prints the table.
pub fn print(runtime: &Runtime, others: &[&str]) -> Result<(), Box<dyn Error>> {
    let limit = built("limit")?;
    let mut components = vec![
        ("limit".to_owned(), limit.clone(), CONFIG),
        (format!("limit, made {} MB", LARGE >> 20), with_code(limit, LARGE), CONFIG),
    ];
    for file in others.iter().filter(|word| word.ends_with(".wasm")) {
        components.push(((*file).to_owned(), std::fs::read(file)?, "{}"));
    }
    println!(
        "| component | bytes | machine code, bytes | compiled and started, ms | started from the cache, ms | longest, ms \
         | CPU time of that, ms |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|");
    for (name, bytes, config) in components {
        let folder = tempfile::tempdir()?;
        let size = bytes.len();
        let (mut times_ms, mut cpu_ms) = (Vec::new(), 0);
        for start in 0..=STARTS {
            let sandbox = sandbox(vec![("it".to_owned(), bytes.clone().into())], Some(folder.path().to_owned()))?;
            let binding = binding("it", config, 1);
            let (begun, used_ms) = (Instant::now(), cpu_time_ms()?);
            runtime.block_on(sandbox.create(&binding))?;
            times_ms.push(begun.elapsed().as_secs_f64() * 1e3);
            // The first one was compiled.
            cpu_ms += if start == 0 { 0 } else { cpu_time_ms()? - used_ms };
        }
        let cpu_ms = cpu_ms as f64 / STARTS as f64;
        let compiled_ms = times_ms.remove(0);
        times_ms.sort_by(f64::total_cmp);
        let (median, longest) =
            (times_ms.get(STARTS / 2).copied().unwrap_or_default(), times_ms.last().copied().unwrap_or_default());
        let code: u64 = std::fs::read_dir(folder.path())?
            .flatten()
            .filter_map(|entry| Some(entry.metadata().ok()?.len()))
            .max()
            .unwrap_or_default();
        println!("| {name} | {size} | {code} | {compiled_ms:.0} | {median:.1} | {longest:.1} | {cpu_ms:.0} |");
    }
    Ok(())
}

/// What this process has computed, its threads together: unlike the time that passed it does not depend on who else runs.
/// The system counts it in hundredths of a second.
fn cpu_time_ms() -> Result<u64, Box<dyn Error>> {
    let told = std::fs::read_to_string("/proc/self/stat")?;
    let (_, after_name) = told.rsplit_once(')').ok_or("no name in /proc/self/stat")?;
    let hundredths: Result<Vec<u64>, _> = after_name.split_whitespace().skip(11).take(2).map(str::parse).collect();
    Ok(hundredths?.iter().sum::<u64>() * 10)
}

/// The component with a core module beside it that stands there unused: a third of it code, the rest data, as in an
/// interpreter's component.
fn with_code(mut component: Vec<u8>, bytes: usize) -> Vec<u8> {
    // A loop over memory: loads, arithmetic, a branch, a store.
    const LOOP: [u8; 46] = [
        0x03, 0x40, // loop
        0x20, 0, 0xA7, 0x29, 3, 8, 0x21, 1, // let x = memory[a + 8]
        0x20, 1, 0x20, 0, 0x7C, 0x42, 7, 0x85, 0x21, 0, // a = (x + a) ^ 7
        0x20, 0, 0xA7, 0x20, 1, 0x37, 3, 16, // memory[a + 16] = x
        0x20, 0, 0xA7, 0x20, 0, 0x20, 1, 0x7E, 0x37, 3, 24, // memory[a + 24] = a * x
        0x20, 0, 0x42, 9, 0x56, 0x0D, 0, // again if a > 9
    ];
    let once = [LOOP.to_vec(), vec![0x0B]].concat();
    let body = [vec![1, 1, 0x7E], once.repeat(LOOPS), vec![0x0B]].concat();
    let count = bytes / 3 / body.len();
    let types = section(1, &[1, 0x60, 1, 0x7E, 0]);
    let functions = section(3, &[leb(count), vec![0; count]].concat());
    let pages = leb(bytes.div_ceil(1 << 16));
    let memory = section(5, &[vec![1, 0], pages].concat());
    let code = section(10, &[leb(count), [leb(body.len()), body].concat().repeat(count)].concat());
    let filled: Vec<u8> = (0..bytes - bytes / 3).map(|at| ((at * 31) >> 3) as u8).collect();
    let data = section(11, &[vec![1, 0, 0x41, 0, 0x0B], leb(filled.len()), filled].concat());
    component.extend(section(1, &[b"\0asm\x01\0\0\0".to_vec(), types, functions, memory, code, data].concat()));
    component
}

fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [vec![id], leb(content.len()), content.to_vec()].concat()
}

/// A number as WebAssembly writes it.
fn leb(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (number & 0x7F) as u8;
        number >>= 7;
        bytes.push(if number == 0 { low } else { low | 0x80 });
        if number == 0 {
            return bytes;
        }
    }
}
