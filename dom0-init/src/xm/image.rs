//! `xm image`: guest images from catalogues and files, and guests of them.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow, bail};
use serde::Serialize;
use uuid::Uuid;

use super::output::{self, Format};
use super::{console, create};
use crate::host_config::HostConfig;
use crate::host_config::catalogues::Catalogue;
use crate::images::guest::{self, Wish};
use crate::images::http::Http;
use crate::images::library::{self, Library, Record};
use crate::images::progress::size;
use crate::images::pull::{self, Pulled};
use crate::images::seed::{MOST_USER_DATA, Metadata};
use crate::images::{Places, catalogue, transfer};
use crate::storage::MOUNT_POINT;

/// What is done with images.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List the images that are here, and those that the host's catalogues offer
    List(ListArguments),
    /// Fetch images, or newer releases of them
    Pull(PullArguments),
    /// Read images again, and compare them with what was fetched
    Verify(Names),
    /// Remove images; guests that were made of them stay
    Rm(RmArguments),
    /// Take an image from a file: raw, raw.zst, qcow2, VMDK, VHD or OVA
    Import(ImportArguments),
    /// Write an image to a file
    Export(ExportArguments),
    /// Make a guest of an image, and start it
    Create(CreateArguments),
}

/// Arguments of `xm image list`.
#[derive(Debug, clap::Args)]
pub struct ListArguments {
    /// Only what is here: no catalogue is asked
    #[arg(short, long)]
    local: bool,
}

/// Arguments of `xm image pull`.
#[derive(Debug, clap::Args)]
pub struct PullArguments {
    /// The images: NAME, or CATALOGUE/NAME
    #[arg(required = true)]
    images: Vec<String>,
}

/// Images that are here.
#[derive(Debug, clap::Args)]
pub struct Names {
    /// The images
    #[arg(id = super::IMAGE_ARGUMENT, required = true)]
    images: Vec<String>,
}

/// Arguments of `xm image rm`.
#[derive(Debug, clap::Args)]
pub struct RmArguments {
    /// The images
    #[arg(id = super::IMAGE_ARGUMENT, required_unless_present = "partial")]
    images: Vec<String>,
    /// What interrupted downloads have left
    #[arg(long)]
    partial: bool,
}

/// Arguments of `xm image import`.
#[derive(Debug, clap::Args)]
pub struct ImportArguments {
    /// The file
    file: PathBuf,
    /// The image's name; the file's unless given
    #[arg(short, long)]
    name: Option<String>,
}

/// Arguments of `xm image export`.
#[derive(Debug, clap::Args)]
pub struct ExportArguments {
    /// The image
    #[arg(id = super::IMAGE_ARGUMENT)]
    image: String,
    /// The file, which must not exist
    file: PathBuf,
    /// raw, qcow2, vmdk, vhd, ova or tar; as the file's name ends unless given
    #[arg(short, long)]
    format: Option<String>,
}

/// Arguments of `xm image create`.
#[derive(Debug, clap::Args)]
pub struct CreateArguments {
    /// The guest's name
    name: String,
    /// The image; it is fetched if it isn't here
    #[arg(id = super::IMAGE_ARGUMENT, short = 'f', long = "from", value_name = "IMAGE")]
    from: String,
    /// The disk's size, for example 10G; the image's unless given
    #[arg(short, long)]
    size: Option<String>,
    /// Memory in MiB, or for example 2G
    #[arg(short, long)]
    memory: Option<String>,
    /// How many vCPUs
    #[arg(short, long)]
    vcpus: Option<u32>,
    /// Its network interface, for example bridge=natbr0; on the first network unless given
    #[arg(long, default_value = "", hide_default_value = true)]
    vif: String,
    /// A public SSH key to reach it with, or a file of them; may be given more than once
    #[arg(short = 'k', long, value_name = "KEY")]
    ssh_key: Vec<String>,
    /// Its host name; its name unless given
    #[arg(long)]
    hostname: Option<String>,
    /// A file with user data for cloud-init, in place of what follows from the rest
    #[arg(long, value_name = "FILE")]
    user_data: Option<PathBuf>,
    /// Make it, but don't start it
    #[arg(short, long, conflicts_with = "console")]
    no_start: bool,
    /// Show its console; Ctrl-] leaves it
    #[arg(short, long)]
    console: bool,
}

/// A line of the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Row {
    name: String,
    catalogue: Option<String>,
    /// The release that is here.
    version: Option<u64>,
    /// The disk's size in bytes.
    size: u64,
    /// How much there is to fetch, in bytes.
    download: Option<u64>,
    state: &'static str,
    title: String,
}

/// Runs it.
pub fn run(command: &Command, format: Format) -> anyhow::Result<()> {
    let places = Places::below(Path::new(MOUNT_POINT));
    match command {
        Command::List(arguments) => list(&places, arguments, format),
        Command::Pull(arguments) => {
            let catalogues = catalogues();
            arguments.images.iter().try_for_each(|name| fetch(&places, &catalogues, name).map(drop))
        }
        Command::Verify(arguments) => arguments.images.iter().try_for_each(|name| {
            library::verify(&places, &Library::find(&places, name)?)?;
            println!("{name} is what it was when it came");
            Ok(())
        }),
        Command::Rm(arguments) => remove(&places, arguments),
        Command::Import(arguments) => import(&places, arguments),
        Command::Export(arguments) => export(&places, arguments),
        Command::Create(arguments) => make(&places, arguments),
    }
}

/// The names of the images that are here.
pub fn names() -> Vec<String> {
    let places = Places::below(Path::new(MOUNT_POINT));
    Library::records(&places).into_iter().map(|record| record.name).collect()
}

fn catalogues() -> Vec<Catalogue> {
    HostConfig::current().catalogues
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

fn list(places: &Places, arguments: &ListArguments, format: Format) -> anyhow::Result<()> {
    let catalogues = catalogues();
    let minimum = |name: &str| {
        let catalogue = catalogues.iter().find(|catalogue| catalogue.name == name)?;
        catalogue::minimum_version(places, catalogue)
    };
    let mut rows: Vec<Row> = Vec::new();
    let mut failures = Vec::new();
    let mut offers = Vec::new();
    if !arguments.local {
        let http = Http::new();
        for catalogue in &catalogues {
            match catalogue::refresh(&http, catalogue, places, now()) {
                Ok(manifest) => offers.push((catalogue, manifest)),
                Err(error) => failures.push(error),
            }
        }
    }
    for record in Library::records(places) {
        let offered = offers.iter().find(|(c, _)| Some(&c.name) == record.catalogue.as_ref());
        let offered = offered.and_then(|(_, manifest)| manifest.image(&record.name));
        let withdrawn = record.catalogue.as_deref().and_then(minimum);
        let state = match offered {
            _ if withdrawn.is_some_and(|minimum| record.version < minimum) => "withdrawn",
            Some(image) if image.disk != record.disk => "update",
            _ => "here",
        };
        rows.push(Row {
            name: record.name,
            catalogue: record.catalogue,
            version: Some(record.version).filter(|version| *version > 0),
            size: record.disk.size,
            download: None,
            state,
            title: offered.map(|image| image.title.clone()).unwrap_or_default(),
        });
    }
    for (catalogue, manifest) in &offers {
        for image in &manifest.images {
            if rows.iter().any(|row| row.name == image.name) {
                continue;
            }
            rows.push(Row {
                name: image.name.clone(),
                catalogue: Some(catalogue.name.clone()),
                version: None,
                size: image.disk.size,
                download: image.artifact("raw.zst").map(|artifact| artifact.size),
                state: "offered",
                title: image.title.clone(),
            });
        }
    }
    output::print(format, &rows, || table(&rows))?;
    // What could be found out is shown all the same.
    let Some(last) = failures.pop() else { return Ok(()) };
    failures.iter().for_each(|error| eprintln!("xm: {error:#}"));
    Err(last)
}

fn table(rows: &[Row]) -> String {
    let header = format!(
        "{:<24} {:<16} {:>7} {:>9} {:<10} {}\n",
        "Name", "Catalogue", "Release", "Disk", "State", "Title"
    );
    let line = |row: &Row| {
        let version = row.version.map(|version| version.to_string()).unwrap_or_default();
        let catalogue = row.catalogue.as_deref().unwrap_or("-");
        let text = format!(
            "{:<24} {catalogue:<16} {version:>7} {:>9} {:<10} {}",
            row.name,
            size(row.size),
            row.state,
            row.title
        );
        format!("{}\n", text.trim_end())
    };
    rows.iter().fold(header, |text, row| text + &line(row))
}

fn fetch(places: &Places, catalogues: &[Catalogue], name: &str) -> anyhow::Result<Record> {
    library::check_partition(Path::new(MOUNT_POINT))?;
    match pull::pull(&Http::new(), places, catalogues, name, now())? {
        Pulled::Fetched(record) => {
            println!("{} is here: release {}, verified", record.name, record.version);
            Ok(record)
        }
        Pulled::UpToDate(record) => {
            println!("{} is up to date", record.name);
            Ok(record)
        }
    }
}

fn remove(places: &Places, arguments: &RmArguments) -> anyhow::Result<()> {
    let library = Library::open(places)?;
    for name in &arguments.images {
        library.remove(&Library::find(places, name)?)?;
        println!("{name} is removed");
    }
    if arguments.partial {
        println!("{} of partial downloads are removed", size(library.remove_partial()?));
    }
    Ok(())
}

fn import(places: &Places, arguments: &ImportArguments) -> anyhow::Result<()> {
    library::check_partition(Path::new(MOUNT_POINT))?;
    let name = arguments.name.clone().unwrap_or_else(|| {
        let file = arguments.file.file_name().unwrap_or_default().to_string_lossy();
        let end = [".img.zst", ".raw.zst", ".img", ".raw", ".qcow2", ".vmdk", ".vhd", ".ova"];
        let stem = end.iter().find_map(|end| file.strip_suffix(end)).unwrap_or(&file);
        stem.to_lowercase()
    });
    let record = transfer::import(places, &arguments.file, &name)?;
    println!("{name} is here: a disk of {}", size(record.disk.size));
    Ok(())
}

fn export(places: &Places, arguments: &ExportArguments) -> anyhow::Result<()> {
    let record = Library::find(places, &arguments.image)?;
    let format = match &arguments.format {
        None => transfer::format_of(&arguments.file)?,
        Some(name) => disk_formats::convert::Format::named(name).ok_or_else(|| {
            anyhow!("{name:?} is no form of an image: raw, qcow2, vmdk, vhd, ova and tar are")
        })?,
    };
    transfer::export(places, &record, format, &arguments.file)?;
    println!("wrote {}", arguments.file.display());
    Ok(())
}

fn make(places: &Places, arguments: &CreateArguments) -> anyhow::Result<()> {
    library::check_partition(Path::new(MOUNT_POINT))?;
    let catalogues = catalogues();
    let image = arguments.from.rsplit('/').next().unwrap_or_default();
    let record = match Library::find(places, image) {
        Ok(record) => record,
        Err(_) => fetch(places, &catalogues, &arguments.from)?,
    };
    let catalogue = catalogues.iter().find(|c| Some(&c.name) == record.catalogue.as_ref());
    let minimum = catalogue.and_then(|catalogue| catalogue::minimum_version(places, catalogue));
    if minimum.is_some_and(|minimum| record.version < minimum) {
        bail!(
            "{image} was withdrawn by its publisher: `xm image pull {image}` fetches a newer one"
        );
    }
    let wish = Wish {
        name: arguments.name.clone(),
        disk_bytes: arguments.size.as_deref().map(|text| bytes(text, 1)).transpose()?,
        memory_mib: arguments
            .memory
            .as_deref()
            .map(|text| bytes(text, 1 << 20).map(|bytes| bytes >> 20))
            .transpose()?,
        vcpus: arguments.vcpus,
        vif: arguments.vif.clone(),
        metadata: metadata(arguments)?,
    };
    let config = guest::make(places, &record, &wish)?;
    println!("{} is made: its config is {}", arguments.name, config.display());
    if arguments.no_start {
        return Ok(());
    }
    let created = create::start(&config.display().to_string())?;
    if arguments.console { console::show(created) } else { Ok(()) }
}

fn metadata(arguments: &CreateArguments) -> anyhow::Result<Metadata> {
    let mut ssh_keys = Vec::new();
    for key in &arguments.ssh_key {
        // A key has words; a file's name seldom.
        let text = match key.contains(' ') {
            true => key.clone(),
            false => std::fs::read_to_string(key)
                .with_context(|| format!("{key}: neither a public SSH key nor a file of them"))?,
        };
        let lines = text.lines().map(str::trim);
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        ssh_keys.extend(lines.map(str::to_owned));
    }
    if let Some(private) = ssh_keys.iter().find(|key| key.contains("PRIVATE KEY")) {
        bail!("{private}: this is a private key; give the public one, which ends in .pub");
    }
    let user_data = arguments.user_data.as_ref().map(|path| read_user_data(path)).transpose()?;
    Ok(Metadata {
        instance: Uuid::new_v4().to_string(),
        hostname: arguments.hostname.clone().unwrap_or_else(|| arguments.name.clone()),
        ssh_keys,
        user_data,
    })
}

fn read_user_data(path: &Path) -> anyhow::Result<String> {
    let name = || path.display().to_string();
    let file = std::fs::File::open(path).with_context(name)?;
    let mut text = String::new();
    file.take(MOST_USER_DATA as u64 + 1).read_to_string(&mut text).with_context(name)?;
    Ok(text)
}

/// `10G`, `512M`, or a number of units of so many bytes.
fn bytes(text: &str, unit: u64) -> anyhow::Result<u64> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let factor = match text.get(digits.len()..).unwrap_or_default() {
        "" => Some(unit),
        "k" | "K" => Some(1 << 10),
        "m" | "M" => Some(1 << 20),
        "g" | "G" => Some(1 << 30),
        "t" | "T" => Some(1 << 40),
        _ => None,
    };
    let number: Option<u64> = digits.parse().ok();
    let bytes = number.zip(factor).and_then(|(number, factor)| number.checked_mul(factor));
    bytes
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| anyhow!("{text:?} is no size: write 10G or 512M"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(bytes("10G", 1).unwrap(), 10 << 30);
        assert_eq!(bytes("512", 1 << 20).unwrap(), 512 << 20);
        for wrong in ["", "G", "1x", "-1", "0", "99999999999T"] {
            assert!(bytes(wrong, 1).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_table() {
        let row = Row {
            name: "debian-13".into(),
            catalogue: Some("guests".into()),
            version: Some(7),
            size: 2 << 30,
            download: None,
            state: "here",
            title: "Debian 13".into(),
        };
        let imported = Row { catalogue: None, version: None, title: String::new(), ..row.clone() };
        assert_eq!(
            table(&[row, imported]),
            "Name                     Catalogue        Release      Disk State      Title\n\
             debian-13                guests                 7    2.1 GB here       Debian 13\n\
             debian-13                -                           2.1 GB here\n"
        );
    }
}
