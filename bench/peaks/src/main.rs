//! What the machine can do at most, and what each kernel makes of it: `peaks [THREADS]`, JSON on standard output.
//!
//! A peak is the best of many short runs, all threads at once: it asks what the hardware can do, and a disturbed run says
//! nothing about that. A kernel's figure is a median, as everywhere else in this folder.

mod compute;
mod kernels;
mod memory;
mod together;

use std::error::Error;

use serde_json::json;

/// The limits of a machine, in operations and bytes a second. A multiply-add is two operations.
struct Peaks {
    f32: f64,
    bf16: Option<f64>,
    int8: Option<f64>,
    memory: f64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let threads = match std::env::args().nth(1) {
        Some(text) => text.parse()?,
        None => std::thread::available_parallelism()?.get(),
    };
    let loops = compute::loops();
    let peak = |kind| {
        let found = loops.iter().find(|found| found.kind == kind)?;
        Some(compute::measure(found, threads))
    };
    let peaks = Peaks {
        f32: peak(compute::Kind::F32).ok_or("no loop for the floats of this CPU")?,
        bf16: peak(compute::Kind::Bf16),
        int8: peak(compute::Kind::Int8),
        memory: memory::measure(threads),
    };
    let kernels = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()?
        .install(|| kernels::measure(&peaks, threads));
    let giga = |value: f64| (value / 1e8).round() / 10.0;
    let report = json!({
        "threads": threads,
        "instructions": loops.iter().map(|found| found.instruction).collect::<Vec<_>>(),
        "f32_gflops": giga(peaks.f32),
        "bf16_gflops": peaks.bf16.map(giga),
        "int8_gops": peaks.int8.map(giga),
        "memory_gbps": giga(peaks.memory),
        "kernels": kernels,
    });
    println!("{report:#}");
    Ok(())
}
