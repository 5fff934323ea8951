//! Which kernel runs where.

use crate::{DotKernel, instruction_sets, kernel_name};

/// An operation, and what could do it on this CPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelChoice {
    /// What is computed.
    pub operation: &'static str,
    /// The kernels for it, the fastest first.
    pub candidates: Vec<Candidate>,
}

/// A kernel for an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its name, mostly that of the instructions it is made of.
    pub name: String,
    /// Whether this CPU has them.
    pub is_supported: bool,
    /// Whether it is the one that runs.
    pub is_chosen: bool,
}

/// What runs on this CPU.
pub fn kernels() -> Vec<KernelChoice> {
    let int8 = DotKernel::ALL.map(|kernel| Candidate {
        name: kernel.name().to_owned(),
        is_supported: kernel.is_supported(),
        is_chosen: kernel == DotKernel::best(),
    });
    let f32 = Candidate {
        name: kernel_name(),
        is_supported: true,
        is_chosen: true,
    };
    let known: &[&str] = match std::env::consts::ARCH {
        "x86_64" => &["avx512", "avx2", "generic"],
        "aarch64" => &["neon", "generic"],
        _ => &["generic"],
    };
    let available = instruction_sets();
    let vector = known.iter().map(|name| Candidate {
        name: (*name).to_owned(),
        is_supported: available.contains(name),
        is_chosen: available.first() == Some(name),
    });
    let vector: Vec<Candidate> = vector.collect();
    let choice = |operation, candidates| KernelChoice {
        operation,
        candidates,
    };
    vec![
        choice("matrix product, 8-bit", int8.into()),
        choice("matrix product, 32-bit", vec![f32]),
        choice("attention, 32-bit", vector.clone()),
        choice("quantisation with layer norm or SiLU", vector.clone()),
        choice("convolution", vector.clone()),
        choice("norm, softmax and gates", vector),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_has_one_supported_choice() {
        for KernelChoice {
            operation,
            candidates,
        } in kernels()
        {
            let chosen: Vec<_> = candidates.iter().filter(|c| c.is_chosen).collect();
            assert!(
                chosen.len() == 1 && chosen[0].is_supported,
                "{operation}: {candidates:?}"
            );
        }
    }
}
