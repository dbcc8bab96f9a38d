//! Makes a configured system the one of a recipe: names, file systems, network, accounts, overlay,
//! units.

use super::tree::Tree;
use super::{accounts, first_boot, grub, units};
use crate::error::Error;
use crate::recipe::{FileSpec, Guest, PartitionTable, Recipe};

/// Identity of an image.
#[derive(Debug)]
pub struct Identity {
    /// UUID of the root file system.
    pub root: String,
    /// Time stamp of everything, in seconds of Unix time.
    pub epoch: u64,
}

/// Asks for an address on everything that looks like a wired network card.
const NETWORK: &str = "\
[Match]
Type=ether
Kind=!*

[Network]
DHCP=yes
";

/// The last partition grows over the disk, then the file system over the partition.
const GROW: &str = "\
[Partition]
Type=root
";

/// Changes a tree as a recipe says.
///
/// # Errors
/// When the recipe wants something that isn't there.
pub fn apply(
    tree: &mut Tree,
    recipe: &Recipe,
    guest: &Guest,
    identity: &Identity,
) -> Result<(), Error> {
    let wrong = |key: &str| {
        let key = key.to_owned();
        move |reason: String| Error::Recipe(recipe.wrong(&key, &reason))
    };
    let name = guest.hostname.as_deref().unwrap_or(&recipe.name);
    tree.write("etc/hostname", format!("{name}\n"));
    tree.write("etc/hosts", hosts(name));
    let options = "defaults,errors=remount-ro,x-systemd.growfs";
    tree.write("etc/fstab", format!("UUID={} / ext4 {options} 0 1\n", identity.root));
    let partitions = guest.partition_table() == PartitionTable::Gpt;
    if partitions && tree.get("usr/bin/systemd-repart").is_some() {
        tree.write("etc/repart.d/50-root.conf", GROW);
    }
    tree.write("etc/locale.conf", "LANG=C.UTF-8\n");
    tree.link("etc/default/locale", "../locale.conf");
    zone(tree, guest.timezone()).map_err(wrong("timezone"))?;
    network(tree).map_err(wrong("[packages]"))?;
    first_boot::prepare(tree, identity.epoch).map_err(wrong("[packages]"))?;
    tree.write("boot/grub/grub.cfg", grub::config(tree, guest, &identity.root)?);
    for folder in &guest.overlays {
        if !folder.is_dir() {
            let reason = format!("the overlay folder {} doesn't exist", folder.display());
            return Err(wrong("overlay")(reason));
        }
        tree.overlay(folder)?;
    }
    for user in &guest.users {
        accounts::add(tree, user, identity.epoch)
            .map_err(|reason| wrong(&user.name)(format!("user `{}`: {reason}", user.name)))?;
    }
    for file in &guest.files {
        specify(tree, file).map_err(wrong(&file.path))?;
    }
    units::apply(tree, &guest.units).map_err(wrong("[guest.units]"))
}

fn hosts(name: &str) -> String {
    format!(
        "127.0.0.1\tlocalhost\n127.0.1.1\t{name}\n\n::1\tlocalhost ip6-localhost ip6-loopback\n\
         ff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n"
    )
}

fn zone(tree: &mut Tree, zone: &str) -> Result<(), String> {
    let path = format!("usr/share/zoneinfo/{zone}");
    if tree.get(&path).is_none() {
        if zone == "Etc/UTC" {
            return Ok(());
        }
        return Err(format!("there is no time zone `{zone}`; list the package tzdata"));
    }
    tree.link("etc/localtime", &format!("/{path}"));
    tree.write("etc/timezone", format!("{zone}\n"));
    Ok(())
}

/// Addresses by DHCP, by the service manager's own daemons, where they are installed.
fn network(tree: &mut Tree) -> Result<(), String> {
    if tree.get("usr/lib/systemd/systemd-networkd").is_some() {
        tree.write("etc/systemd/network/80-dhcp.network", NETWORK);
        units::enable(tree, "systemd-networkd.service")?;
    }
    if tree.get("usr/lib/systemd/systemd-resolved").is_some() {
        tree.link("etc/resolv.conf", "../run/systemd/resolve/stub-resolv.conf");
        units::enable(tree, "systemd-resolved.service")?;
    }
    Ok(())
}

/// Content, mode and owner of one file.
fn specify(tree: &mut Tree, file: &FileSpec) -> Result<(), String> {
    if let Some(content) = &file.content {
        tree.write(&file.path, content.as_bytes());
    }
    let owner = file.owner.as_deref().map(|name| accounts::user(tree, name)).transpose()?;
    let group = file.group.as_deref().map(|name| accounts::group(tree, name)).transpose()?;
    let missing = || format!("there is no `{}` to change; give its `content`", file.path);
    let node = tree.get_mut(&file.path).ok_or_else(missing)?;
    node.mode = file.mode.map_or(node.mode, |mode| mode.0);
    node.uid = owner.unwrap_or(node.uid);
    node.gid = group.unwrap_or(node.gid);
    Ok(())
}
