//! Layers one after the other.

use super::{Context, Layer, Memory, Padding, Window};

/// Floats that a layer hands to the next at once: so many that handing over costs little, and no more than caches hold.
const PIECE_FLOATS: usize = 256 << 10;

/// Layers one after the other, as one function from signal to signal.
#[derive(Debug)]
pub struct Chain {
    layers: Vec<Box<dyn Layer>>,
}

/// What one stream carries through a [`Chain`]. A copy goes its own way.
#[derive(Clone, Debug)]
pub struct ChainState {
    memories: Vec<Memory>,
    output: Window,
}

impl ChainState {
    /// Where rows go in.
    pub fn input(&mut self) -> &mut Window {
        match self.memories.first_mut() {
            Some(first) => &mut first.input,
            None => &mut self.output,
        }
    }

    /// What has come out, to be consumed.
    pub fn output(&mut self) -> &mut Window {
        &mut self.output
    }
}

impl Chain {
    /// Of layers that fit each other.
    ///
    /// # Panics
    /// Where there is none, or one takes other channels than the one before it gives.
    pub fn new(layers: Vec<Box<dyn Layer>>) -> Self {
        assert!(!layers.is_empty(), "a chain of no layers");
        for pair in layers.windows(2) {
            assert_eq!(
                pair[0].outputs(),
                pair[1].inputs(),
                "layers that do not fit"
            );
        }
        Chain { layers }
    }

    /// Channels that come in.
    pub fn inputs(&self) -> usize {
        self.layers[0].inputs()
    }

    /// Channels that go out.
    pub fn outputs(&self) -> usize {
        self.layers[self.layers.len() - 1].outputs()
    }

    /// The layers, first to last.
    pub fn layers(&self) -> &[Box<dyn Layer>] {
        &self.layers
    }

    /// A stream's memory before its first row.
    pub fn state(&self) -> ChainState {
        ChainState {
            memories: self.layers.iter().map(|layer| layer.memory()).collect(),
            output: Window::new(self.outputs(), Padding::NONE),
        }
    }

    /// Rows that have come out once `received` have gone in and the signal goes on.
    pub fn produced(&self, received: u64) -> u64 {
        self.layers
            .iter()
            .fold(received, |rows, layer| layer.produced(rows))
    }

    /// Rows that come out of a signal of `received` rows.
    pub fn total(&self, received: u64) -> u64 {
        self.layers
            .iter()
            .fold(received, |rows, layer| layer.total(rows))
    }

    /// The least number of rows that must have gone in for `rows` to have come out while the signal goes on.
    pub fn needed(&self, rows: u64) -> u64 {
        let (mut low, mut high) = (0, 1);
        while self.produced(high) < rows {
            (low, high) = (high, high * 2);
        }
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            match self.produced(middle) < rows {
                true => low = middle,
                false => high = middle,
            }
        }
        match rows {
            0 => 0,
            _ => high,
        }
    }

    /// Computes all that the rows which have come in allow.
    pub fn advance(&self, state: &mut ChainState, context: &Context<'_>) {
        drain(
            &self.layers,
            &mut state.memories,
            &mut state.output,
            (context, true),
        );
        state.output.settle();
    }

    /// Ends the signal and computes what is left.
    pub fn finish(&self, state: &mut ChainState, context: &Context<'_>) {
        self.advance(state, context);
        for first in 0..self.layers.len() {
            let (layers, memories) = (&self.layers[first..], &mut state.memories[first..]);
            memories[0].is_ended = true;
            layers[0].finish(&mut memories[0]);
            drain(layers, memories, &mut state.output, (context, true));
        }
    }
}

/// Runs the first layer piece by piece, and the rest whenever a piece has come together for it: layers after a
/// convolution with a stride would otherwise read all their weights for a few rows. With `is_last` nothing is left waiting.
fn drain(
    layers: &[Box<dyn Layer>],
    memories: &mut [Memory],
    output: &mut Window,
    (context, is_last): (&Context<'_>, bool),
) {
    let (Some((layer, layers)), Some((memory, memories))) =
        (layers.split_first(), memories.split_first_mut())
    else {
        return;
    };
    let limit = (PIECE_FLOATS / layer.outputs()).max(1);
    loop {
        let out = match memories.first_mut() {
            Some(next) => &mut next.input,
            None => &mut *output,
        };
        let has_more = layer.advance(memory, limit, context, out);
        let is_piece = out.rows().len() >= PIECE_FLOATS;
        if is_piece || (is_last && !has_more) {
            drain(layers, memories, output, (context, is_last && !has_more));
        }
        if !has_more {
            return;
        }
    }
}
