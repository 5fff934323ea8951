//! `percept bench --kernels`: what could compute each operation, and what does.

use std::fmt::Write;

use percept::KernelChoice;
use serde::Serialize;

/// An operation and its kernels, the fastest first.
#[derive(Debug, Serialize)]
pub(super) struct Operation {
    operation: &'static str,
    candidates: Vec<Candidate>,
}

#[derive(Debug, Serialize)]
struct Candidate {
    name: String,
    /// Whether this CPU can run it.
    supported: bool,
    /// Whether it is the one that runs.
    chosen: bool,
}

/// The object of `--kernels --format json`.
#[derive(Debug, Serialize)]
pub(super) struct Only {
    pub(super) kernels: Vec<Operation>,
}

/// The kernels of every operation.
pub(super) fn found() -> Vec<Operation> {
    let operation = |choice: KernelChoice| Operation {
        operation: choice.operation,
        candidates: choice
            .candidates
            .into_iter()
            .map(|candidate| Candidate {
                name: candidate.name,
                supported: candidate.is_supported,
                chosen: candidate.is_chosen,
            })
            .collect(),
    };
    percept::kernels().into_iter().map(operation).collect()
}

/// An operation a block, its kernels below it.
pub(super) fn table(operations: &[Operation]) -> String {
    let all = operations.iter().flat_map(|o| &o.candidates);
    let width = all.map(|candidate| candidate.name.len()).max();
    let width = width.unwrap_or_default();
    let mut table = String::new();
    for (n, operation) in operations.iter().enumerate() {
        let gap = if n == 0 { "" } else { "\n" };
        writeln!(table, "{gap}{}", operation.operation).expect("a String takes everything");
        for candidate in &operation.candidates {
            let (mark, state) = match candidate {
                Candidate { chosen: true, .. } => ('*', "runs"),
                Candidate {
                    supported: true, ..
                } => (' ', "could run, but is slower"),
                _ => (' ', "not on this CPU"),
            };
            writeln!(table, "  {mark} {:width$}  {state}", candidate.name)
                .expect("a String takes everything");
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chosen_kernel_is_marked() {
        let candidate = |name: &str, supported, chosen| Candidate {
            name: name.to_owned(),
            supported,
            chosen,
        };
        let operations = [Operation {
            operation: "matrix product",
            candidates: vec![
                candidate("avx512-vnni", false, false),
                candidate("avx2", true, true),
                candidate("portable", true, false),
            ],
        }];
        assert_eq!(
            table(&operations),
            "matrix product\n    avx512-vnni  not on this CPU\n  * avx2         runs\n    portable     could run, but \
             is slower\n"
        );
    }
}
