# The commands that people and CI share.

# What CI runs.
check: fmt-check lint test docs

test:
    cargo test --workspace

fmt:
    cargo fmt --all

fmt-check:
    cargo fmt --all --check

lint:
    cargo clippy --workspace --all-targets -- -D warnings

docs:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# Licences, advisories and banned crates; needs cargo-deny.
deny:
    cargo deny check

# The tests on an emulated CPU with AVX2 and no AVX-512; needs qemu-user.
haswell:
    CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER="qemu-x86_64 -cpu Haswell" cargo test -p percept-kernels -p percept-nn
    CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER="qemu-x86_64 -cpu Haswell" cargo test -p percept-asr --lib --test golden --test search_golden

# With the microphone; on Linux this needs ALSA's headers.
mic:
    cargo build --release --features mic

# The examples of the library.
examples:
    cargo run --release -p percept --example simple_streaming
    cargo run --release -p percept --example streaming_transcribe -- models/tiny-en/samples/violin.flac

# Rebuilds the fixtures; needs the packages of golden/requirements.txt.
golden:
    python golden/parakeet.py
    python golden/stream.py
    python golden/mel.py
    python golden/codec.py fixtures

# Side by side with other runtimes; needs the packages of bench/requirements.txt. See bench/README.md.
bench *ARGS:
    cd bench && cargo build --release && python encoder.py {{ARGS}}

# The same for neural codecs.
bench-codec *ARGS:
    cd bench && cargo build --release && python codec.py {{ARGS}}

# The rules of bench/ and whether the README's table is that of its result; needs Python and nothing else.
bench-check:
    cd bench && python3 -m unittest && python3 table.py --check
