//! The instruction sets that kernels are compiled for, and a way to run one kernel on each of them.

/// Names of the instruction sets this CPU has, the one that kernels use first.
pub fn instruction_sets() -> Vec<&'static str> {
    let mut names = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        if rten_simd::isa::Avx512Isa::new().is_some() {
            names.push("avx512");
        }
        if rten_simd::isa::Avx2Isa::new().is_some() {
            names.push("avx2");
        }
    }
    #[cfg(target_arch = "aarch64")]
    names.push("neon");
    names.push("generic");
    names
}

/// Runs `make()` once on every instruction set of this CPU and hands each result to `check` with its name.
#[cfg(test)]
pub(crate) fn on_every_isa<Op: rten_simd::SimdOp>(
    make: impl Fn() -> Op,
    mut check: impl FnMut(&str, Op::Output),
) {
    #[cfg(target_arch = "x86_64")]
    {
        match rten_simd::isa::Avx512Isa::new() {
            Some(isa) => check("avx512", make().eval(isa)),
            None => eprintln!("skipped: this CPU has no AVX-512"),
        }
        match rten_simd::isa::Avx2Isa::new() {
            Some(isa) => check("avx2", make().eval(isa)),
            None => eprintln!("skipped: this CPU has no AVX2"),
        }
    }
    #[cfg(target_arch = "aarch64")]
    if let Some(isa) = rten_simd::isa::ArmNeonIsa::new() {
        check("neon", make().eval(isa));
    }
    check("generic", make().eval(rten_simd::isa::GenericIsa::new()));
}
