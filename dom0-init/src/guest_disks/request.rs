//! What a guest asks for, checked: `blkif_request` of `io/blkif.h` and its other forms.

use xenctl::Piece;
use xenctl::xen_abi::PAGE_SIZE;
use xenctl::xen_abi::io::blkif::{
    BlkifOp, BlkifRequest, BlkifRequestDiscard, BlkifRequestIndirect, BlkifRequestSegment,
};
use zerocopy::{FromBytes, Immutable, KnownLayout};

use super::ring::{ANSWER, SLOT};

/// Bytes of a sector, whatever the medium has.
pub const SECTOR: u64 = 512;
/// The last sector of a page.
const LAST_OF_PAGE: u8 = 7;
/// How many segments requests may have whose segments lie in pages of their own.
pub const MOST_SEGMENTS: usize = 128;

/// What a request is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Moves sectors between medium and guest.
    Transfer {
        /// To the medium.
        write: bool,
        /// What was written before is made durable first.
        flush: bool,
        /// The first sector.
        sector: u64,
        /// Where the guest has them, or wants them.
        segments: Segments,
    },
    /// Makes durable what was written.
    Flush,
    /// Gives sectors up.
    Discard {
        /// The first sector.
        sector: u64,
        /// How many.
        count: u64,
    },
    /// Something that isn't offered.
    Unsupported,
    /// Something that makes no sense.
    Invalid,
}

/// Where a request's segments are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segments {
    /// In the request itself.
    Here(Vec<BlkifRequestSegment>),
    /// In pages of the guest, as many as it takes.
    There {
        /// The pages.
        pages: Vec<Piece>,
    },
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The guest's own number for it.
    pub id: u64,
    /// As the answer repeats it.
    pub operation: BlkifOp,
    /// What it is to do.
    pub action: Action,
}

impl Request {
    /// Reads one.
    pub fn read(slot: &[u8; SLOT]) -> Self {
        let request: BlkifRequest = prefix(slot);
        let BlkifRequest { operation, id, .. } = request;
        if operation == BlkifOp::INDIRECT {
            let request: BlkifRequestIndirect = prefix(slot);
            // The answer repeats what was meant.
            let operation = request.indirect_op;
            return Self { id, operation, action: indirect(&request) };
        }
        let sector = request.sector_number;
        let transfer = |write, flush| {
            let segments = request.seg.get(..usize::from(request.nr_segments));
            match segments {
                Some(segments) if !segments.is_empty() => {
                    let segments = Segments::Here(segments.to_vec());
                    Action::Transfer { write, flush, sector, segments }
                }
                _ => Action::Invalid,
            }
        };
        let action = match operation {
            BlkifOp::READ => transfer(false, false),
            BlkifOp::WRITE => transfer(true, false),
            BlkifOp::FLUSH_DISKCACHE if request.nr_segments == 0 => Action::Flush,
            BlkifOp::FLUSH_DISKCACHE => transfer(true, true),
            BlkifOp::DISCARD => {
                let BlkifRequestDiscard { sector_number: sector, nr_sectors: count, .. } =
                    prefix(slot);
                Action::Discard { sector, count }
            }
            _ => Action::Unsupported,
        };
        Self { id, operation, action }
    }

    /// The answer to it.
    pub fn answer(&self, status: i16) -> [u8; ANSWER] {
        let mut answer = [0; ANSWER];
        let (id, rest) = answer.split_at_mut(8);
        id.copy_from_slice(&self.id.to_le_bytes());
        let [low, high] = status.to_le_bytes();
        rest.copy_from_slice(&[self.operation.0, 0, low, high]);
        answer
    }
}

fn indirect(request: &BlkifRequestIndirect) -> Action {
    let count = usize::from(request.nr_segments);
    let write = match request.indirect_op {
        BlkifOp::READ => false,
        BlkifOp::WRITE => true,
        _ => return Action::Invalid,
    };
    if count == 0 || count > MOST_SEGMENTS {
        return Action::Invalid;
    }
    let mut rest = count * size_of::<BlkifRequestSegment>();
    let mut pages = Vec::new();
    for reference in request.indirect_grefs {
        let length = rest.min(PAGE_SIZE);
        if length > 0 {
            let length = u16::try_from(length).unwrap_or(0);
            pages.push(Piece { reference, offset: 0, length });
        }
        rest -= length;
    }
    let segments = Segments::There { pages };
    Action::Transfer { write, flush: false, sector: request.sector_number, segments }
}

/// Segments as they were in pages of the guest.
pub fn segments(bytes: &[u8]) -> Vec<BlkifRequestSegment> {
    bytes
        .chunks_exact(size_of::<BlkifRequestSegment>())
        .filter_map(|segment| BlkifRequestSegment::read_from_bytes(segment).ok())
        .collect()
}

/// The parts of pages that segments are; `None` if one isn't inside of its page.
pub fn pieces(segments: &[BlkifRequestSegment]) -> Option<Vec<Piece>> {
    let piece = |segment: &BlkifRequestSegment| {
        let sectors = segment.last_sect.checked_sub(segment.first_sect)?.checked_add(1)?;
        (segment.last_sect <= LAST_OF_PAGE).then(|| Piece {
            reference: segment.gref,
            offset: u16::from(segment.first_sect) * 512,
            length: u16::from(sectors) * 512,
        })
    };
    segments.iter().map(piece).collect()
}

fn prefix<T: FromBytes + KnownLayout + Immutable + Default>(slot: &[u8; SLOT]) -> T {
    T::read_from_prefix(slot).map(|(value, _rest)| value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use xenctl::xen_abi::io::blkif::MAX_SEGMENTS_PER_REQUEST;
    use zerocopy::IntoBytes;

    use super::*;

    fn slot(request: impl IntoBytes + Immutable) -> [u8; SLOT] {
        let mut slot = [0xa5; SLOT];
        let bytes = request.as_bytes();
        slot[..bytes.len()].copy_from_slice(bytes);
        slot
    }

    #[test]
    fn each_kind_is_read() {
        let mut request = BlkifRequest { id: 7, sector_number: 9, ..BlkifRequest::default() };
        request.seg[0] =
            BlkifRequestSegment { gref: 3, first_sect: 1, last_sect: 2, _pad0: [0; 2] };
        let segments = Segments::Here(vec![request.seg[0]]);
        let mut action = |operation, nr_segments| {
            request.operation = operation;
            request.nr_segments = nr_segments;
            let read = Request::read(&slot(request));
            assert_eq!((read.id, read.operation), (7, operation));
            read.action
        };
        let transfer =
            |write, flush| Action::Transfer { write, flush, sector: 9, segments: segments.clone() };
        assert_eq!(action(BlkifOp::READ, 1), transfer(false, false));
        assert_eq!(action(BlkifOp::WRITE, 1), transfer(true, false));
        assert_eq!(action(BlkifOp::FLUSH_DISKCACHE, 1), transfer(true, true));
        assert_eq!(action(BlkifOp::FLUSH_DISKCACHE, 0), Action::Flush);
        assert_eq!(action(BlkifOp::READ, 0), Action::Invalid);
        assert_eq!(action(BlkifOp::WRITE, 12), Action::Invalid);
        assert_eq!(action(BlkifOp::WRITE_BARRIER, 1), Action::Unsupported);
        assert_eq!(action(BlkifOp(200), 1), Action::Unsupported);
        let discard = BlkifRequestDiscard {
            operation: BlkifOp::DISCARD,
            sector_number: 8,
            nr_sectors: u64::MAX,
            ..BlkifRequestDiscard::default()
        };
        let read = Request::read(&slot(discard)).action;
        assert_eq!(read, Action::Discard { sector: 8, count: u64::MAX });
    }

    #[test]
    fn segments_in_pages_of_their_own() {
        let read = |nr_segments, indirect_op| {
            let request = BlkifRequestIndirect {
                operation: BlkifOp::INDIRECT,
                indirect_op,
                nr_segments,
                indirect_grefs: [5, 6, 0, 0, 0, 0, 0, 0],
                ..BlkifRequestIndirect::default()
            };
            let read = Request::read(&slot(request));
            assert_eq!(read.operation, indirect_op);
            read.action
        };
        let pages = vec![Piece { reference: 5, offset: 0, length: 800 }];
        let segments = Segments::There { pages };
        let expected = Action::Transfer { write: true, flush: false, sector: 0, segments };
        assert_eq!(read(100, BlkifOp::WRITE), expected);
        assert_eq!(read(0, BlkifOp::WRITE), Action::Invalid);
        assert_eq!(read(129, BlkifOp::READ), Action::Invalid);
        assert_eq!(read(1, BlkifOp::DISCARD), Action::Invalid);
    }

    #[test]
    fn segments_stay_inside_of_their_pages() {
        let piece = |first_sect, last_sect| {
            pieces(&[BlkifRequestSegment { gref: 1, first_sect, last_sect, _pad0: [0; 2] }])
        };
        assert_eq!(piece(0, 7), Some(vec![Piece { reference: 1, offset: 0, length: 4096 }]));
        assert_eq!(piece(7, 7), Some(vec![Piece { reference: 1, offset: 3584, length: 512 }]));
        assert_eq!((piece(0, 8), piece(3, 2), piece(0, 255)), (None, None, None));
    }

    #[test]
    fn answers_repeat_what_was_asked() {
        let request = Request { id: 0x0102, operation: BlkifOp::WRITE, action: Action::Flush };
        assert_eq!(request.answer(-1), [2, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0xff, 0xff]);
    }

    proptest! {
        #[test]
        fn any_slot_is_answered(slot: [u8; SLOT]) {
            let request = Request::read(&slot);
            if let Action::Transfer { segments, .. } = request.action {
                match segments {
                    Segments::Here(all) => {
                        prop_assert!((1..=MAX_SEGMENTS_PER_REQUEST).contains(&all.len()));
                        for piece in pieces(&all).unwrap_or_default() {
                            prop_assert!(usize::from(piece.offset + piece.length) <= PAGE_SIZE);
                        }
                    }
                    Segments::There { pages } => {
                        let bytes: usize = pages.iter().map(|page| usize::from(page.length)).sum();
                        prop_assert!(bytes <= MOST_SEGMENTS * 8);
                    }
                }
            }
        }
    }
}
