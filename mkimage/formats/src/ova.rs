//! OVA: a tar archive with an OVF descriptor, a manifest of digests, and disks.

use crate::input::{Input, Part, Reader};
use crate::ovf::{self, DiskFile, Machine};
use crate::vmdk::{self, Vmdk};
use crate::{Disk, Error, Result};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read, Seek, Write};

/// More members than any archive of a machine has.
const MOST_MEMBERS: usize = 1000;

/// What is written besides the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// The machine's name, and the start of all file names.
    pub name: String,
    /// Its memory in MiB.
    pub memory_mib: u64,
    /// Its vCPUs.
    pub vcpus: u32,
    /// The files' time, in seconds of Unix time.
    pub epoch: u64,
    /// Tells one content from another: see [`vmdk::write`].
    pub content_id: u32,
}

/// Writes a disk as an OVA. The VMDK in it goes into `scratch`, an empty file, first: its size
/// stands before it.
///
/// # Errors
/// When the disk can't be read, or a file can't be written.
pub fn write<D: Disk + ?Sized, W: Write>(
    disk: &mut D,
    out: W,
    scratch: &File,
    about: &About,
) -> Result<()> {
    let vmdk_name = format!("{}-disk1.vmdk", about.name);
    let mut hashing =
        Hashing { out: io::BufWriter::with_capacity(1 << 20, scratch), sum: Sha256::new() };
    vmdk::write(disk, &mut hashing, &vmdk_name, about.content_id)?;
    let vmdk_sum = hashing.sum.finalize();
    drop(hashing.out);
    let vmdk_bytes = scratch.length()?;
    let machine = Machine {
        name: about.name.clone(),
        memory_mib: about.memory_mib,
        vcpus: about.vcpus,
        networks: 1,
        disks: vec![DiskFile {
            file: vmdk_name.clone(),
            file_bytes: Some(vmdk_bytes),
            capacity: Some(disk.size()),
        }],
    };
    let descriptor = machine.to_text();
    let ovf_name = format!("{}.ovf", about.name);
    let manifest = format!(
        "SHA256({ovf_name})= {}\nSHA256({vmdk_name})= {}\n",
        hex(&Sha256::digest(&descriptor)),
        hex(&vmdk_sum)
    );
    let mut archive = tar::Builder::new(out);
    let mut add = |name: &str, bytes: u64, content: &mut dyn Read| {
        let mut header = tar::Header::new_ustar();
        // Above 8 GiB the number is written in binary, which every reader of large archives knows.
        header.set_size(bytes);
        header.set_mode(0o644);
        header.set_mtime(about.epoch);
        archive.append_data(&mut header, name, content)
    };
    add(&ovf_name, descriptor.len() as u64, &mut descriptor.as_bytes())?;
    add(&format!("{}.mf", about.name), manifest.len() as u64, &mut manifest.as_bytes())?;
    let mut content = scratch;
    content.rewind()?;
    add(&vmdk_name, vmdk_bytes, &mut content)?;
    archive.into_inner()?.flush()?;
    Ok(())
}

struct Hashing<W> {
    out: W,
    sum: Sha256,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.sum.update(bytes.get(..count).unwrap_or(bytes));
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// A member of an archive: its name, and where its bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Member {
    name: String,
    start: u64,
    length: u64,
}

/// An open archive.
#[derive(Debug)]
pub struct Ova<I> {
    input: I,
    /// The machine in it.
    pub machine: Machine,
    members: Vec<Member>,
}

impl<I: Input> Ova<I> {
    /// Opens an archive, and checks its files by its manifest if it has one.
    ///
    /// # Errors
    /// When it is damaged, has no descriptor, or one that isn't understood.
    pub fn open(input: I) -> Result<Self> {
        let members = members(&input)?;
        let find = |suffix: &str| members.iter().find(|member| member.name.ends_with(suffix));
        let descriptor = find(".ovf")
            .ok_or_else(|| Error::damaged("this archive has no OVF descriptor: it is no OVA"))?;
        if let Some(manifest) = find(".mf") {
            check(&input, &members, &text(&input, manifest)?)?;
        }
        let machine = Machine::parse(&text(&input, descriptor)?)?;
        Ok(Self { input, machine, members })
    }

    /// The machine's only disk.
    ///
    /// # Errors
    /// When it hasn't exactly one, or that is no VMDK.
    pub fn into_disk(self) -> Result<Vmdk<Part<I>>> {
        let names: Vec<&str> = self.machine.disks.iter().map(|disk| disk.file.as_str()).collect();
        let [name] = names.as_slice() else {
            return Err(Error::unsupported(format!(
                "the machine has {} disks ({}), and one is read: unpack the archive with `tar`, \
                 and take them one by one",
                names.len(),
                names.join(", ")
            )));
        };
        let member = self.members.iter().find(|member| member.name == *name);
        let member = member
            .ok_or_else(|| Error::damaged(format!("the archive lacks the disk {name}")))?
            .clone();
        Vmdk::open(Part::new(self.input, member.start, member.length)?)
    }
}

fn members(input: &impl Input) -> Result<Vec<Member>> {
    // Skips over content by seeking: disks are large.
    let mut archive = tar::Archive::new(Seeking { reader: Reader::new(input), input, position: 0 });
    let mut members = Vec::new();
    for entry in archive.entries_with_seek()? {
        let entry = entry
            .map_err(|_| Error::damaged("this is no tar archive, or one that ends too early"))?;
        if members.len() == MOST_MEMBERS {
            return Err(Error::damaged("the archive has too many members"));
        }
        members.push(Member {
            name: String::from_utf8_lossy(&entry.path_bytes()).trim_start_matches("./").to_owned(),
            start: entry.raw_file_position(),
            length: entry.size(),
        });
    }
    Ok(members)
}

fn text(input: &impl Input, member: &Member) -> Result<String> {
    if member.length > ovf::LONGEST as u64 {
        return Err(Error::damaged(format!("{} is too long", member.name)));
    }
    let bytes = input.take(member.start, usize::try_from(member.length).unwrap_or(usize::MAX))?;
    String::from_utf8(bytes).map_err(|_| Error::damaged(format!("{} is no text", member.name)))
}

/// Checks files by the lines of a manifest: `SHA256(NAME)= DIGEST`.
fn check(input: &impl Input, members: &[Member], manifest: &str) -> Result<()> {
    for line in manifest.lines().filter(|line| !line.trim().is_empty()) {
        let parts = line.split_once('(').and_then(|(kind, rest)| {
            let (name, sum) = rest.split_once(')')?;
            Some((kind.trim(), name.trim(), sum.trim().trim_start_matches('=').trim()))
        });
        let (kind, name, sum) =
            parts.ok_or_else(|| Error::damaged(format!("the manifest has the line `{line}`")))?;
        // Older makers use SHA-1, which proves nothing that the VMDK's own checks don't.
        if !kind.eq_ignore_ascii_case("SHA256") {
            continue;
        }
        let member = members.iter().find(|member| member.name == name);
        let member =
            member.ok_or_else(|| Error::damaged(format!("the archive lacks the file {name}")))?;
        let part = Part::new(Borrowed(input), member.start, member.length)?;
        let mut hasher = Sha256::new();
        let mut reader = Reader::new(&part);
        let mut buffer = vec![0; 1 << 18];
        loop {
            let count = reader.read(&mut buffer)?;
            let Some(chunk) = buffer.get(..count).filter(|chunk| !chunk.is_empty()) else { break };
            hasher.update(chunk);
        }
        if !hex(&hasher.finalize()).eq_ignore_ascii_case(sum) {
            return Err(Error::damaged(format!("{name} doesn't fit the archive's manifest")));
        }
    }
    Ok(())
}

struct Borrowed<'a, I>(&'a I);

impl<I: Input> Input for Borrowed<'_, I> {
    fn length(&self) -> io::Result<u64> {
        self.0.length()
    }

    fn fill(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.0.fill(offset, buffer)
    }
}

struct Seeking<'a, I> {
    reader: Reader<'a, I>,
    input: &'a I,
    position: u64,
}

impl<I: Input> Read for Seeking<'_, I> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.position += count as u64;
        Ok(count)
    }
}

impl<I: Input> Seek for Seeking<'_, I> {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        let target = match to {
            io::SeekFrom::Start(at) => Some(at),
            io::SeekFrom::Current(by) => self.position.checked_add_signed(by),
            io::SeekFrom::End(by) => self.input.length()?.checked_add_signed(by),
        };
        self.position = target.ok_or(io::ErrorKind::InvalidInput)?;
        self.reader = Reader::at(self.input, self.position);
        Ok(self.position)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raw::Raw;
    use proptest::prelude::*;
    use std::os::unix::fs::FileExt;
    use std::sync::LazyLock;

    fn archive() -> Vec<u8> {
        static ARCHIVE: LazyLock<Vec<u8>> = LazyLock::new(make);
        ARCHIVE.clone()
    }

    fn make() -> Vec<u8> {
        let (file, scratch) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        file.set_len(8 << 20).unwrap();
        file.write_all_at(b"content", 5 << 20).unwrap();
        let about = About {
            name: "web".to_owned(),
            memory_mib: 256,
            vcpus: 1,
            epoch: 1_000_000_000,
            content_id: 9,
        };
        let mut out = Vec::new();
        write(&mut Raw::open(file).unwrap(), &mut out, &scratch, &about).unwrap();
        out
    }

    #[test]
    fn what_is_written_reads_back() {
        let bytes = archive();
        assert!(bytes == make(), "the same content is the same archive");
        let ova = Ova::open(bytes).unwrap();
        assert_eq!((ova.machine.memory_mib, ova.machine.disks[0].capacity), (256, Some(8 << 20)));
        let mut disk = ova.into_disk().unwrap();
        let mut content = [0; 7];
        disk.read_at(5 << 20, &mut content).unwrap();
        assert_eq!((disk.size(), &content), (8 << 20, b"content"));
    }

    #[test]
    fn damage_is_noticed() {
        let good = archive();
        let mut flipped = good.clone();
        let end = flipped.len() - 3000;
        flipped[end] ^= 1;
        let said = |bytes| Ova::open(bytes).err().unwrap().to_string();
        assert!(said(flipped).contains("doesn't fit the archive's manifest"));
        assert!(said(good[..good.len() / 2].to_vec()).contains("ends too early"));
        assert!(said(vec![7; 5000]).contains("tar archive"));
    }

    proptest! {
        #[test]
        fn any_change_is_survived(changes in prop::collection::vec((0_usize..8000, any::<u8>()), 1..6)) {
            let mut bytes = archive();
            let length = bytes.len();
            changes.into_iter().for_each(|(at, value)| bytes[at % length] = value);
            if let Ok(mut disk) = Ova::open(bytes).and_then(Ova::into_disk) {
                let _ = disk.read_at(5 << 20, &mut [0; 64]);
            }
        }
    }
}
