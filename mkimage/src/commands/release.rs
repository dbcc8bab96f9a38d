//! `mkimage key new`, `mkimage sign` and `mkimage publish`.

use crate::error::Error;
use crate::fs;
use crate::progress;
use crate::project::Project;
use crate::release::bills;
use crate::release::channel::Channel;
use crate::release::keys::{self, PASSWORD_VARIABLE, Password, Signer};
use crate::release::publish::{self, Request, Source};
use crate::scratch::Scratch;
use catalogue::client::Expected;
use catalogue::names;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Arguments of `mkimage key new`.
#[derive(Debug, clap::Args)]
pub struct NewKey {
    /// Where to write it: PATH.key and PATH.pub
    path: PathBuf,
    /// Leave the secret key without a password: for machines that nobody sits at
    #[arg(long, conflicts_with = "password_file")]
    no_password: bool,
    #[command(flatten)]
    password: PasswordArgument,
}

/// How the password of secret keys is learned
#[derive(Debug, clap::Args)]
pub struct PasswordArgument {
    /// File with the password [default: $MKIMAGE_KEY_PASSWORD, else the terminal is asked]
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl PasswordArgument {
    fn password(&self) -> Password {
        Password { file: self.password_file.clone() }
    }
}

/// Arguments of `mkimage sign`.
#[derive(Debug, clap::Args)]
pub struct Sign {
    /// Files to sign: FILE.minisig is written beside each
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Secret key
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    #[command(flatten)]
    password: PasswordArgument,
}

/// Arguments of `mkimage publish`.
#[derive(Debug, clap::Args)]
pub struct Publish {
    /// Channel: the name of its definition in releases, or a path
    channel: String,
    /// Images that are new or changed: PATH, or NAME=PATH
    images: Vec<String>,
    /// Folder to publish into; images that it has already stay
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Secret keys that sign
    #[arg(long = "key", value_name = "FILE", required = true)]
    keys: Vec<PathBuf>,
    /// Images of the last release to leave out
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    remove: Vec<String>,
    /// Version [default: one more than the last]
    #[arg(long, value_name = "NUMBER")]
    release: Option<u64>,
    #[command(flatten)]
    password: PasswordArgument,
}

/// Makes a key.
///
/// # Errors
/// When it exists or can't be written.
pub fn new_key(arguments: &NewKey) -> Result<(), Error> {
    let password = arguments.password.password();
    let password = (!arguments.no_password).then_some(&password);
    let public = keys::create(&arguments.path, password)?;
    let (secret, file) = keys::files(&arguments.path);
    println!("wrote {} (secret: keep it out of the tree) and {}", secret.display(), file.display());
    println!("public key: {public}");
    if password.is_none() {
        println!("whoever can read the secret key can sign: {PASSWORD_VARIABLE} isn't asked for");
    }
    Ok(())
}

/// Signs files.
///
/// # Errors
/// When the key can't be used, or a file can't be read.
pub fn sign(arguments: &Sign) -> Result<(), Error> {
    let signer = Signer::open(&arguments.key, &arguments.password.password())?;
    for path in &arguments.files {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let comment = format!("timestamp:{}\tfile:{name}", now());
        let signature = signer.sign(fs::open(path)?, &comment)?;
        let target = PathBuf::from(format!("{}{}", path.display(), names::SIGNATURE));
        let scratch = Scratch::new(&target)?;
        fs::write(scratch.path(), signature)?;
        scratch.finish()?;
        println!("wrote {}", target.display());
    }
    Ok(())
}

/// Publishes images.
///
/// # Errors
/// When an image or a key can't be read, or hosts would refuse the release.
pub fn publish(project: &Project, arguments: &Publish) -> Result<(), Error> {
    let channel = Channel::find(&project.releases(), &arguments.channel)?;
    let password = arguments.password.password();
    let signers: Result<Vec<Signer>, _> =
        arguments.keys.iter().map(|key| Signer::open(key, &password)).collect();
    let request = Request {
        channel: &channel,
        images: arguments.images.iter().map(|text| source(text)).collect::<Result<_, _>>()?,
        remove: arguments.remove.clone(),
        version: arguments.release,
        now: now(),
        folder: &arguments.to,
    };
    let manifest = publish::publish(&request, &signers?)?;
    let count = manifest.images.len();
    println!(
        "{}: version {} of {} {} with {count} image{}, believed until {}",
        arguments.to.display(),
        manifest.version,
        manifest.product,
        manifest.channel,
        if count == 1 { "" } else { "s" },
        catalogue::time::of(manifest.expires)
    );
    println!("hosts take them by this line in xend-config.sxp, with the folder's address:");
    println!("{}", host_line(&channel));
    Ok(())
}

/// What a host's configuration says of a channel, but for where it is.
fn host_line(channel: &Channel) -> String {
    let keys: String = channel.keys.keys.iter().map(|key| format!(" key={key}")).collect();
    let threshold = match channel.keys.threshold {
        1 => String::new(),
        more => format!(" threshold={more}"),
    };
    let Expected { product, channel, .. } = &channel.expected;
    format!(
        "(image-catalogue 'https://HOST/FOLDER{keys}{threshold} product={product} channel={channel}')"
    )
}

/// `PATH`, or `NAME=PATH`.
fn source(text: &str) -> Result<Source, Error> {
    let (name, path) = match text.split_once('=') {
        Some((name, rest)) if !Path::new(text).exists() => (Some(name.to_owned()), rest),
        _ => (None, text),
    };
    let path = PathBuf::from(path);
    let built = super::convert::name_of(&path);
    let bill = bills::beside(&path, &built)?;
    if bill.is_empty() {
        let image = path.display();
        progress::note(&format!(
            "{image} is published without a bill of materials: there is no {built}.spdx.json beside it"
        ));
    }
    Ok(Source { name: name.unwrap_or(built), title: String::new(), path, bill })
}

/// The time, in seconds of Unix time.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}
