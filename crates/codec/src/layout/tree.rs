//! Super-frames depth first: the order of Orpheus, and its delayed form, Mini-Omni's.

use std::sync::Arc;

use super::{
    LayoutError, TokenLayout, TokenStream,
    grid::{Grid, Ids},
    grid_stream::GridStream,
};
use crate::codes::{BookSpec, Codes};

/// Each super-frame depth first: a code, then the finer codes of the first part of its time, then those of the next.
/// For strides `[4, 2, 1]` that is `c0 c1 c2 c2 c1 c2 c2`. The id of `code` in slot `i` is
/// `base + i * slot_stride + code`, so an id tells its slot.
///
/// ```
/// use percept_codec::{Codes, SnacTree, TokenEvent, TokenLayout};
///
/// # fn main() -> Result<(), percept_codec::LayoutError> {
/// let orpheus = SnacTree::orpheus();
/// let mut codes = Codes::new(orpheus.specs().clone());
/// let mut stream = orpheus.stream();
/// for slot in 0..6 {
///     assert_eq!(stream.push(128_266 + 4_096 * slot + 7, &mut codes)?, TokenEvent::Token);
/// }
/// assert_eq!(stream.push(128_258, &mut codes)?, TokenEvent::Special(128_258));
/// assert_eq!(stream.push(128_266 + 4_096 * 6 + 7, &mut codes)?, TokenEvent::Superframe);
/// assert_eq!(codes.superframes(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct SnacTree(Arc<Grid>);

impl SnacTree {
    /// The tree of these books, coarse to fine, each stride a divisor of the one before. Slots are `slot_stride` ids
    /// apart, which is at least the size of the largest book.
    pub fn new(
        specs: Arc<[BookSpec]>,
        base: u32,
        slot_stride: u32,
    ) -> Result<SnacTree, LayoutError> {
        let ids = Ids { base, slot_stride };
        Ok(SnacTree(Arc::new(Grid::tree(specs, Some(ids))?)))
    }

    /// The order of Orpheus: SNAC 24 kHz, 7 slots. `<custom_token_0>` has the id 128256 and the codes begin with
    /// `<custom_token_10>`: `code = N - 10 - 4096 * slot`.
    /// (<https://github.com/canopyai/Orpheus-TTS>, `orpheus_tts/decoder.py` at 835ac7c)
    pub fn orpheus() -> SnacTree {
        SnacTree::new(snac_24khz(), 128_256 + 10, 4_096)
            .expect("strides 4, 2, 1 divide one another and the ids fit")
    }
}

/// The books of SNAC 24 kHz.
fn snac_24khz() -> Arc<[BookSpec]> {
    [4, 2, 1]
        .map(|stride| BookSpec {
            size: 4_096,
            stride,
        })
        .into()
}

/// The order of Mini-Omni: SNAC 24 kHz, the 7 slots of the tree side by side, slot `i` late by `i + 1` steps. Ids are
/// row by row; the id of `code` in slot `i` is `152000 + 4160 * i + code`, where 4096 ends the slot and 4097 pads it.
/// (<https://github.com/gpt-omni/mini-omni/blob/68fa4b99cf3a1873910c46a0dc12585dc3b2e2d7/utils/snac_utils.py>)
///
/// The last row, which holds only the end mark of slot 6 and padding, may lack.
#[derive(Clone, Debug)]
pub struct MiniOmni(Arc<Grid>);

impl MiniOmni {
    /// The published order.
    pub fn new() -> MiniOmni {
        let ids = Ids {
            base: 152_000,
            slot_stride: 4_160,
        };
        let grid = Grid::tree(snac_24khz(), Some(ids))
            .and_then(|grid| grid.delayed(&[1, 2, 3, 4, 5, 6, 7], 4_097, Some(4_096)))
            .expect("7 slots have 7 delays, and the marks lie above the codes");
        MiniOmni(Arc::new(grid))
    }
}

impl Default for MiniOmni {
    fn default() -> MiniOmni {
        MiniOmni::new()
    }
}

macro_rules! layout_of_a_grid {
    ($layout:ty) => {
        impl TokenLayout for $layout {
            fn specs(&self) -> &Arc<[BookSpec]> {
                &self.0.specs
            }

            fn pack(&self, codes: &Codes, out: &mut Vec<u32>) -> Result<(), LayoutError> {
                self.0.pack(codes, out)
            }

            fn unpack(&self, ids: &[u32]) -> Result<Codes, LayoutError> {
                self.0.unpack(ids)
            }

            fn stream(&self) -> Box<dyn TokenStream> {
                Box::new(GridStream::new(self.0.clone()))
            }
        }
    };
}
pub(super) use layout_of_a_grid;

layout_of_a_grid!(SnacTree);
layout_of_a_grid!(MiniOmni);
