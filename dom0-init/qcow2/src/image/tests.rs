use proptest::prelude::*;

use super::*;
use crate::testing::{Change, Disk, check, empty_image};

/// Clusters of 512 bytes make a small image have many tables.
const BITS: u32 = 9;
const CLUSTER: usize = 1 << BITS;
const SIZE: usize = 150 * CLUSTER + 100;
const SECTOR: usize = 512;

#[derive(Debug, Clone)]
enum Step {
    Write(usize, usize, u8),
    Discard(usize, usize),
    Commit,
    Flush,
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let place = (0..SIZE, prop_oneof![1..CLUSTER, 1..20 * CLUSTER]);
    let inside = place.prop_map(|(at, length)| (at, length.min(SIZE - at)));
    let sectors = inside.clone().prop_map(|(at, length)| {
        let at = at / SECTOR * SECTOR;
        (at, length.next_multiple_of(SECTOR).min(SIZE - at))
    });
    let step = prop_oneof![
        8 => (sectors, 1..=u8::MAX).prop_map(|((at, length), byte)| Step::Write(at, length, byte)),
        3 => inside.prop_map(|(at, length)| Step::Discard(at, length)),
        3 => Just(Step::Commit),
        1 => Just(Step::Flush),
        1 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 1..40)
}

/// What an image is to hold.
#[derive(Clone)]
struct Model {
    bytes: Vec<u8>,
    /// Which clusters are the image's own, and not shown from behind it.
    own: Vec<bool>,
}

impl Model {
    /// With nothing in it, or with something behind it.
    fn new(base: Option<&Disk>) -> Self {
        let bytes = base.map_or_else(|| vec![0; SIZE], Disk::bytes);
        Self { bytes, own: vec![base.is_none(); SIZE.div_ceil(CLUSTER)] }
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Write(at, length, byte) => {
                self.bytes[at..at + length].fill(byte);
                self.own[at / CLUSTER..(at + length).div_ceil(CLUSTER)].fill(true);
            }
            Step::Discard(at, length) => {
                let end = at + length;
                let end = if end == SIZE { end.div_ceil(CLUSTER) } else { end / CLUSTER };
                for cluster in at.div_ceil(CLUSTER)..end {
                    let start = cluster * CLUSTER;
                    if self.own[cluster] {
                        self.bytes[start..SIZE.min(start + CLUSTER)].fill(0);
                    }
                }
            }
            Step::Commit | Step::Flush | Step::Reopen => {}
        }
    }
}

/// What may lie behind an image.
fn base() -> Disk {
    Disk::of((0..SIZE).map(|n| (n / SECTOR) as u8 | 1).collect())
}

fn open(disk: &Disk) -> Image<Disk> {
    Image::open(disk.clone(), true).unwrap()
}

fn open_over(disk: &Disk, base: Option<&Disk>) -> Image<Disk> {
    let mut image = open(disk);
    if let Some(base) = base {
        image.back(Layer::Raw(base.clone()));
    }
    image
}

fn take(image: &mut Image<Disk>, step: &Step, base: Option<&Disk>) {
    match *step {
        Step::Write(at, length, byte) => image.write(at as u64, &vec![byte; length]).unwrap(),
        Step::Discard(at, length) => image.discard(at as u64, length as u64).unwrap(),
        Step::Commit => image.commit().unwrap(),
        Step::Flush => image.flush().unwrap(),
        Step::Reopen => {
            image.close().unwrap();
            *image = open_over(image.storage(), base);
        }
    }
}

fn contents(image: &mut Image<Disk>) -> Vec<u8> {
    let mut bytes = vec![0xee; SIZE];
    image.read(0, &mut bytes).unwrap();
    bytes
}

/// What was on a disk after each step, with its age then.
struct History {
    start: Vec<u8>,
    changes: Vec<Change>,
    moments: Vec<(usize, Step, Vec<u8>)>,
}

fn history(steps: Vec<Step>, base: Option<&Disk>) -> History {
    let disk = empty_image(BITS, SIZE as u64);
    let start = disk.bytes();
    let mut image = open_over(&disk, base);
    let mut model = Model::new(base);
    let mut moments = vec![(0, Step::Reopen, model.bytes.clone())];
    for step in steps {
        take(&mut image, &step, base);
        model.take(&step);
        assert!(contents(&mut image) == model.bytes, "after {step:?}");
        moments.push((disk.age(), step, model.bytes.clone()));
    }
    History { start, changes: disk.changes(), moments }
}

/// Whether each sector is as it was at the last moment that counts before `age`, or as it became
/// later.
fn is_allowed(found: &[u8], moments: &[(usize, Step, Vec<u8>)], age: usize, durable: bool) {
    let counts = |(then, step, _): &&(usize, Step, Vec<u8>)| {
        *then <= age
            && (matches!(step, Step::Flush | Step::Reopen)
                || !durable && matches!(step, Step::Commit))
    };
    let sure = moments.iter().filter(counts).count();
    let sure = moments.iter().enumerate().filter(|(_, moment)| counts(moment)).nth(sure - 1);
    let (sure, _) = sure.unwrap();
    let until = moments.iter().position(|(then, ..)| *then > age).unwrap_or(moments.len() - 1);
    let possible = &moments[sure..=until.max(sure)];
    for (sector, found) in found.chunks(SECTOR).enumerate() {
        let at = sector * SECTOR;
        let as_then =
            |(_, _, bytes): &(usize, Step, Vec<u8>)| found == &bytes[at..at + found.len()];
        assert!(possible.iter().any(as_then), "sector {sector} is {:?}...", &found[..4]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn it_holds_what_was_written_and_is_whole(steps in steps(), backed: bool) {
        let base = backed.then(base);
        let history = history(steps, base.as_ref());
        let disk = Disk::after(&history.start, &history.changes);
        let mut image = open(&disk);
        image.close().unwrap();
        check(&disk);
    }

    #[test]
    fn a_kill_at_any_moment_loses_nothing_that_was_committed(
        steps in steps(), moment in any::<prop::sample::Index>(), backed: bool,
    ) {
        let base = backed.then(base);
        let history = history(steps, base.as_ref());
        let age = moment.index(history.changes.len() + 1);
        let disk = Disk::after(&history.start, &history.changes[..age]);
        check(&disk);
        let mut image = open_over(&disk, base.as_ref());
        let mut expected = contents(&mut image);
        is_allowed(&expected, &history.moments, age, false);
        // It goes on from there.
        for cluster in 0..SIZE / CLUSTER {
            let at = cluster * CLUSTER + 100;
            image.write(at as u64, &[0xaa; 10]).unwrap();
            expected[at..at + 10].fill(0xaa);
        }
        image.close().unwrap();
        prop_assert!(contents(&mut image) == expected);
        check(&disk);
    }

    #[test]
    fn a_power_failure_loses_nothing_that_was_flushed(
        steps in steps(), moment in any::<prop::sample::Index>(), fates: u64, backed: bool,
    ) {
        let base = backed.then(base);
        let history = history(steps, base.as_ref());
        let age = moment.index(history.changes.len() + 1);
        let changes = &history.changes[..age];
        let is_sync = |change: &Change| matches!(change, Change::Sync);
        let durable = changes.iter().rposition(is_sync).unwrap_or(0);
        let (durable, rest) = changes.split_at(durable);
        let lucky = rest.iter().enumerate().filter(|(n, _)| fates >> (n % 64) & 1 == 1);
        let disk = Disk::after(&history.start, durable.iter().chain(lucky.map(|(_, change)| change)));
        check(&disk);
        let mut image = open_over(&disk, base.as_ref());
        is_allowed(&contents(&mut image), &history.moments, age, true);
    }

    #[test]
    fn a_damaged_image_is_answered(
        changes in prop::collection::vec((0..8 * CLUSTER as u64, any::<u8>()), 1..30), steps in steps(),
    ) {
        let disk = empty_image(BITS, SIZE as u64);
        let mut image = open(&disk);
        image.write(0, &[1; 40 * CLUSTER]).unwrap();
        image.close().unwrap();
        for (offset, byte) in changes {
            disk.write(offset, &[byte]).unwrap();
        }
        let Ok(mut image) = Image::open(disk, true) else { return Ok(()) };
        for step in steps {
            let _answered = match step {
                Step::Write(at, length, byte) => image.write(at as u64, &vec![byte; length]),
                Step::Discard(at, length) => image.discard(at as u64, length as u64),
                Step::Commit => image.commit(),
                Step::Flush | Step::Reopen => image.flush(),
            };
            let _answered = image.read(0, &mut vec![0; SIZE]);
        }
    }
}

#[test]
fn it_grows_beyond_its_table_of_counts() {
    // A cluster of counts' places is good for 64 * 256 clusters of 512 bytes, 8 MiB.
    let size = 24 << 20;
    let disk = empty_image(BITS, size);
    let mut image = open(&disk);
    for at in (0..size).step_by(1 << 20) {
        image.write(at, &vec![(at >> 20) as u8 + 1; 1 << 20]).unwrap();
        image.commit().unwrap();
    }
    image.close().unwrap();
    assert_eq!(check(&disk), 0);
    let mut image = open(&disk);
    assert!(image.header().reftable_clusters > 1);
    let mut bytes = vec![0; 1 << 20];
    for at in (0..size).step_by(1 << 20) {
        image.read(at, &mut bytes).unwrap();
        assert!(bytes.iter().all(|byte| *byte == (at >> 20) as u8 + 1));
    }
}

#[test]
fn what_is_behind_it_shows_until_it_is_written_and_stays_as_it_is() {
    let below: Vec<u8> = (0..SIZE).map(|n| (n / SECTOR) as u8 | 1).collect();
    let base = Disk::of(below[..100 * CLUSTER].to_vec());
    let disk = empty_image(BITS, SIZE as u64);
    let mut image = open(&disk);
    image.back(Layer::Raw(base.clone()));
    let mut expected = below[..100 * CLUSTER].to_vec();
    expected.resize(SIZE, 0);
    assert!(contents(&mut image) == expected);
    image.write(700, &[9; 1000]).unwrap();
    image.write(99 * CLUSTER as u64 + 500, &[9; 24]).unwrap();
    image.discard(0, 2 * CLUSTER as u64).unwrap();
    expected[700..1700].fill(9);
    expected[99 * CLUSTER + 500..100 * CLUSTER + 12].fill(9);
    // Only what the image holds itself is given up.
    expected[CLUSTER..2 * CLUSTER].fill(0);
    image.close().unwrap();
    assert!(contents(&mut image) == expected);
    assert_eq!((check(&disk), base.age()), (0, 0));
    let top = empty_image(BITS, SIZE as u64);
    let mut over = open(&top);
    over.back(Layer::Qcow2(Box::new(image)));
    assert!(contents(&mut over) == expected);
}

#[test]
fn what_a_snapshot_shares_is_copied() {
    let disk = empty_image(BITS, SIZE as u64);
    let mut image = open(&disk);
    image.write(0, &[5; 4 * CLUSTER]).unwrap();
    image.close().unwrap();
    // As if a snapshot had the same tables: all counts are two, nothing is owned.
    let header = image.header().clone();
    let first =
        u64::from_be_bytes(disk.bytes()[header.l1_offset as usize..][..8].try_into().unwrap());
    let table = first & !OWNED;
    disk.write(header.l1_offset, &table.to_be_bytes()).unwrap();
    let mut shared = vec![table >> BITS];
    for index in 0..4 {
        let place = table + index * 8;
        let entry = u64::from_be_bytes(disk.bytes()[place as usize..][..8].try_into().unwrap());
        disk.write(place, &(entry & !OWNED).to_be_bytes()).unwrap();
        shared.push((entry & !OWNED) >> BITS);
    }
    for cluster in &shared {
        disk.write(2 * CLUSTER as u64 + cluster * 2, &2_u16.to_be_bytes()).unwrap();
    }
    let mut image = open(&disk);
    image.write(CLUSTER as u64 + 10, &[6; 10]).unwrap();
    image.close().unwrap();
    let bytes = contents(&mut image);
    assert_eq!(bytes[CLUSTER..CLUSTER + 30], [[5; 10], [6; 10], [5; 10]].concat());
    for cluster in shared[1..].iter().take(4) {
        let start = *cluster as usize * CLUSTER;
        assert!(disk.bytes()[start..start + CLUSTER].iter().all(|byte| *byte == 5));
    }
}

#[test]
fn a_full_disk_is_an_error_and_nothing_else() {
    let disk = empty_image(BITS, SIZE as u64);
    let mut image = open(&disk);
    image.write(0, &[1; 10 * CLUSTER]).unwrap();
    image.commit().unwrap();
    disk.fill_up(true);
    for _attempt in 0..3 {
        assert!(matches!(image.write(40 * CLUSTER as u64, &[2; 9 * CLUSTER]), Err(Error::Io(_))));
    }
    disk.fill_up(false);
    image.write(40 * CLUSTER as u64, &[2; 9 * CLUSTER]).unwrap();
    image.close().unwrap();
    check(&disk);
    let bytes = contents(&mut image);
    assert!(bytes[..10 * CLUSTER].iter().all(|byte| *byte == 1));
    assert!(bytes[40 * CLUSTER..49 * CLUSTER].iter().all(|byte| *byte == 2));
}

#[test]
fn guests_cannot_write_to_the_tables() {
    let disk = empty_image(BITS, SIZE as u64);
    let mut image = open(&disk);
    image.write(0, &[1; CLUSTER]).unwrap();
    image.close().unwrap();
    let header = image.header().clone();
    let first =
        u64::from_be_bytes(disk.bytes()[header.l1_offset as usize..][..8].try_into().unwrap());
    for place in [0, header.reftable_offset, header.l1_offset, first & !OWNED] {
        // A cluster at offset 0 is none.
        let entry = if place == 0 { OWNED | ZERO } else { OWNED | place };
        disk.write(first & !OWNED, &entry.to_be_bytes()).unwrap();
        let mut image = open(&disk);
        let before = disk.bytes()[place as usize..place as usize + CLUSTER].to_vec();
        let written = image.write(0, &[0xff; CLUSTER]);
        assert!(place == 0 || matches!(written, Err(Error::Damaged(_))), "{place:#x}");
        assert!(disk.bytes()[place as usize..place as usize + CLUSTER] == before);
    }
}

#[test]
fn one_that_may_be_read_only_is_not_changed() {
    let disk = empty_image(BITS, SIZE as u64);
    let mut image = Image::open(disk.clone(), false).unwrap();
    assert!(matches!(image.write(0, &[1; 512]), Err(Error::ReadOnly)));
    assert!(matches!(image.discard(0, 512), Err(Error::ReadOnly)));
    image.close().unwrap();
    assert!(matches!(image.read(SIZE as u64, &mut [0]), Err(Error::OutOfRange)));
    assert!(matches!(image.read(u64::MAX, &mut [0]), Err(Error::OutOfRange)));
    assert_eq!(disk.age(), 0);
}
