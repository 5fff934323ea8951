//! Orders of token ids by name.

use std::sync::Arc;

use percept::{
    BookSpec, Codes, Delay, FlatByBook, FrameMajor, LayoutError, MiniOmni, SnacTree, TokenLayout,
};

use super::args::{LayoutArg, OrderArgs};
use super::words::Word;

/// The id of Orpheus' first code, and how far its places are apart.
const ORPHEUS: (u32, u32) = (128_266, 4_096);
/// What the number of a `<custom_token_N>` of Orpheus is added to.
const ORPHEUS_CUSTOM: u32 = 128_256;

/// An order of ids for certain books.
pub(crate) struct Order {
    layout: Box<dyn TokenLayout>,
    /// Added to the number of a custom token.
    custom: u32,
    /// Whether the ids of a super-frame stand together.
    is_by_superframe: bool,
}

impl Order {
    /// What the arguments choose for these books.
    ///
    /// # Errors
    ///
    /// Books that the order is not for.
    pub(crate) fn of(args: &OrderArgs, books: &Arc<[BookSpec]>) -> Result<Self, LayoutError> {
        let has_one_rate = books.iter().all(|book| book.stride == books[0].stride);
        let default = match has_one_rate {
            true => LayoutArg::Frame,
            false => LayoutArg::Tree,
        };
        let name = args.layout.unwrap_or(default);
        let books = Arc::clone(books);
        let size = books.iter().map(|book| book.size).max().unwrap_or(1);
        let layout: Box<dyn TokenLayout> = match name {
            LayoutArg::Flat => Box::new(FlatByBook::new(books)?),
            LayoutArg::Frame => Box::new(FrameMajor::new(books)?),
            LayoutArg::Tree => Box::new(SnacTree::new(books, args.base.unwrap_or(0), size)?),
            LayoutArg::Orpheus => Box::new(SnacTree::new(books, ORPHEUS.0, ORPHEUS.1)?),
            LayoutArg::MiniOmni => Box::new(MiniOmni::new()),
            LayoutArg::Delay => Box::new(Delay::musicgen(books)?),
        };
        Ok(Self {
            layout,
            custom: if name == LayoutArg::Orpheus {
                ORPHEUS_CUSTOM
            } else {
                0
            },
            is_by_superframe: matches!(
                name,
                LayoutArg::Frame | LayoutArg::Tree | LayoutArg::Orpheus
            ),
        })
    }

    pub(crate) fn layout(&self) -> &dyn TokenLayout {
        self.layout.as_ref()
    }

    /// The id that a word stands for, if any.
    pub(crate) fn id(&self, word: Word) -> Option<u32> {
        match word {
            Word::Id(id) => Some(id),
            Word::Custom(number) => number.checked_add(self.custom),
            Word::Special => None,
        }
    }

    /// The ids of whole codes as text.
    ///
    /// # Errors
    ///
    /// Codes of other books.
    pub(crate) fn text(&self, codes: &Codes) -> Result<String, LayoutError> {
        let mut ids = Vec::new();
        self.layout.pack(codes, &mut ids)?;
        let superframes = usize::try_from(codes.superframes()).unwrap_or(1).max(1);
        let line = match self.is_by_superframe {
            true => ids.len() / superframes,
            false => ids.len(),
        };
        let mut text = String::new();
        for ids in ids.chunks(line.max(1)) {
            let ids: Vec<String> = ids.iter().map(u32::to_string).collect();
            text.push_str(&ids.join(" "));
            text.push('\n');
        }
        Ok(text)
    }

    /// Whether codes can be written as they come, rather than all at the end.
    pub(crate) fn can_be_streamed(&self) -> bool {
        self.is_by_superframe
    }
}
