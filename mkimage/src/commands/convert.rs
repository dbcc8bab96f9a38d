//! `mkimage convert`: an image in another form.

use crate::error::Error;
use crate::formats::{self, Form};
use crate::progress;
use std::path::{Path, PathBuf};

/// Arguments of `mkimage convert`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Image in any of the forms; what it is, is seen from its content
    image: PathBuf,
    /// raw, raw.zst, qcow2, vmdk, vhd, ova, tar (with a sparse disk.raw), or bmap (a block map)
    #[arg(long, value_name = "FORMAT", value_parser = Form::named)]
    to: Form,
    /// File to write [default: beside the image]
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The machine's name, in formats that have one [default: the image's]
    #[arg(long)]
    name: Option<String>,
}

/// Converts an image.
///
/// # Errors
/// When it can't be read or written.
pub fn convert(arguments: &Arguments) -> Result<(), Error> {
    let image = &arguments.image;
    let name = arguments.name.clone().unwrap_or_else(|| name_of(image));
    let out = match (&arguments.out, arguments.to) {
        (Some(out), _) => out.clone(),
        // As bmaptool looks for it.
        (None, Form::Bmap) => image.with_added_extension("bmap"),
        (None, to) => image.with_file_name(to.file(&name)),
    };
    if out == *image {
        return Err(Error::Image(format!(
            "{} would replace the image itself: name another file with --out",
            out.display()
        )));
    }
    match arguments.to {
        Form::Bmap => formats::write_bmap(image, &out)?,
        Form::Image(format) => {
            let mut disk = formats::open(image)?;
            let labels = formats::labels(&mut *disk, image, &name, epoch()?)?;
            formats::write(&mut *disk, format, &out, &labels)?;
        }
    }
    let size = out.metadata().map_or(0, |meta| super::build::allocated(&meta));
    println!("wrote {} ({})", out.display(), progress::human(size));
    Ok(())
}

/// A file's name without what tells its form.
pub fn name_of(image: &Path) -> String {
    let name = image.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let endings =
        [".img.zst", ".raw.zst", ".img", ".raw", ".qcow2", ".vmdk", ".vhd", ".ova", ".tar"];
    let end = endings.iter().find(|end| name.ends_with(**end));
    end.and_then(|end| name.strip_suffix(end)).unwrap_or(&name).to_owned()
}

/// The time of what has one: SOURCE_DATE_EPOCH, else 1970.
fn epoch() -> Result<u64, Error> {
    match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => text.trim().parse().map_err(|_| {
            Error::Image(format!("SOURCE_DATE_EPOCH=`{text}` is no number of seconds; unset it"))
        }),
        Err(_) => Ok(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(name_of(Path::new("out/debian-13.img.zst")), "debian-13");
        assert_eq!(name_of(Path::new("debian-13.2")), "debian-13.2");
    }
}
