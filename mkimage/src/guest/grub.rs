//! The boot menu inside of a guest. One file serves plain BIOS and UEFI machines and the
//! hypervisor's pvgrub, and stays right when kernels are upgraded: it starts what the links
//! `/vmlinuz` and `/initrd.img` name, which kernel packages keep, and lists whatever is in `/boot`.

use super::tree::Tree;
use crate::error::Error;
use crate::recipe::Guest;

/// Composes `grub.cfg`.
///
/// # Errors
/// When the system has no kernel.
pub fn config(tree: &Tree, guest: &Guest, root: &str) -> Result<String, Error> {
    for link in ["vmlinuz", "initrd.img"] {
        if tree.get(link).is_none() {
            let reason = format!(
                "the system has no /{link}: list a kernel in [packages], such as \
                 linux-image-cloud-amd64"
            );
            return Err(Error::Image(reason));
        }
    }
    let name = os_name(&tree.text("etc/os-release")?);
    let mut args = guest.kernel_args.clone();
    if !args.is_empty() {
        args.insert(0, ' ');
    }
    Ok(format!(
        "# Written by mkimage. It finds kernels by itself: nothing needs to change it.
set default=0
set timeout={timeout}
search --no-floppy --set=root --fs-uuid {root}
if [ \"$grub_platform\" = xen_pvh ]; then
  set consoles=\"console=hvc0\"
else
  set consoles=\"console=tty0 console=ttyS0,115200\"
  if serial --unit=0 --speed=115200; then
    terminal_input console serial
    terminal_output console serial
  fi
fi
set args=\"root=UUID={root} ro{args} $consoles\"
export args
menuentry '{name}' {{
  linux /vmlinuz $args
  initrd /initrd.img
}}
if [ -f /vmlinuz.old ]; then
  menuentry '{name}, the kernel before' {{
    linux /vmlinuz.old $args
    initrd /initrd.img.old
  }}
fi
submenu 'All kernels' {{
  for image in /boot/vmlinuz-*; do
    regexp --set=1:version 'vmlinuz-(.*)' $image
    menuentry \"$version\" \"$version\" {{
      linux /boot/vmlinuz-$2 $args
      initrd /boot/initrd.img-$2
    }}
    menuentry \"$version, rescue\" \"$version\" {{
      linux /boot/vmlinuz-$2 $args systemd.unit=rescue.target
      initrd /boot/initrd.img-$2
    }}
  done
}}
",
        timeout = guest.timeout.unwrap_or(1),
    ))
}

/// What the system calls itself, for a title in single quotes.
fn os_name(text: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let name: String = line.unwrap_or("Linux").chars().filter(|c| !"'\"\\".contains(*c)).collect();
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_for_titles() {
        let text = "ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\n";
        assert_eq!(os_name(text), "Debian GNU/Linux 13 (trixie)");
        assert_eq!(os_name(""), "Linux");
    }
}
