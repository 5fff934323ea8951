//! Residual units: two convolutions with activations before them, around which the signal passes.

use percept_weights::{Tensors, WeightsError};

use super::conv::Taps;
use super::{Activation, Context, ConvSize, Layer, Memory, More, Padding, Window};
use crate::arena::buffer;
use crate::tiles::for_each_block;

/// `x + second(activation(first(activation(x))))`, where `second` has one tap and the signal may pass through a map of its
/// own.
#[derive(Debug)]
pub struct ResidualUnit {
    before: [Activation; 2],
    first: Taps,
    second: Taps,
    shortcut: Option<Taps>,
    padding: Padding,
}

/// Sizes of a residual unit.
#[derive(Clone, Copy, Debug)]
pub struct ResidualSize {
    /// Channels that come in and go out.
    pub channels: usize,
    /// Channels between the convolutions.
    pub hidden: usize,
    /// Taps of the first convolution.
    pub kernel: usize,
    /// Rows between them.
    pub dilation: usize,
    /// Whether the first convolution takes each channel on its own.
    pub is_depthwise: bool,
    /// The padding of the first convolution; both sides together make up for its span.
    pub padding: Padding,
}

impl ResidualUnit {
    /// Loads the first and the second convolution at `names`, and the map of the signal itself if there is a name for it.
    pub fn load(
        tensors: &Tensors,
        names: (&str, &str, Option<&str>),
        size: ResidualSize,
        before: [Activation; 2],
    ) -> Result<Self, WeightsError> {
        let (first, second, _) = names;
        let ResidualSize {
            channels,
            hidden,
            kernel,
            dilation,
            is_depthwise,
            padding,
        } = size;
        let taps = ConvSize {
            inputs: channels,
            outputs: hidden,
            kernel,
            dilation,
            stride: 1,
            is_depthwise,
        };
        assert_eq!(
            padding.left + padding.right + 1,
            taps.span(),
            "a unit keeps its rows"
        );
        let point = |inputs| ConvSize::dense(inputs, channels, 1);
        let shortcut = |name| Taps::load(tensors, name, point(channels));
        let shortcut = names.2.map(shortcut).transpose()?;
        Ok(ResidualUnit {
            before,
            first: Taps::load(tensors, first, taps)?,
            second: Taps::load(tensors, second, point(hidden))?,
            shortcut,
            padding,
        })
    }

    /// The rows of `out` from those of `raw` beside them and of `active`, which begin where the first tap looks.
    fn compute(&self, raw: &[f32], active: &[f32], out: &mut [f32]) {
        let (channels, hidden) = (self.inputs(), self.first.size.outputs);
        for_each_block(out, channels, |row, out| {
            let rows = out.len() / channels;
            let mut between = buffer(rows * hidden);
            let active = &active[row * channels..];
            self.first
                .forward_then(&self.before[1], active, &mut between);
            let raw = &raw[row * channels..][..out.len()];
            match &self.shortcut {
                None => self.second.forward_onto(raw, &between, out),
                Some(shortcut) => {
                    shortcut.forward(raw, out);
                    self.second.forward_add(&between, out);
                }
            }
        });
    }
}

impl Layer for ResidualUnit {
    fn inputs(&self) -> usize {
        self.first.size.inputs
    }

    fn outputs(&self) -> usize {
        self.second.size.outputs
    }

    fn memory(&self) -> Memory {
        let active = Window::new(self.inputs(), self.padding);
        Memory::window(self.inputs(), Padding::NONE).with(More::Between(active))
    }

    fn produced(&self, received: u64) -> u64 {
        self.first.size.outputs_of(self.padding.before(received))
    }

    fn total(&self, received: u64) -> u64 {
        received
    }

    fn advance(
        &self,
        memory: &mut Memory,
        limit: usize,
        _: &Context<'_>,
        out: &mut Window,
    ) -> bool {
        let Memory {
            input: raw,
            more: More::Between(active),
            ..
        } = memory
        else {
            unreachable!("the memory of another layer");
        };
        let channels = self.inputs();
        let new = (raw.received() - active.received()) as usize;
        let old = raw.len() - new;
        let rows = &raw.rows()[old * channels..];
        self.before[0].map_parallel(rows, active.extend(new), channels);
        active.settle();
        let ready = self.first.size.outputs_of(active.len() as u64);
        let rows = (ready as usize).min(limit);
        if rows == 0 {
            return false;
        }
        self.compute(raw.rows(), active.rows(), out.extend(rows));
        raw.consume(rows);
        active.consume(rows);
        true
    }

    fn finish(&self, memory: &mut Memory) {
        if let More::Between(active) = &mut memory.more {
            active.finish(0);
        }
    }
}
