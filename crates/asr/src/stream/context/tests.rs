use super::*;

#[test]
fn seconds_become_whole_frames_as_nemo_counts_them() {
    for (seconds, frames) in [
        (0.08, 1),
        (0.1, 1),
        (0.16, 2),
        (0.25, 3),
        (0.5, 6),
        (0.56, 7),
        (1.0, 12),
        (1.04, 13),
        (1.12, 14),
        (2.0, 25),
        (2.32, 28),
        (5.6, 70),
        (10.0, 125),
        (3600.0, 45_000),
    ] {
        let context = ContextConfig::new(seconds, seconds, seconds, 16_000).unwrap();
        let want = ContextConfig::from_frames(frames, frames, frames).unwrap();
        assert_eq!(context, want, "{seconds} s");
        assert_eq!(context.right_samples(), frames * 1280);
        assert_eq!(context.window_frames(), 3 * frames);
    }
}

#[test]
fn a_frame_is_80_ms_at_every_rate() {
    for (rate, samples) in [
        (16_000, 1280),
        (8_000, 640),
        (48_000, 3840),
        (44_100, 3528),
        (11_025, 882),
        (1_001, 81),
    ] {
        let context = ContextConfig::new(0.0, 0.08, 0.16, rate).unwrap();
        assert_eq!(context.chunk_samples(), samples, "{rate} Hz");
        assert_eq!((context.left_samples(), context.sample_rate()), (0, rate));
    }
}

#[test]
fn sizes_that_no_window_has_are_refused_by_name() {
    let code = |l, c, r, rate| ContextConfig::new(l, c, r, rate).unwrap_err().code();
    for bad in [f64::NAN, f64::INFINITY, -0.1, 3600.1] {
        assert_eq!(code(bad, 2.0, 2.0, 16_000), "context-seconds");
        assert_eq!(code(10.0, bad, 2.0, 16_000), "context-seconds");
        assert_eq!(code(10.0, 2.0, bad, 16_000), "context-seconds");
    }
    assert_eq!(code(10.0, 0.0, 2.0, 16_000), "empty-chunk");
    assert_eq!(code(10.0, 0.079, 2.0, 16_000), "empty-chunk");
    for rate in [0, 999, 768_001, u32::MAX] {
        assert_eq!(code(10.0, 2.0, 2.0, rate), "sample-rate");
    }
    assert!(ContextConfig::from_frames(1, 0, 1).is_err());
    assert_eq!(
        ContextConfig::from_frames(1, 1, usize::MAX)
            .unwrap_err()
            .to_string(),
        format!(
            "the right context of {} frames is out of range; give at most 45000",
            usize::MAX
        )
    );
}

#[test]
fn presets_are_what_their_seconds_say_and_go_by_their_names() {
    let sizes = [
        (Preset::Quality, 10.0, 10.0, 5.0, "10-10-4.96"),
        (Preset::Balanced, 10.0, 2.0, 2.0, "10-2-2"),
        (Preset::Quick, 5.0, 1.0, 1.0, "4.96-0.96-0.96"),
        (Preset::Quickest, 2.0, 0.5, 0.5, "2-0.48-0.48"),
    ];
    for (preset, left, chunk, right, shown) in sizes {
        let context = ContextConfig::new(left, chunk, right, 16_000).unwrap();
        assert_eq!(preset.context(), context, "{preset}");
        assert_eq!(preset.name().parse(), Ok(preset));
        assert_eq!(context.to_string(), shown);
    }
    assert_eq!(ContextConfig::default(), Preset::default().context());
    assert_eq!(Preset::Balanced.context().latency_secs(), 4.0);
    let unknown = "fast".parse::<Preset>().unwrap_err();
    assert!(unknown.to_string().contains("`fast`"), "{unknown}");
}

#[test]
fn a_longer_right_than_left_is_allowed() {
    let context = ContextConfig::new(1.0, 0.16, 3.84, 16_000).unwrap();
    assert_eq!((context.left_frames(), context.right_frames()), (12, 48));
}

#[test]
fn sizes_that_a_model_does_badly_with_are_warned_of() {
    let full = AttentionMask::Full;
    let unified = AttentionMask::ChunkedWithRight {
        left: 70,
        chunk: 7,
        right: 7,
    };
    let nemotron = AttentionMask::Chunked {
        left: Some(70),
        right: 6,
    };
    let short = Some("short-right-context");
    let off_grid = Some("context-off-grid");
    for (mask, decoder, sizes, want) in [
        (&full, Decoder::Tdt, (125, 25, 12), None),
        (&full, Decoder::Tdt, (125, 25, 11), short),
        (&full, Decoder::Rnnt, (125, 25, 11), None),
        (&unified, Decoder::Tdt, (70, 7, 2), None),
        (&unified, Decoder::Rnnt, (70, 13, 13), off_grid),
        (&unified, Decoder::Rnnt, (70, 1, 0), None),
        (&nemotron, Decoder::Rnnt, (70, 14, 0), None),
        (&nemotron, Decoder::Rnnt, (70, 15, 0), off_grid),
        (&nemotron, Decoder::Rnnt, (69, 7, 0), off_grid),
    ] {
        let context = ContextConfig::from_frames(sizes.0, sizes.1, sizes.2).unwrap();
        let warning = context.warning(mask, decoder);
        assert_eq!(warning.map(|w| w.code()), want, "{mask} {sizes:?}");
    }
    let context = ContextConfig::from_frames(70, 13, 13).unwrap();
    let warning = context.warning(&unified, Decoder::Rnnt).unwrap();
    assert!(
        warning.to_string().ends_with("make it 65 frames"),
        "{warning}"
    );
}
