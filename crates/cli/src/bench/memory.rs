//! How much memory this process takes, as far as the system says so.

use std::fs;

use serde::Serialize;

/// Bytes in memory, mapped files included as far as they are resident. `None` where the system does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Memory {
    /// Now.
    pub(super) resident_bytes: Option<u64>,
    /// At the highest.
    pub(super) peak_bytes: Option<u64>,
}

/// Reads `/proc/self/status`, which only Linux has.
pub(super) fn now() -> Memory {
    parse(&fs::read_to_string("/proc/self/status").unwrap_or_default())
}

fn parse(status: &str) -> Memory {
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kibibytes * 1024)
    };
    Memory {
        resident_bytes: field("VmRSS:"),
        peak_bytes: field("VmHWM:"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_or_unknown() {
        let status = "Name:\tpercept\nVmHWM:\t    2048 kB\nVmRSS:\t     512 kB\nThreads:\t2\n";
        let known = Memory {
            resident_bytes: Some(512 << 10),
            peak_bytes: Some(2 << 20),
        };
        let unknown = Memory {
            resident_bytes: None,
            peak_bytes: None,
        };
        for (status, memory) in [
            (status, known),
            ("", unknown),
            ("VmRSS: many\nVmHWM:\t1 MB\n", unknown),
        ] {
            assert_eq!(parse(status), memory, "{status:?}");
        }
    }
}
