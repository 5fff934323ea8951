//! How sure the model is of a token, from the logits that chose it.
//!
//! The measures other than [`Confidence::Probability`] are those of NeMo
//! (<https://github.com/NVIDIA/NeMo/blob/54a6964329a80700f4a7195292b8a29346695ff6/nemo/collections/asr/parts/utils/asr_confidence_utils.py>):
//! each is 1 where one class has all the probability and 0 where all classes share it equally.

use std::fmt;
use std::str::FromStr;

/// The exponent that NeMo uses unless told otherwise: below 1 it makes small doubts count more.
const DEFAULT_ALPHA: f64 = 0.33;
const MAX_ALPHA: f64 = 10.0;

/// How the confidence of a token is measured, over the token logits alone (never the duration logits).
///
/// Written as `prob`, or as a measure with an optional exponent: `max-prob`, `gibbs-lin`, `tsallis-exp:0.5`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Confidence {
    /// The softmax probability of the chosen token.
    #[default]
    Probability,
    /// The highest probability, raised to `alpha` and scaled so that a uniform distribution gives 0.
    MaxProbability {
        /// The exponent, above 0 and at most 10; 1 leaves probabilities as they are.
        alpha: f64,
    },
    /// How far the entropy of the distribution is from that of a uniform one.
    Entropy {
        /// Which entropy.
        family: Entropy,
        /// How it is brought into 0 ..= 1.
        scale: EntropyScale,
        /// The exponent of probabilities, above 0 and at most 10; with 1 all families are Shannon's entropy.
        alpha: f64,
    },
}

/// A family of entropies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entropy {
    /// `-Σ p^α ln p`.
    Gibbs,
    /// `(1 - Σ p^α) / (α - 1)`.
    Tsallis,
    /// `ln Σ p^α / (1 - α)`.
    Renyi,
}

/// How an entropy between 0 and its maximum becomes a confidence between 1 and 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntropyScale {
    /// Linearly.
    Linear,
    /// By its negative exponential.
    Exponential,
}

impl Confidence {
    /// The confidence in `chosen`, a class of `logits` `[classes]`; always within 0 ..= 1.
    ///
    /// It is 0 where the logits are no numbers, or `chosen` is none of the classes.
    pub fn of(self, logits: &[f32], chosen: usize) -> f32 {
        let Some(&logit) = logits.get(chosen) else {
            return 0.0;
        };
        let log_sum = log_sum_exp(logits);
        let classes = logits.len() as f64;
        let log_probabilities = logits.iter().map(|&x| f64::from(x) - log_sum);
        let confidence = match self {
            Confidence::Probability => (f64::from(logit) - log_sum).exp(),
            Confidence::MaxProbability { alpha } => {
                let highest = log_probabilities.fold(f64::NEG_INFINITY, f64::max);
                let uniform = classes.powf(alpha);
                ((highest * alpha).exp() * uniform - 1.0) / (uniform - 1.0)
            }
            Confidence::Entropy {
                family,
                scale,
                alpha,
            } => family.certainty(scale, alpha, classes, log_probabilities),
        };
        if confidence.is_nan() {
            return 0.0;
        }
        confidence.clamp(0.0, 1.0) as f32
    }
}

impl Entropy {
    fn certainty(
        self,
        scale: EntropyScale,
        alpha: f64,
        classes: f64,
        log_probabilities: impl Iterator<Item = f64>,
    ) -> f64 {
        use EntropyScale::{Exponential, Linear};
        // At 1 Tsallis and Rényi divide zero by zero; their limit is Gibbs with 1.
        let is_shannon = (alpha - 1.0).abs() < 1e-6;
        if is_shannon || self == Entropy::Gibbs {
            let negative: f64 = log_probabilities.map(|lp| weighted(lp, alpha)).sum();
            return match scale {
                Linear => 1.0 + negative / classes.ln() / classes.powf(1.0 - alpha),
                Exponential if is_shannon => (negative.exp() * classes - 1.0) / (classes - 1.0),
                Exponential => {
                    let uniform = classes.powf(-alpha * classes.powf(1.0 - alpha));
                    ((alpha * negative).exp() - uniform) / (1.0 - uniform)
                }
            };
        }
        let sum: f64 = log_probabilities.map(|lp| (lp * alpha).exp()).sum();
        match (self, scale) {
            (Entropy::Renyi, Linear) => 1.0 + sum.ln() / (alpha - 1.0) / classes.ln(),
            (Entropy::Renyi, Exponential) => {
                (sum.powf(1.0 / (alpha - 1.0)) * classes - 1.0) / (classes - 1.0)
            }
            (_, Linear) => 1.0 + (1.0 - sum) / (classes.powf(1.0 - alpha) - 1.0),
            (_, Exponential) => {
                let uniform = ((1.0 - classes.powf(1.0 - alpha)) / (1.0 - alpha)).exp();
                (((1.0 - sum) / (1.0 - alpha)).exp() - uniform) / (1.0 - uniform)
            }
        }
    }
}

/// `p^α ln p`, which tends to 0 with `p`.
fn weighted(log_probability: f64, alpha: f64) -> f64 {
    if log_probability == f64::NEG_INFINITY {
        return 0.0;
    }
    (log_probability * alpha).exp() * log_probability
}

/// The logarithm of the sum of exponentials; NaN where a logit is NaN or infinitely large.
fn log_sum_exp(logits: &[f32]) -> f64 {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let highest = f64::from(highest);
    let sum: f64 = logits.iter().map(|&x| (f64::from(x) - highest).exp()).sum();
    highest + sum.ln()
}

/// How the confidences of its tokens become that of a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Aggregate {
    /// The lowest: a word is as sure as its weakest token.
    #[default]
    Min,
    /// The highest.
    Max,
    /// The arithmetic mean.
    Mean,
    /// The product.
    Product,
}

impl Aggregate {
    /// The confidence of a word from those of its tokens; 0 without any.
    pub fn of(self, tokens: &[f32]) -> f32 {
        if tokens.is_empty() {
            return 0.0;
        }
        let each = tokens.iter().copied();
        match self {
            Aggregate::Min => each.fold(1.0, f32::min),
            Aggregate::Max => each.fold(0.0, f32::max),
            Aggregate::Mean => each.sum::<f32>() / tokens.len() as f32,
            Aggregate::Product => each.product(),
        }
    }
}

/// Why a text names no confidence measure.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseConfidenceError {
    /// There is no measure of this name.
    #[error(
        "no confidence measure `{name}`; there are prob, max-prob, gibbs-lin, gibbs-exp, tsallis-lin, tsallis-exp, \
         renyi-lin and renyi-exp"
    )]
    Measure {
        /// What was given.
        name: String,
    },
    /// The exponent is no number or out of range.
    #[error(
        "`{given}` is no exponent; give a number above 0 and at most 10, as in tsallis-exp:0.33"
    )]
    Alpha {
        /// What was given.
        given: String,
    },
    /// This measure takes no exponent.
    #[error("prob takes no exponent; write prob, or max-prob:{given}")]
    NoAlpha {
        /// What was given.
        given: String,
    },
}

impl FromStr for Confidence {
    type Err = ParseConfidenceError;

    fn from_str(text: &str) -> Result<Confidence, ParseConfidenceError> {
        let (name, given) = match text.split_once(':') {
            Some((name, alpha)) => (name, Some(alpha)),
            None => (text, None),
        };
        if name == "prob" {
            return match given {
                None => Ok(Confidence::Probability),
                Some(given) => Err(ParseConfidenceError::NoAlpha {
                    given: given.into(),
                }),
            };
        }
        let alpha = given.map_or(Ok(DEFAULT_ALPHA), parse_alpha)?;
        if name == "max-prob" {
            return Ok(Confidence::MaxProbability { alpha });
        }
        let (family, scale) = parse_entropy(name)
            .ok_or_else(|| ParseConfidenceError::Measure { name: name.into() })?;
        Ok(Confidence::Entropy {
            family,
            scale,
            alpha,
        })
    }
}

fn parse_alpha(given: &str) -> Result<f64, ParseConfidenceError> {
    match given.parse() {
        Ok(alpha) if alpha > 0.0 && alpha <= MAX_ALPHA => Ok(alpha),
        _ => Err(ParseConfidenceError::Alpha {
            given: given.into(),
        }),
    }
}

fn parse_entropy(name: &str) -> Option<(Entropy, EntropyScale)> {
    let (family, scale) = name.split_once('-')?;
    let family = match family {
        "gibbs" => Entropy::Gibbs,
        "tsallis" => Entropy::Tsallis,
        "renyi" => Entropy::Renyi,
        _ => return None,
    };
    let scale = match scale {
        "lin" => EntropyScale::Linear,
        "exp" => EntropyScale::Exponential,
        _ => return None,
    };
    Some((family, scale))
}

impl fmt::Display for Confidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Confidence::Probability => f.write_str("prob"),
            Confidence::MaxProbability { alpha } => write!(f, "max-prob:{alpha}"),
            Confidence::Entropy {
                family,
                scale,
                alpha,
            } => {
                let family = match family {
                    Entropy::Gibbs => "gibbs",
                    Entropy::Tsallis => "tsallis",
                    Entropy::Renyi => "renyi",
                };
                let scale = match scale {
                    EntropyScale::Linear => "lin",
                    EntropyScale::Exponential => "exp",
                };
                write!(f, "{family}-{scale}:{alpha}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEASURES: [&str; 8] = [
        "prob",
        "max-prob",
        "gibbs-lin",
        "gibbs-exp",
        "tsallis-lin",
        "tsallis-exp",
        "renyi-lin",
        "renyi-exp",
    ];

    fn measures() -> impl Iterator<Item = Confidence> {
        let alphas = ["0.2", "0.33", "1", "1.5"];
        let named = MEASURES[1..].iter();
        let with_alpha = named.flat_map(move |name| alphas.map(|a| format!("{name}:{a}")));
        with_alpha.map(|text| text.parse().unwrap())
    }

    #[test]
    fn one_class_alone_is_certain_and_equal_classes_are_a_guess() {
        for measure in measures() {
            let certain = measure.of(&[0.0, 200.0, 0.0, f32::NEG_INFINITY], 1);
            assert!((certain - 1.0).abs() < 1e-5, "{measure}: {certain}");
            let guess = measure.of(&[3.0; 7], 0);
            assert!(guess < 1e-5, "{measure}: {guess}");
        }
        let prob = Confidence::Probability;
        assert_eq!(prob.of(&[3.0; 4], 0), 0.25);
        assert_eq!(prob.of(&[0.0, 200.0], 1), 1.0);
    }

    /// Values of NeMo's formulas for the distribution 0.96, 0.03, 0.01, computed in double precision.
    #[test]
    fn measures_are_those_of_nemo() {
        let logits = [0.96f32.ln(), 0.03f32.ln(), 0.01f32.ln()];
        for (text, want) in EXPECTED {
            let got = text.parse::<Confidence>().unwrap().of(&logits, 0);
            assert!((got - want).abs() < 2e-6, "{text}: {got}, not {want}");
        }
    }

    const EXPECTED: [(&str, f32); 12] = [
        ("max-prob:1", 0.94),
        ("max-prob:0.33", 0.9559975),
        ("gibbs-lin:1", 0.8266563),
        ("gibbs-lin:0.7", 0.6568149),
        ("gibbs-exp:1", 0.7398961),
        ("gibbs-exp:0.7", 0.5322977),
        ("tsallis-lin:0.33", 0.5221436),
        ("tsallis-exp:0.33", 0.3277708),
        ("tsallis-exp:1", 0.7398961),
        ("renyi-lin:0.33", 0.4313584),
        ("renyi-exp:0.33", 0.3031197),
        ("renyi-lin:1.5", 0.9004796),
    ];

    #[test]
    fn probability_is_that_of_the_chosen_class() {
        let logits = [0.7f32.ln(), 0.2f32.ln(), 0.1f32.ln()];
        let got = Confidence::Probability.of(&logits, 1);
        assert!((got - 0.2).abs() < 1e-6, "{got}");
    }

    #[test]
    fn logits_that_are_no_numbers_give_no_confidence() {
        for measure in measures().chain([Confidence::Probability]) {
            for logits in [
                [f32::NAN, 1.0],
                [f32::INFINITY, 1.0],
                [f32::NEG_INFINITY; 2],
            ] {
                let got = measure.of(&logits, 0);
                assert!((0.0..=1.0).contains(&got), "{measure} {logits:?}: {got}");
            }
            assert_eq!(measure.of(&[], 0), 0.0);
        }
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        for name in MEASURES {
            let measure: Confidence = name.parse().unwrap();
            assert_eq!(measure.to_string().parse(), Ok(measure));
        }
        assert_eq!(
            "max-prob".parse::<Confidence>().unwrap().to_string(),
            "max-prob:0.33"
        );
        for (text, fault) in [
            ("probability", "no confidence measure `probability`"),
            ("tsallis", "no confidence measure"),
            ("tsallis-log", "no confidence measure"),
            ("prob:1", "prob takes no exponent"),
            ("renyi-exp:", "`` is no exponent"),
            ("renyi-exp:0", "`0` is no exponent"),
            ("renyi-exp:-1", "no exponent"),
            ("renyi-exp:nan", "no exponent"),
            ("renyi-exp:inf", "no exponent"),
        ] {
            let refused = text.parse::<Confidence>().unwrap_err().to_string();
            assert!(refused.contains(fault), "{text}: {refused}");
        }
    }

    #[test]
    fn words_aggregate_their_tokens() {
        let tokens = [0.5, 0.25, 1.0, 0.25];
        assert_eq!(Aggregate::Min.of(&tokens), 0.25);
        assert_eq!(Aggregate::Max.of(&tokens), 1.0);
        assert_eq!(Aggregate::Mean.of(&tokens), 0.5);
        assert_eq!(Aggregate::Product.of(&tokens), 0.03125);
        assert_eq!(Aggregate::Min.of(&[]), 0.0);
    }
}
