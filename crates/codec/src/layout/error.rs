//! What can be wrong with token ids.

use crate::codes::CodesError;

/// Why ids and codes do not turn into one another, with the fact and what to do.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// The codes themselves are wrong for the layout.
    #[error(transparent)]
    Codes(#[from] CodesError),
    /// A number of ids that does not fill whole super-frames or rows.
    #[error("{ids} ids are not a positive multiple of {multiple}; give whole super-frames")]
    Length {
        /// The ids given.
        ids: usize,
        /// What their number must be a multiple of.
        multiple: u64,
    },
    /// Fewer rows than the delays alone take.
    #[error("{rows} rows of ids are shorter than the longest delay, {delay}; give all of them")]
    Short {
        /// The rows given.
        rows: usize,
        /// The longest delay, in rows.
        delay: usize,
    },
    /// An id that is no code of its slot.
    #[error(
        "id {id} at {index} is no code of slot {slot}; give audio ids only, or stream them to skip the others"
    )]
    NotACode {
        /// Where among the ids.
        index: usize,
        /// The id.
        id: u32,
        /// The slot it would fill.
        slot: usize,
    },
    /// A code of another slot than the one whose turn it is.
    #[error(
        "id {id} at {index} belongs to slot {found}, it is the turn of slot {expected}; an id is missing or surplus"
    )]
    Phase {
        /// Where among the ids.
        index: usize,
        /// The id.
        id: u32,
        /// The slot whose turn it is.
        expected: usize,
        /// The slot the id belongs to.
        found: usize,
    },
    /// A code where the delays leave room for padding only.
    #[error("id {id} at {index} stands where the delays put padding; check the delays")]
    NotPadding {
        /// Where among the ids.
        index: usize,
        /// The id.
        id: u32,
    },
    /// Strides that the layout cannot carry.
    #[error("strides {strides:?} do not fit: {need}")]
    Strides {
        /// The stride of each book.
        strides: Vec<u32>,
        /// What the layout needs.
        need: &'static str,
    },
    /// A super-frame of more slots than a layout keeps track of.
    #[error("a super-frame of {slots} codes; {most} is the most")]
    TooManySlots {
        /// The codes of one super-frame.
        slots: u64,
        /// The most there may be.
        most: u64,
    },
    /// Slots so close that the codes of one run into the next.
    #[error(
        "slots are {slot_stride} ids apart, a book has {size} entries; put the slots at least that far apart"
    )]
    SlotStride {
        /// Ids from one slot to the next.
        slot_stride: u32,
        /// Entries of the largest book.
        size: u32,
    },
    /// Ids that do not fit 32 bits.
    #[error(
        "ids from {base}, {slots} slots {slot_stride} apart, do not fit 32 bits; lower the base"
    )]
    IdRange {
        /// The id of code 0 in slot 0.
        base: u32,
        /// The slots.
        slots: usize,
        /// Ids from one slot to the next.
        slot_stride: u32,
    },
    /// A padding id that is also a code.
    #[error("the padding {pad} is also a code of book {book}; choose one that no book has")]
    PadIsACode {
        /// The padding.
        pad: u32,
        /// A book that has this code.
        book: usize,
    },
    /// More or fewer delays than books.
    #[error("{found} delays for {expected} books; give one for each")]
    Delays {
        /// The books.
        expected: usize,
        /// The delays given.
        found: usize,
    },
    /// A delay so long that nothing would ever come out.
    #[error("a delay of {delay} rows; {most} is the most")]
    DelayTooLong {
        /// The delay.
        delay: usize,
        /// The most it may be.
        most: usize,
    },
    /// Ids after the end of the stream.
    #[error("the stream has ended; start another one")]
    Finished,
}

impl LayoutError {
    /// A short name that never changes, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            LayoutError::Codes(error) => error.code(),
            LayoutError::Length { .. } => "id-count",
            LayoutError::Short { .. } => "too-few-rows",
            LayoutError::NotACode { .. } => "not-a-code",
            LayoutError::Phase { .. } => "phase",
            LayoutError::NotPadding { .. } => "not-padding",
            LayoutError::Strides { .. } => "layout-strides",
            LayoutError::TooManySlots { .. } => "too-many-slots",
            LayoutError::SlotStride { .. } => "slot-stride",
            LayoutError::IdRange { .. } => "id-range",
            LayoutError::PadIsACode { .. } => "pad-is-a-code",
            LayoutError::Delays { .. } => "delay-count",
            LayoutError::DelayTooLong { .. } => "delay-too-long",
            LayoutError::Finished => "finished",
        }
    }
}
