//! Where an utterance ends: the speaker's own marks, silence, or too much speech at a stretch.

use std::time::Duration;

use crate::text::{Role, is_punctuation, without_word_mark};

/// When an utterance counts as ended. The defaults are those of sherpa
/// (<https://k2-fsa.github.io/sherpa/ncnn/endpoint.html>).
///
/// Silence is a stretch of frames without a token, from the end of the last one; punctuation and marks are no speech. The
/// marks `<EOU>` and `<EOB>` of models that have them are endpoints whatever the rules say. Durations are rounded up to
/// whole encoder frames; `None` turns a rule off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndpointRules {
    /// Silence that ends an utterance.
    pub silence: Option<Duration>,
    /// Silence without an utterance, from the start of the stream or the last endpoint, that is worth an event. Silence
    /// that goes on has no second one.
    pub silence_without_speech: Option<Duration>,
    /// The longest utterance, from the start of its first token.
    pub max_utterance: Option<Duration>,
}

impl EndpointRules {
    /// No rule: the marks of the model alone.
    pub const MARKS_ONLY: EndpointRules = EndpointRules {
        silence: None,
        silence_without_speech: None,
        max_utterance: None,
    };
}

impl Default for EndpointRules {
    fn default() -> Self {
        EndpointRules {
            silence: Some(Duration::from_millis(1200)),
            silence_without_speech: Some(Duration::from_millis(2400)),
            max_utterance: Some(Duration::from_secs(20)),
        }
    }
}

/// An utterance, or a silence, that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// When it is known to have ended: the first encoder frame after all that was heard to know it, from the start of
    /// the stream.
    pub frame: u64,
    /// Why.
    pub cause: EndpointCause,
}

/// Why something ended.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointCause {
    /// [`EndpointRules::silence`] after speech.
    Silence,
    /// [`EndpointRules::silence_without_speech`]: nobody speaks.
    SilenceWithoutSpeech,
    /// [`EndpointRules::max_utterance`].
    MaxLength,
    /// The model's mark for the end of a turn, `<EOU>`.
    EndOfUtterance,
    /// The model's mark for the end of a backchannel ("mhm"), `<EOB>`.
    EndOfBackchannel,
}

impl EndpointCause {
    /// A stable name.
    pub fn name(self) -> &'static str {
        match self {
            EndpointCause::Silence => "silence",
            EndpointCause::SilenceWithoutSpeech => "silence-without-speech",
            EndpointCause::MaxLength => "max-length",
            EndpointCause::EndOfUtterance => "end-of-utterance",
            EndpointCause::EndOfBackchannel => "end-of-backchannel",
        }
    }
}

impl std::fmt::Display for EndpointCause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// Finds the endpoints of one stream from its committed tokens and its clock.
///
/// What it finds depends on the frames of the tokens alone, not on how they are grouped into calls. Tokens come in the
/// order of their frames, and none from before a frame that was declared decided.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Endpointer {
    rules: FrameRules,
    /// The last endpoint, or the start of the stream.
    since: u64,
    utterance: Option<Utterance>,
    /// The silence since the last endpoint had its event.
    is_reported: bool,
}

/// The rules in frames; `u64::MAX` is never.
#[derive(Clone, Copy, Debug)]
struct FrameRules {
    silence: u64,
    silence_without_speech: u64,
    max_utterance: u64,
}

#[derive(Clone, Copy, Debug)]
struct Utterance {
    start: u64,
    /// The end of its last token so far.
    end: u64,
}

/// What one call found, in the order of time.
#[must_use = "endpoints are found once"]
#[derive(Clone, Debug, Default)]
pub(crate) struct Endpoints {
    found: [Option<Endpoint>; Endpoints::MOST],
    len: usize,
    next: usize,
}

impl Endpointer {
    /// For the start of a stream whose frames last `seconds_per_frame`; no rules are [`EndpointRules::MARKS_ONLY`].
    pub(crate) fn new(rules: Option<EndpointRules>, seconds_per_frame: f64) -> Self {
        let rules = rules.unwrap_or(EndpointRules::MARKS_ONLY);
        let frames = |rule: Option<Duration>| {
            // Rounding in the division must not add a frame to a length that is a whole number of them.
            let frames =
                |length: Duration| (length.as_secs_f64() / seconds_per_frame - 1e-6).ceil();
            rule.map_or(u64::MAX, |length| (frames(length) as u64).max(1))
        };
        Endpointer {
            rules: FrameRules {
                silence: frames(rules.silence),
                silence_without_speech: frames(rules.silence_without_speech),
                max_utterance: frames(rules.max_utterance),
            },
            since: 0,
            utterance: None,
            is_reported: false,
        }
    }

    /// Takes the next committed token, emitted at `frame` and heard until `end_frame`.
    pub(crate) fn token(&mut self, frame: u64, end_frame: u64, role: Role<'_>) -> Endpoints {
        let mut found = self.decided(frame);
        let cause = match role {
            Role::EndOfUtterance => EndpointCause::EndOfUtterance,
            Role::EndOfBackchannel => EndpointCause::EndOfBackchannel,
            role => {
                if is_speech(role) {
                    let utterance = Utterance {
                        start: frame,
                        end: 0,
                    };
                    let utterance = self.utterance.get_or_insert(utterance);
                    utterance.end = utterance.end.max(end_frame).max(frame + 1);
                }
                return found;
            }
        };
        let frame = frame + 1;
        found.add(self.end(Endpoint { frame, cause }));
        found
    }

    /// Takes note that every token before `frame` has come.
    pub(crate) fn decided(&mut self, frame: u64) -> Endpoints {
        let mut found = Endpoints::default();
        while let Some(endpoint) = self.next_by_rule().filter(|next| next.frame <= frame) {
            found.add(self.end(endpoint));
        }
        found
    }

    /// The endpoint that comes if no token does.
    fn next_by_rule(&self) -> Option<Endpoint> {
        let at = |from: u64, length: u64, cause| {
            let frame = from.checked_add(length)?;
            Some(Endpoint { frame, cause })
        };
        let rules = &self.rules;
        match self.utterance {
            Some(Utterance { start, end }) => {
                let silence = at(end, rules.silence, EndpointCause::Silence);
                let length = at(start, rules.max_utterance, EndpointCause::MaxLength);
                let both = [silence, length].into_iter().flatten();
                both.min_by_key(|endpoint| endpoint.frame)
            }
            None if self.is_reported => None,
            None => at(
                self.since,
                rules.silence_without_speech,
                EndpointCause::SilenceWithoutSpeech,
            ),
        }
    }

    fn end(&mut self, endpoint: Endpoint) -> Endpoint {
        self.since = endpoint.frame;
        self.utterance = None;
        self.is_reported = endpoint.cause == EndpointCause::SilenceWithoutSpeech;
        endpoint
    }
}

impl Endpoints {
    /// Between two tokens: one that ends the utterance, one for the silence after it, and the mark itself.
    const MOST: usize = 3;

    fn add(&mut self, endpoint: Endpoint) {
        self.found[self.len] = Some(endpoint);
        self.len += 1;
    }
}

impl Iterator for Endpoints {
    type Item = Endpoint;

    fn next(&mut self) -> Option<Endpoint> {
        let found = self.found.get(self.next).copied().flatten();
        self.next += 1;
        found
    }
}

/// Whether somebody spoke a token.
fn is_speech(role: Role<'_>) -> bool {
    match role {
        Role::Text(piece) => !without_word_mark(piece).is_empty() && !is_punctuation(piece),
        Role::Byte(_) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use percept_testkit::Rng;

    use super::EndpointCause::*;
    use super::*;

    const WORD: Role<'static> = Role::Text("▁word");
    const SECONDS_PER_FRAME: f64 = 0.08;

    /// A token: where it was emitted, where it ended, what it is.
    type Spoken = (u64, u64, Role<'static>);
    type Found = (u64, EndpointCause);

    /// Rules of 10 frames of silence, 25 without speech, 40 of speech.
    fn rules() -> EndpointRules {
        let frames = |n: u64| Some(Duration::from_millis(80 * n));
        EndpointRules {
            silence: frames(10),
            silence_without_speech: frames(25),
            max_utterance: frames(40),
        }
    }

    fn endpoints(rules: EndpointRules, tokens: &[Spoken], decided: u64) -> Vec<Found> {
        let mut endpointer = Endpointer::new(Some(rules), SECONDS_PER_FRAME);
        let mut found = Vec::new();
        for &(frame, end, role) in tokens {
            found.extend(endpointer.token(frame, end, role));
        }
        found.extend(endpointer.decided(decided));
        found.iter().map(|e| (e.frame, e.cause)).collect()
    }

    #[test]
    fn the_default_rules_are_whole_frames() {
        let endpointer = Endpointer::new(Some(EndpointRules::default()), SECONDS_PER_FRAME);
        let FrameRules {
            silence,
            silence_without_speech,
            max_utterance,
        } = endpointer.rules;
        assert_eq!(
            (silence, silence_without_speech, max_utterance),
            (15, 30, 250)
        );
    }

    #[test]
    fn rules_that_are_whole_frames_stay_so_and_others_are_rounded_up() {
        let silence = |length| {
            let rules = EndpointRules {
                silence: Some(length),
                ..EndpointRules::MARKS_ONLY
            };
            Endpointer::new(Some(rules), SECONDS_PER_FRAME)
                .rules
                .silence
        };
        for frames in 1..1000 {
            let whole = Duration::from_millis(80 * frames);
            assert_eq!(silence(whole), frames);
            assert_eq!(silence(whole + Duration::from_millis(1)), frames + 1);
        }
        assert_eq!(silence(Duration::ZERO), 1);
    }

    #[test]
    fn rules_fire_at_the_frame_that_fulfils_them() {
        let cases: [(&str, &[Spoken], u64, &[Found]); 11] = [
            ("too early", &[(5, 8, WORD)], 17, &[]),
            ("silence", &[(5, 8, WORD)], 18, &[(18, Silence)]),
            (
                "from the longest token",
                &[(5, 12, WORD), (6, 7, WORD)],
                22,
                &[(22, Silence)],
            ),
            (
                "a token lasts a frame at least",
                &[(5, 5, WORD)],
                16,
                &[(16, Silence)],
            ),
            (
                "the silence goes on",
                &[(5, 8, WORD)],
                1000,
                &[(18, Silence), (43, SilenceWithoutSpeech)],
            ),
            ("nobody speaks", &[], 1000, &[(25, SilenceWithoutSpeech)]),
            (
                "speech after all",
                &[(30, 31, WORD)],
                41,
                &[(25, SilenceWithoutSpeech), (41, Silence)],
            ),
            (
                "speech without end",
                &[
                    (0, 9, WORD),
                    (9, 18, WORD),
                    (18, 27, WORD),
                    (27, 36, WORD),
                    (36, 45, WORD),
                ],
                54,
                &[(40, MaxLength)],
            ),
            (
                "speech goes on after the longest utterance",
                &[(2, 40, WORD), (42, 44, WORD)],
                54,
                &[(42, MaxLength), (54, Silence)],
            ),
            (
                "marks",
                &[
                    (3, 4, WORD),
                    (6, 6, Role::EndOfUtterance),
                    (7, 7, Role::EndOfBackchannel),
                ],
                17,
                &[(7, EndOfUtterance), (8, EndOfBackchannel)],
            ),
            (
                "no speech",
                &[
                    (1, 2, Role::Hidden),
                    (3, 4, Role::Text("▁")),
                    (5, 6, Role::Text(".")),
                ],
                24,
                &[],
            ),
        ];
        for (name, tokens, decided, want) in cases {
            assert_eq!(endpoints(rules(), tokens, decided), want, "{name}");
        }
    }

    #[test]
    fn marks_are_endpoints_without_any_rule() {
        let tokens = [(3, 4, WORD), (900, 900, Role::EndOfUtterance)];
        let found = endpoints(EndpointRules::MARKS_ONLY, &tokens, u64::MAX);
        assert_eq!(found, [(901, EndOfUtterance)]);
    }

    #[test]
    fn late_punctuation_opens_no_utterance() {
        let tokens = [(3, 4, WORD), (20, 21, Role::Text("."))];
        assert_eq!(endpoints(rules(), &tokens, 35), [(14, Silence)]);
    }

    #[test]
    fn endpoints_do_not_depend_on_how_frames_are_grouped() {
        let mut rng = Rng::new(11);
        for round in 0..500 {
            let (mut frame, mut tokens) = (0, Vec::new());
            for _ in 0..rng.below(40) {
                let pause = if rng.below(6) == 0 { 60 } else { 5 };
                frame += rng.below(pause) as u64;
                let role = match rng.below(12) {
                    0 => Role::EndOfUtterance,
                    1 => Role::EndOfBackchannel,
                    2 => Role::Text(","),
                    _ => WORD,
                };
                tokens.push((frame, frame + rng.below(5) as u64, role));
            }
            let total = frame + rng.below(80) as u64;
            let whole = endpoints(rules(), &tokens, total);
            let mut endpointer = Endpointer::new(Some(rules()), SECONDS_PER_FRAME);
            let (mut at, mut rest, mut found) = (0, &tokens[..], Vec::new());
            while at < total {
                at = (at + 1 + rng.below(30) as u64).min(total);
                let now = rest.partition_point(|token| token.0 < at);
                for &(frame, end, role) in &rest[..now] {
                    found.extend(endpointer.token(frame, end, role));
                }
                rest = &rest[now..];
                found.extend(endpointer.decided(at));
            }
            for &(frame, end, role) in rest {
                found.extend(endpointer.token(frame, end, role));
            }
            found.extend(endpointer.decided(total));
            let found: Vec<_> = found.iter().map(|e| (e.frame, e.cause)).collect();
            assert_eq!(found, whole, "round {round}: {tokens:?}");
            assert!(whole.is_sorted_by_key(|e| e.0), "{whole:?}");
        }
    }
}
