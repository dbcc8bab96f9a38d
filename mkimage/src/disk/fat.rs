//! FAT file systems, written by the `fatfs` crate into a device, deterministic.
//!
//! `fatfs` gives the `.` and `..` entries of new folders long names, and lets `..` of a folder in
//! a FAT32 root point at the root's cluster; both fail a file system check. They are put right
//! afterwards.

use super::content::Files;
use fatfs::{FatType, FileSystem, FormatVolumeOptions, FsOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};

/// Identity of a file system.
#[derive(Debug, Clone, Copy)]
pub struct Label<'a> {
    /// Up to 11 upper-case characters.
    pub name: &'a str,
    /// Serial number.
    pub serial: u32,
}

/// The time of every entry: FAT's range begins in 1980, and nobody reads it.
#[derive(Debug)]
struct FixedTime;

static FIXED_TIME: FixedTime = FixedTime;

impl fatfs::TimeProvider for FixedTime {
    fn get_current_date(&self) -> fatfs::Date {
        fatfs::Date { year: 2026, month: 1, day: 1 }
    }

    fn get_current_date_time(&self) -> fatfs::DateTime {
        let time = fatfs::Time { hour: 0, min: 0, sec: 0, millis: 0 };
        fatfs::DateTime { date: self.get_current_date(), time }
    }
}

/// FAT32 needs more clusters than FAT16 can number.
const FAT32_CLUSTERS: u64 = 65_525;

/// Geometry for a device of `size` bytes: FAT16 or FAT12 with large clusters where possible, for
/// fast reading by firmware; FAT32 where it is asked for or unavoidable.
fn geometry(size: u64, want_fat32: bool) -> (FatType, u32) {
    let clusters = |bytes: u64| size / bytes;
    if want_fat32 || clusters(4096) > FAT32_CLUSTERS - 16 {
        // A margin for the tables themselves, which are no clusters.
        let fits = |bytes: &u64| clusters(*bytes) > FAT32_CLUSTERS * 51 / 50;
        let bytes = [4096, 2048, 1024].into_iter().find(fits).unwrap_or(512);
        return (FatType::Fat32, u32::try_from(bytes).unwrap_or(512));
    }
    if clusters(4096) > 4200 { (FatType::Fat16, 4096) } else { (FatType::Fat12, 4096) }
}

/// Formats a device and puts files on it. `want_fat32` is for EFI system partitions.
///
/// # Errors
/// When the files don't fit, or the device fails.
pub fn write<D: Read + Write + Seek>(
    device: &mut D,
    size: u64,
    label: Label<'_>,
    want_fat32: bool,
    files: &Files,
) -> io::Result<()> {
    let mut name = [b' '; 11];
    for (slot, byte) in name.iter_mut().zip(label.name.bytes()) {
        *slot = byte;
    }
    let (kind, cluster) = geometry(size, want_fat32);
    let options = FormatVolumeOptions::new()
        .fat_type(kind)
        .bytes_per_cluster(cluster)
        .total_sectors(u32::try_from(size / 512).map_err(|_| io::ErrorKind::InvalidInput)?)
        .volume_id(label.serial)
        .volume_label(name);
    fatfs::format_volume(&mut *device, options)?;
    {
        let options = FsOptions::new().time_provider(&FIXED_TIME).update_accessed_date(false);
        let system = FileSystem::new(&mut *device, options)?;
        for (path, source) in files {
            let content = source.read().map_err(io::Error::other)?;
            make_parents(&system, path)?;
            let mut file = system.root_dir().create_file(path).map_err(full)?;
            file.write_all(&content).and_then(|()| file.flush()).map_err(full)?;
        }
        system.unmount()?;
    }
    dots::repair(device)?;
    device.flush()
}

/// fatfs words a full file system like a full disk; only the real one has a number.
fn full(error: io::Error) -> io::Error {
    if error.raw_os_error().is_none() && error.to_string().contains("No space left") {
        return io::Error::other("the partition is too small; raise its size in the recipe");
    }
    error
}

fn make_parents<D: Read + Write + Seek>(system: &FileSystem<D>, path: &str) -> io::Result<()> {
    for (at, _) in path.match_indices('/') {
        system.root_dir().create_dir(path.get(..at).unwrap_or_default()).map_err(full)?;
    }
    Ok(())
}

/// Rewrites the first entries of every folder.
mod dots {
    use super::{Read, Seek, SeekFrom, Write, io};

    const ENTRY: usize = 32;
    const LONG_NAME: u8 = 0x0f;
    const FOLDER: u8 = 0x10;
    const DELETED: u8 = 0xe5;

    /// Where things are, from the boot sector.
    struct Layout {
        cluster_bytes: u64,
        data_start: u64,
        root: Root,
    }

    enum Root {
        /// FAT12 and FAT16: an area of its own.
        Area { start: u64, bytes: usize },
        /// FAT32: a cluster.
        Cluster(u32),
    }

    impl Layout {
        fn read<D: Read + Seek>(device: &mut D) -> io::Result<Self> {
            let sector = read_at(device, 0, 512)?;
            let half = |at| u64::from(u16::from_le_bytes(array(&sector, at)));
            let word = |at| u32::from_le_bytes(array(&sector, at));
            let [cluster_sectors, tables] =
                [array::<1>(&sector, 13)[0], array::<1>(&sector, 16)[0]];
            let bytes = half(11);
            let fat_sectors = if half(22) == 0 { u64::from(word(36)) } else { half(22) };
            let root_start = (half(14) + u64::from(tables) * fat_sectors) * bytes;
            let root_bytes = half(17) * ENTRY as u64;
            let root = if root_bytes == 0 {
                Root::Cluster(word(44))
            } else {
                Root::Area { start: root_start, bytes: usize::try_from(root_bytes).unwrap_or(0) }
            };
            let cluster_bytes = u64::from(cluster_sectors) * bytes;
            Ok(Self { cluster_bytes, data_start: root_start + root_bytes, root })
        }

        fn at(&self, cluster: u32) -> u64 {
            self.data_start + u64::from(cluster.saturating_sub(2)) * self.cluster_bytes
        }
    }

    /// Puts the dot entries of all folders right. Our folders fit into one cluster each.
    pub fn repair<D: Read + Write + Seek>(device: &mut D) -> io::Result<()> {
        let layout = Layout::read(device)?;
        let cluster_bytes = usize::try_from(layout.cluster_bytes).unwrap_or(0);
        let root = match layout.root {
            Root::Area { start, bytes } => read_at(device, start, bytes)?,
            Root::Cluster(cluster) => read_at(device, layout.at(cluster), cluster_bytes)?,
        };
        let mut open: Vec<(u32, u32)> = folders(&root).map(|cluster| (cluster, 0)).collect();
        while let Some((cluster, parent)) = open.pop() {
            let mut entries = read_at(device, layout.at(cluster), cluster_bytes)?;
            rewrite(&mut entries, parent);
            device.seek(SeekFrom::Start(layout.at(cluster)))?;
            device.write_all(&entries)?;
            open.extend(folders(&entries).map(|inner| (inner, cluster)));
        }
        Ok(())
    }

    /// Keeps the short `.` and `..`, first; what held their long names becomes free.
    fn rewrite(entries: &mut [u8], parent: u32) {
        let is_dot =
            |entry: &&[u8]| entry.first() == Some(&b'.') && entry.get(11) != Some(&LONG_NAME);
        let dots: Vec<Vec<u8>> =
            entries.chunks(ENTRY).take(4).filter(is_dot).map(<[u8]>::to_vec).collect();
        let [dot, dotdot] = dots.as_slice() else { return };
        let mut dotdot = dotdot.clone();
        let [b0, b1, b2, b3] = parent.to_le_bytes();
        for (at, byte) in [(26, b0), (27, b1), (20, b2), (21, b3)] {
            if let Some(slot) = dotdot.get_mut(at) {
                *slot = byte;
            }
        }
        let head = [dot.as_slice(), &dotdot].concat();
        let had_long_names = entries.get(11) == Some(&LONG_NAME);
        for (slot, byte) in entries.iter_mut().zip(&head) {
            *slot = *byte;
        }
        if had_long_names {
            for entry in entries.chunks_mut(ENTRY).skip(2).take(2) {
                entry.fill(0);
                if let Some(first) = entry.first_mut() {
                    *first = DELETED;
                }
            }
        }
    }

    /// First clusters of the folders in a list of entries, without `.` and `..`.
    fn folders(entries: &[u8]) -> impl Iterator<Item = u32> {
        let used = entries.chunks_exact(ENTRY).take_while(|entry| entry.first() != Some(&0));
        let is_folder = |entry: &&[u8]| {
            let first = entry.first().copied().unwrap_or_default();
            let attributes = entry.get(11).copied().unwrap_or_default();
            attributes != LONG_NAME && attributes & FOLDER != 0 && first != b'.' && first != DELETED
        };
        used.filter(is_folder).map(|entry| {
            let half = |at| u32::from(u16::from_le_bytes(array(entry, at)));
            half(26) | half(20) << 16
        })
    }

    fn read_at<D: Read + Seek>(device: &mut D, at: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        device.seek(SeekFrom::Start(at))?;
        device.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Bytes at an offset; zeros where the input ends.
    fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
        let mut out = [0; N];
        for (slot, byte) in out.iter_mut().zip(bytes.iter().skip(at)) {
            *slot = *byte;
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::content::Source;
    use std::io::Cursor;

    fn files() -> Files {
        let bytes = |size: usize| Source::Bytes((0..size).map(|i| (i % 251) as u8).collect());
        vec![
            ("EFI/BOOT/BOOTX64.EFI".to_owned(), bytes(300_000)),
            ("grub/grub.cfg".to_owned(), bytes(10)),
            ("a file with a long name.txt".to_owned(), bytes(0)),
        ]
    }

    fn image(mib: u64, fat32: bool) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(mib << 20).unwrap()];
        let label = Label { name: "XENOLITH", serial: 7 };
        write(&mut Cursor::new(&mut bytes), mib << 20, label, fat32, &files()).unwrap();
        bytes
    }

    #[test]
    fn all_kinds_hold_the_files_and_are_deterministic() {
        for (mib, fat32, kind) in
            [(8, false, FatType::Fat12), (24, false, FatType::Fat16), (36, true, FatType::Fat32)]
        {
            let bytes = image(mib, fat32);
            assert_eq!(bytes, image(mib, fat32));
            let system = FileSystem::new(Cursor::new(bytes), FsOptions::new()).unwrap();
            assert_eq!(system.fat_type(), kind);
            assert_eq!(system.volume_label(), "XENOLITH");
            for (path, source) in files() {
                let mut content = Vec::new();
                system.root_dir().open_file(&path).unwrap().read_to_end(&mut content).unwrap();
                assert_eq!(content, source.read().unwrap(), "{path}");
            }
        }
    }

    #[test]
    fn dot_entries_are_short_and_point_right() {
        for fat32 in [false, true] {
            let bytes = image(36, fat32);
            let dots: Vec<usize> = bytes
                .chunks(32)
                .enumerate()
                .filter(|(_, entry)| entry.starts_with(b".          \x10"))
                .map(|(at, _)| at)
                .collect();
            // EFI, EFI/BOOT, grub: each begins with `.` at the start of its cluster.
            assert_eq!(dots.len(), 3);
            let mut parents = Vec::new();
            for at in dots {
                assert_eq!(at % 16, 0, "first entry of a sector");
                let next = &bytes[(at + 1) * 32..(at + 2) * 32];
                assert!(next.starts_with(b"..         \x10"));
                parents.push(u16::from_le_bytes([next[26], next[27]]));
            }
            assert_eq!(parents.iter().filter(|parent| **parent == 0).count(), 2);
        }
    }

    #[test]
    fn too_large_files_are_refused() {
        let mut bytes = vec![0; 1 << 20];
        let label = Label { name: "SMALL", serial: 7 };
        let files = vec![("big".to_owned(), Source::Bytes(vec![1; 2 << 20]))];
        let error = write(&mut Cursor::new(&mut bytes), 1 << 20, label, false, &files).unwrap_err();
        assert!(error.to_string().contains("too small"), "{error}");
    }
}
