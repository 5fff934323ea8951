//! What a sound card delivers, as mono `f32`.

/// Samples handed over at a time at most. They lie on the stack, so that an audio callback never allocates.
const BLOCK_SAMPLES: usize = 512;

/// Gives `sink` the mean of each frame of `interleaved`, `[frames, channels]`, in blocks. A frame that is cut short at
/// the end is left out.
pub(super) fn mix_down<T: Copy>(
    interleaved: &[T],
    channels: usize,
    to_f32: impl Fn(T) -> f32,
    sink: &mut dyn FnMut(&[f32]),
) {
    let mut mono = [0.0; BLOCK_SAMPLES];
    for block in interleaved.chunks(BLOCK_SAMPLES * channels) {
        let frames = block.chunks_exact(channels);
        let mono = &mut mono[..frames.len()];
        for (x, frame) in mono.iter_mut().zip(frames) {
            *x = frame.iter().map(|&y| to_f32(y)).sum::<f32>() / channels as f32;
        }
        sink(mono);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mono<T: Copy>(
        interleaved: &[T],
        channels: usize,
        to_f32: impl Fn(T) -> f32,
    ) -> (Vec<f32>, usize) {
        let (mut out, mut blocks) = (Vec::new(), 0);
        mix_down(interleaved, channels, to_f32, &mut |block| {
            out.extend_from_slice(block);
            blocks += 1;
        });
        (out, blocks)
    }

    #[test]
    fn a_frame_becomes_its_mean() {
        assert_eq!(mono(&[0.5f32, -1.0], 1, |x| x).0, [0.5, -1.0]);
        assert_eq!(mono(&[0.5f32, -1.0, 1.0, 0.0], 2, |x| x).0, [-0.25, 0.5]);
        let stereo = [16_384i16, 0, -32_768, -32_768];
        assert_eq!(
            mono(&stereo, 2, |x| f32::from(x) / 32_768.0).0,
            [0.25, -1.0]
        );
    }

    #[test]
    fn a_long_buffer_comes_in_a_few_blocks() {
        for channels in [1, 2, 6] {
            let interleaved: Vec<f32> = (0..1_300 * channels)
                .map(|i| (i / channels) as f32)
                .collect();
            let (out, blocks) = mono(&interleaved, channels, |x| x);
            assert!(out.iter().copied().eq((0..1_300).map(|i| i as f32)));
            assert_eq!(blocks, 3, "{channels} channels");
        }
    }

    #[test]
    fn a_frame_cut_short_is_left_out() {
        assert_eq!(mono(&[1.0f32, 1.0, 1.0], 2, |x| x).0, [1.0]);
        assert_eq!(mono::<f32>(&[], 2, |x| x), (Vec::new(), 0));
    }
}
