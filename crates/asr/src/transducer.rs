//! The prediction network and the joint of RNNT and TDT models: weights and the arithmetic on them.

use std::str::FromStr;

use percept_nn::{Bias, Linear, Loader, Lstm, LstmState};
use percept_weights::{Tensors, WeightsError};

/// The sizes and rules of a transducer; every one is a field of the checkpoint's configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct TransducerConfig {
    /// How many token logits the joint has, the blank among them.
    pub vocab: usize,
    /// The id of the blank; it is also what starts a stream.
    pub blank: u32,
    /// The width of the embedding and of the LSTM.
    pub pred_hidden: usize,
    /// LSTM layers, at least.
    pub pred_layers: usize,
    /// The width in which encoder and prediction network meet.
    pub joint_hidden: usize,
    /// The width of encoder frames.
    pub encoder_hidden: usize,
    /// What each duration logit stands for, in frames. Empty for RNNT, which has none.
    pub durations: Vec<u32>,
    /// How many tokens may come from one frame before the search moves on.
    pub max_symbols: u32,
    /// What follows the sum in the joint.
    pub activation: Activation,
}

impl TransducerConfig {
    /// Refuses what no tensor could contradict.
    fn check(&self, tensors: &Tensors) -> Result<(), WeightsError> {
        let widths = [
            ("pred_hidden", self.pred_hidden),
            ("joint_hidden", self.joint_hidden),
            ("encoder_hidden", self.encoder_hidden),
        ];
        let empty = widths.into_iter().find(|(_, width)| *width == 0);
        let (field, expected) = match empty {
            Some((field, _)) => (field, "above zero"),
            None if self.blank as usize >= self.vocab => {
                ("blank_token_id", "below the number of token logits")
            }
            None => return Ok(()),
        };
        Err(WeightsError::Field {
            file: tensors.path().into(),
            field: field.into(),
            expected,
        })
    }
}

/// The joint's activation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Activation {
    /// `max(x, 0)`.
    #[default]
    Relu,
    /// The hyperbolic tangent.
    Tanh,
    /// The logistic function.
    Sigmoid,
}

impl Activation {
    fn apply(self, x: f32) -> f32 {
        match self {
            // Not `max`, which would turn NaN into 0 and so into speech.
            Activation::Relu if x < 0.0 => 0.0,
            Activation::Relu => x,
            Activation::Tanh => x.tanh(),
            Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        }
    }
}

/// There is no joint activation of this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no joint activation `{name}`; there are relu, tanh and sigmoid")]
pub struct UnknownActivation {
    /// What was given.
    pub name: String,
}

impl FromStr for Activation {
    type Err = UnknownActivation;

    fn from_str(name: &str) -> Result<Activation, UnknownActivation> {
        match name {
            "relu" => Ok(Activation::Relu),
            "tanh" => Ok(Activation::Tanh),
            "sigmoid" => Ok(Activation::Sigmoid),
            _ => Err(UnknownActivation { name: name.into() }),
        }
    }
}

/// The weights of a transducer's prediction network and joint.
///
/// `logits(t, history) = joint.joint_net.2(activation(joint.enc(frame t) + joint.pred(lstm(history))))`, the token
/// logits first and the duration logits of TDT after them. Searching is in [`Transducer::decode`].
pub struct Transducer {
    config: TransducerConfig,
    /// `[vocab, pred_hidden]`.
    embedding: Vec<f32>,
    lstm: Lstm,
    joint_encoder: Linear,
    joint_prediction: Linear,
    joint_output: Linear,
    /// What every stream starts from: the state after the blank.
    start: TransducerState,
}

/// What one stream carries from chunk to chunk. Cloning it forks the stream.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TransducerState {
    pub(crate) lstm: LstmState,
    /// The prediction network's answer to the tokens so far, as the joint sees it, `[joint_hidden]`.
    pub(crate) predicted: Vec<f32>,
    /// How many frames of the next chunk a duration has already passed over.
    pub(crate) time_jump: u64,
}

impl TransducerState {
    /// Takes over what `fresh` has heard, which is nothing; the frames that are still passed over stay.
    pub(crate) fn forget_text(&mut self, fresh: &TransducerState) {
        let time_jump = self.time_jump;
        self.copy_from(fresh);
        self.time_jump = time_jump;
    }

    /// Becomes a copy of `other`, in the memory that it has.
    pub(crate) fn copy_from(&mut self, other: &TransducerState) {
        self.lstm.h.clone_from(&other.lstm.h);
        self.lstm.c.clone_from(&other.lstm.c);
        self.predicted.clone_from(&other.predicted);
        self.time_jump = other.time_jump;
    }

    /// How many frames of the next chunk the last duration passes over.
    pub fn time_jump(&self) -> u64 {
        self.time_jump
    }
}

impl Transducer {
    /// Takes the weights named `decoder.prediction.*` and `joint.*` from `loader`.
    ///
    /// The embedding has `vocab` rows; the blank's row starts every stream, whatever it holds (NeMo and `transformers`
    /// feed the blank, whose row is zero where it was the padding of training).
    ///
    /// # Errors
    /// What [`Tensors::f32`] refuses, and [`WeightsError::Field`] where a width is zero or the blank is none of the
    /// token logits.
    pub fn load(loader: &Loader<'_>, config: TransducerConfig) -> Result<Transducer, WeightsError> {
        let tensors = loader.tensors();
        config.check(tensors)?;
        let (hidden, joint) = (config.pred_hidden, config.joint_hidden);
        let embedding = tensors.f32("decoder.prediction.embed.weight", &[config.vocab, hidden])?;
        let lstm = Lstm::load(
            loader,
            "decoder.prediction.dec_rnn.lstm",
            (hidden, hidden),
            config.pred_layers,
        )?;
        let joint_encoder = Linear::load(
            loader,
            "joint.enc",
            (config.encoder_hidden, joint),
            Bias::Present,
        )?;
        let joint_prediction = Linear::load(loader, "joint.pred", (hidden, joint), Bias::Present)?;
        let outputs = config.vocab + config.durations.len();
        let joint_output =
            Linear::load(loader, "joint.joint_net.2", (joint, outputs), Bias::Present)?;
        let start = TransducerState {
            lstm: lstm.state(),
            predicted: vec![0.0; joint],
            time_jump: 0,
        };
        let mut transducer = Transducer {
            start,
            embedding,
            lstm,
            joint_encoder,
            joint_prediction,
            joint_output,
            config,
        };
        transducer.start = transducer.after(transducer.config.blank, &transducer.start);
        Ok(transducer)
    }

    /// The sizes and rules it was loaded with.
    pub fn config(&self) -> &TransducerConfig {
        &self.config
    }

    /// The state of a stream that has heard nothing.
    pub fn state(&self) -> TransducerState {
        self.start.clone()
    }

    /// The state after one more token.
    pub(crate) fn after(&self, token: u32, state: &TransducerState) -> TransducerState {
        let mut next = [state.clone()];
        let memory = &mut PredictionMemory::default();
        self.predict(&[token], (&[0], &mut next), |state| state, memory);
        let [next] = next;
        next
    }

    /// The encoder's part of the joint for `frames` `[T, encoder_hidden]` into `out` `[T, joint_hidden]`.
    pub(crate) fn project_frames(&self, frames: &[f32], out: &mut [f32]) {
        self.joint_encoder.forward(frames, out);
    }

    /// Where one projected frame and one prediction meet, each `[joint_hidden]`.
    pub(crate) fn meet(&self, frame: &[f32], predicted: &[f32], out: &mut [f32]) {
        let activation = self.config.activation;
        for ((out, frame), predicted) in out.iter_mut().zip(frame).zip(predicted) {
            *out = activation.apply(frame + predicted);
        }
    }

    /// The logits `[B, vocab + durations]` of `met` `[B, joint_hidden]`.
    pub(crate) fn logits(&self, met: &[f32], out: &mut [f32]) {
        self.joint_output.forward(met, out);
    }

    /// Feeds one token to each of some prediction networks: `tokens[k]` to that of `lanes[rows[k]]`, which `state` gives.
    pub(crate) fn predict<L>(
        &self,
        tokens: &[u32],
        (rows, lanes): (&[usize], &mut [L]),
        state: impl for<'s> Fn(&'s mut L) -> &'s mut TransducerState,
        memory: &mut PredictionMemory,
    ) {
        assert_eq!(tokens.len(), rows.len(), "one token a stream");
        let (hidden, joint) = (self.config.pred_hidden, self.config.joint_hidden);
        let PredictionMemory {
            embedded,
            output,
            predicted,
        } = memory;
        embedded.clear();
        for &token in tokens {
            let row = token as usize * hidden;
            embedded.extend_from_slice(&self.embedding[row..row + hidden]);
        }
        output.resize(tokens.len() * hidden, 0.0);
        self.lstm.step(
            embedded,
            (rows, &mut *lanes),
            |lane| &mut state(lane).lstm,
            output,
        );
        predicted.resize(tokens.len() * joint, 0.0);
        self.joint_prediction.forward(output, predicted);
        for (&row, predicted) in rows.iter().zip(predicted.chunks_exact(joint)) {
            state(&mut lanes[row]).predicted.copy_from_slice(predicted);
        }
    }
}

/// What [`Transducer::predict`] needs, kept for the next call.
#[derive(Debug, Default)]
pub(crate) struct PredictionMemory {
    embedded: Vec<f32>,
    output: Vec<f32>,
    predicted: Vec<f32>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use percept_nn::Precision;

    #[test]
    fn impossible_sizes_are_refused() {
        let config = TransducerConfig {
            vocab: 5,
            blank: 5,
            pred_hidden: 4,
            pred_layers: 1,
            joint_hidden: 4,
            encoder_hidden: 4,
            durations: Vec::new(),
            max_symbols: 10,
            activation: Activation::Relu,
        };
        let tensors = Tensors::from_f32("m", [("x", vec![1], vec![0.0])]).unwrap();
        let refused = |config| {
            Transducer::load(&Loader::new(&tensors, Precision::F32), config)
                .err()
                .unwrap()
                .to_string()
        };
        let blank = refused(config.clone());
        assert_eq!(
            blank,
            "m: field `blank_token_id` must be below the number of token logits; use the configuration published with these weights"
        );
        let empty = TransducerConfig {
            joint_hidden: 0,
            ..config.clone()
        };
        assert_eq!(
            refused(empty),
            "m: field `joint_hidden` must be above zero; use the configuration published with these weights"
        );
        let possible = TransducerConfig { blank: 4, ..config };
        assert!(refused(possible).contains("no tensor `decoder.prediction.embed.weight`"));
    }

    #[test]
    fn activations_are_known_by_name() {
        for (name, at_minus_one) in [("relu", 0.0), ("tanh", -0.761_594), ("sigmoid", 0.268_941)] {
            let activation: Activation = name.parse().unwrap();
            let got = activation.apply(-1.0);
            assert!((got - at_minus_one).abs() < 1e-5, "{name}: {got}");
            assert!(activation.apply(f32::NAN).is_nan(), "{name}");
        }
        let unknown = "gelu".parse::<Activation>().unwrap_err();
        assert!(unknown.to_string().contains("`gelu`"));
    }
}
