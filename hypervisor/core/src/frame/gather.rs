//! Taking what is free of a range, as much as is wanted and no more.

use super::FrameRange;
use crate::types::Mfn;

/// Takes free frames of `range`, lowest first and in pieces as large as they come, until `wanted`
/// says that there are enough. `take` takes the whole of a piece, or nothing. What it took is given
/// in order.
pub fn gather(
    range: FrameRange,
    wanted: &mut impl FnMut() -> u64,
    take: &mut impl FnMut(FrameRange) -> bool,
) {
    let enough = wanted();
    if range.frames == 0 || enough == 0 {
        return;
    }
    if range.frames <= enough && take(range) || range.frames == 1 {
        return;
    }
    let half = range.frames.next_power_of_two() / 2;
    gather(FrameRange { frames: half, ..range }, wanted, take);
    let rest = FrameRange { start: Mfn(range.start.0 + half), frames: range.frames - half };
    gather(rest, wanted, take);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// It takes the lowest free frames, and exactly as many as are wanted where there are.
        #[test]
        fn the_lowest_free_frames(
            start in 0..50_u64,
            frames in 0..200_u64,
            free in prop::collection::btree_set(0..300_u64, 0..250),
            wanted in 0..250_u64,
        ) {
            let range = FrameRange { start: Mfn(start), frames };
            let expected: Vec<u64> =
                free.range(start..start + frames).copied().take(wanted as usize).collect();
            let taken = std::cell::RefCell::new(BTreeSet::new());
            gather(range, &mut || wanted - taken.borrow().len() as u64, &mut |piece| {
                let piece = piece.start.0..piece.end();
                let whole = piece.clone().all(|mfn| free.contains(&mfn));
                if whole {
                    taken.borrow_mut().extend(piece);
                }
                whole
            });
            prop_assert_eq!(taken.into_inner().into_iter().collect::<Vec<_>>(), expected);
        }
    }
}
