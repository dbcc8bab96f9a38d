//! Images in other forms, judged by other projects' programs: qemu-img, bmaptool, tar.

mod support;

use mkimage::formats::{Form, Outputs};
use mkimage::project::{Options, Project};
use mkimage::scratch::Scratch;
use mkimage::tools::{self, Tools};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use support::mkimage;
use tempfile::TempDir;

const MIB: u64 = 1 << 20;

fn interop() -> Tools {
    let project = Project::find(Options::from_environment()).unwrap();
    project.tools_of("interop").unwrap_or_else(|error| panic!("{error}"))
}

/// An image with content at its start, at its end, across borders of all kinds of blocks, in a
/// long run, and of bytes that don't compress.
fn image(folder: &TempDir) -> PathBuf {
    let path = folder.path().join("disk.img");
    let file = std::fs::File::create(&path).unwrap();
    file.set_len(700 * MIB + 3 * 512).unwrap();
    let noise: Vec<u8> = (0..3 * MIB).map(|i| ((i * i % 253 * i) >> 3) as u8).collect();
    for (at, bytes) in [
        (0, &b"boot"[..]),
        (MIB - 2, b"abcd"),
        (64 * MIB - 700, &noise[..100_000]),
        (200 * MIB, &noise),
        (513 * MIB + 65_535, b"x"),
        (700 * MIB + 3 * 512 - 1, b"e"),
    ] {
        file.write_all_at(bytes, at).unwrap();
    }
    path
}

fn run(mut command: Command, name: &str) -> String {
    let output = tools::run(&mut command, name).unwrap_or_else(|error| panic!("{error}"));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn qemu_img(tools: &Tools, words: &[&str]) -> String {
    let mut command = tools.command("qemu-img").unwrap();
    command.args(words);
    run(command, "qemu-img")
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn other_programs_read_what_is_written_and_the_other_way_round() {
    let folder = TempDir::new().unwrap();
    let (tools, raw) = (interop(), image(&folder));
    for (format, driver, checked) in
        [("qcow2", "qcow2", true), ("vmdk", "vmdk", true), ("vhd", "vpc", false)]
    {
        let written = folder.path().join(format!("disk.{format}"));
        mkimage(&["convert", text(&raw), "--to", format]);
        if checked {
            let said = qemu_img(&tools, &["check", "-f", driver, text(&written)]);
            assert!(said.contains("No errors were found"), "{format}: {said}");
        }
        let same = ["compare", "-s", "-f", "raw", "-F", driver, text(&raw), text(&written)];
        // Strict: the sizes are the same too, and so is what is allocated.
        let said = qemu_img(&tools, &[&["compare"], &same[2..]].concat());
        assert!(said.contains("Images are identical"), "{format}: {said}");
        assert!(written.metadata().unwrap().len() < 24 * MIB, "{format}");

        // A second one, written elsewhere and later, has the same bytes.
        let again = folder.path().join(format!("again/disk.{format}"));
        mkimage(&["convert", text(&raw), "--to", format, "--out", text(&again)]);
        assert!(std::fs::read(&written).unwrap() == std::fs::read(&again).unwrap(), "{format}");

        // Back, from ours and from qemu-img's own.
        let back = folder.path().join("back.img");
        let theirs = folder.path().join(format!("theirs.{format}"));
        let options: &[&str] = match format {
            "qcow2" => &["-c"],
            "vmdk" => &["-o", "subformat=streamOptimized"],
            _ => &["-o", "force_size=on"],
        };
        let words = [&["convert", "-f", "raw", "-O", driver], options].concat();
        qemu_img(&tools, &[&words[..], &[text(&raw), text(&theirs)]].concat());
        for source in [&written, &theirs] {
            mkimage(&["convert", text(source), "--to", "raw", "--out", text(&back)]);
            let said =
                qemu_img(&tools, &["compare", "-f", "raw", "-F", "raw", text(&raw), text(&back)]);
            assert!(said.contains("identical"), "{}: {said}", source.display());
            assert!(back.metadata().unwrap().blocks() * 512 < 8 * MIB, "it is sparse");
        }
    }
}

#[test]
fn archives_and_compressed_images() {
    let folder = TempDir::new().unwrap();
    let raw = image(&folder);
    let expected = std::fs::read(&raw).unwrap();
    for format in ["raw.zst", "ova", "tar"] {
        mkimage(&["convert", text(&raw), "--to", format]);
    }
    let at = |name: &str| folder.path().join(name);
    for source in ["disk.img.zst", "disk.ova"] {
        let back = at("back.img");
        mkimage(&["convert", text(&at(source)), "--to", "raw", "--out", text(&back)]);
        assert!(std::fs::read(&back).unwrap() == expected, "{source}");
    }
    let mut archive = tar::Archive::new(std::fs::File::open(at("disk.tar")).unwrap());
    let mut entry = archive.entries().unwrap().next().unwrap().unwrap();
    let mut unpacked = Vec::new();
    std::io::Read::read_to_end(&mut entry, &mut unpacked).unwrap();
    assert!(unpacked == expected);

    // The disk in the OVA is one that qemu-img takes.
    let mut archive = tar::Archive::new(std::fs::File::open(at("disk.ova")).unwrap());
    archive.unpack(folder.path()).unwrap();
    let tools = interop();
    let said = qemu_img(&tools, &["compare", text(&raw), text(&at("disk-disk1.vmdk"))]);
    assert!(said.contains("identical"), "{said}");
    let manifest = std::fs::read_to_string(at("disk.mf")).unwrap();
    for name in ["disk.ovf", "disk-disk1.vmdk"] {
        let (_, sum) = mkimage::hash::Sha256::of_file(&at(name)).unwrap();
        assert!(manifest.contains(&format!("SHA256({name})= {sum}\n")), "{manifest}");
    }
}

#[test]
fn bmaptool_reads_the_block_map() {
    let folder = TempDir::new().unwrap();
    let (tools, raw) = (interop(), image(&folder));
    mkimage(&["convert", text(&raw), "--to", "bmap"]);
    let copy = folder.path().join("copy.img");
    let bmaptool = || {
        let mut command = tools.command("python3").unwrap();
        command.env("PYTHONHOME", tools.root().join("usr"));
        command.env("PYTHONPATH", tools.root().join("usr/lib/python3/dist-packages"));
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        command.arg(tools.file("usr/bin/bmaptool").unwrap());
        command.args(["copy", text(&raw), text(&copy)]);
        command
    };
    run(bmaptool(), "bmaptool");
    assert!(std::fs::read(&raw).unwrap() == std::fs::read(&copy).unwrap());
    // It finds a flipped bit by the map's digests, so it does read them.
    let file = std::fs::File::options().write(true).open(&raw).unwrap();
    file.write_all_at(b"?", 200 * MIB).unwrap();
    let said = tools::run(&mut bmaptool(), "bmaptool").unwrap_err().to_string();
    assert!(said.contains("checksum"), "{said}");
}

#[test]
fn all_forms_of_a_recipe_are_written_and_no_others() {
    let folder = TempDir::new().unwrap();
    let source = image(&folder);
    let out = folder.path().join("out");
    let write = |forms: &[Form]| {
        let outputs = Outputs { name: "disk", forms, epoch: 1, machine: Some((768, 3)) };
        let raw = Scratch::new(&out.join("disk.img")).unwrap();
        std::fs::hard_link(&source, raw.path()).unwrap();
        let staged = outputs.write(raw, &out).unwrap();
        assert!(forms.iter().all(|form| !out.join(form.file("disk")).exists()), "not yet");
        staged.into_iter().try_for_each(Scratch::finish).unwrap();
        let entries = std::fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = entries.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        let mut expected = outputs.files();
        expected.sort();
        assert_eq!(names, expected);
    };
    let forms: Vec<Form> = Form::all().collect();
    let (raw, others) = forms.split_first().unwrap();
    write(others);
    let machine = std::fs::read(out.join("disk.ova")).unwrap();
    let machine = String::from_utf8_lossy(&machine[..16 << 10]).into_owned();
    assert!(machine.contains(">768<") && machine.contains(">3<"), "{machine}");
    std::fs::remove_dir_all(&out).unwrap();
    write(&[*raw]);
    assert!(std::fs::read(out.join("disk.img")).unwrap() == std::fs::read(&source).unwrap());
}
