//! Codes that are all there, cut for a stream.

use std::ops::Range;

use crate::{CodecModel, Codes};

impl CodecModel {
    /// The super-frames of `codes` in pieces of a sensible size: pushed to a [`StreamDecoder`](crate::StreamDecoder) one after
    /// the other, they give the sound of the whole. For codecs that work in segments no piece ends behind a segment that is
    /// cut short, since the next could be taken for its end.
    pub fn decode_pieces(&self, codes: &Codes) -> Vec<Range<u64>> {
        let full = self.segment_frames().unwrap_or(0);
        let mut end = 0;
        let ends = codes.segments().iter().map(|segment| {
            end += u64::from(segment.frames);
            (end, u64::from(segment.frames) < full)
        });
        let cut_short: Vec<u64> = ends
            .filter(|(_, is_short)| *is_short)
            .map(|(end, _)| end)
            .collect();
        let mut pieces: Vec<Range<u64>> = Vec::new();
        for piece in self.pieces(codes) {
            match pieces.last_mut() {
                Some(last) if cut_short.binary_search(&last.end).is_ok() => last.end = piece.end,
                _ => pieces.push(piece),
            }
        }
        pieces
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

    use std::path::Path;
    use std::sync::Arc;

    use percept_testkit::signals;

    use crate::{CodecModel, DecodeOptions, EncodeOptions, Pcm, StreamDecoder};

    fn model(name: &str) -> Arc<CodecModel> {
        let fixtures = "../../golden/fixtures/codec";
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join(fixtures)
            .join(name);
        Arc::new(CodecModel::open(&folder.join("model")).unwrap())
    }

    /// An even sound ends in two segments that are cut short and look alike: a segment begins every 788 samples and is 800
    /// long, in frames of 8. Wherever pieces end, one of these recordings has them on both sides.
    #[test]
    fn pieces_one_by_one_are_the_whole_even_where_segments_look_alike() {
        let segments = |count: usize| ("encodec/48khz", 788 * (count - 1) + 3);
        let cases = [2, 3, 4, 5].map(segments);
        for (name, samples) in cases.into_iter().chain([("snac/24khz", 90_000)]) {
            let model = model(name);
            let (rate, channels) = (model.spec().sample_rate, model.spec().channels);
            for is_even in [true, false] {
                let sound = match is_even {
                    true => vec![0.25; samples * usize::from(channels)],
                    false => signals::noise(samples * usize::from(channels), 0.2, 1),
                };
                let pcm = Pcm {
                    samples: sound,
                    sample_rate: rate,
                    channels,
                };
                let codes = model
                    .encode((&pcm).into(), &EncodeOptions::default())
                    .unwrap();
                let options = DecodeOptions::default();
                let whole = model.decode(&codes, &options).unwrap().samples;
                let (mut decoder, mut out) =
                    (StreamDecoder::new(Arc::clone(&model), &options), Vec::new());
                let pieces = model.decode_pieces(&codes);
                assert_eq!(
                    pieces.last().map(|piece| piece.end),
                    Some(codes.superframes())
                );
                for piece in pieces {
                    decoder
                        .push(&codes.slice(piece).unwrap(), &mut out)
                        .unwrap();
                }
                decoder.finish(&mut out).unwrap();
                assert!(out[..whole.len()] == whole, "{name} {samples} {is_even}");
            }
        }
    }
}
