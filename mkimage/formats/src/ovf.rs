//! OVF descriptors (DMTF DSP0243): what a virtual machine is made of. Written for one disk; read
//! for what a guest needs to know.

use crate::{Error, Result};
use roxmltree::{Document, Node};

/// A descriptor's text is at most so long.
pub const LONGEST: usize = 4 << 20;
const RASD: &str =
    "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData";
const VSSD: &str = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData";
const FORMAT: &str = "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized";

/// Kinds of hardware, by CIM's numbers.
const CPU: &str = "3";
const MEMORY: &str = "4";
const NETWORK: &str = "10";

/// A virtual machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Its name.
    pub name: String,
    /// Its memory in MiB.
    pub memory_mib: u64,
    /// Its vCPUs.
    pub vcpus: u32,
    /// How many network cards it has.
    pub networks: u32,
    /// Its disks, in order.
    pub disks: Vec<DiskFile>,
}

/// A disk of a virtual machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskFile {
    /// The file with its content.
    pub file: String,
    /// The file's size in bytes, where it is said.
    pub file_bytes: Option<u64>,
    /// The disk's size in bytes, where it is said.
    pub capacity: Option<u64>,
}

impl Machine {
    /// The descriptor, for the first of the machine's disks, a stream-optimized VMDK.
    pub fn to_text(&self) -> String {
        let name = escape(&self.name);
        let disk = self.disks.first();
        let file = escape(disk.map_or("", |disk| &disk.file));
        let file_bytes = disk.and_then(|disk| disk.file_bytes).unwrap_or(0);
        let capacity = disk.and_then(|disk| disk.capacity).unwrap_or(0);
        let hardware = self.hardware();
        format!(
            r#"<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" xmlns:rasd="{RASD}" xmlns:vssd="{VSSD}">
  <References>
    <File ovf:id="file1" ovf:href="{file}" ovf:size="{file_bytes}"/>
  </References>
  <DiskSection>
    <Info>Disks</Info>
    <Disk ovf:diskId="disk1" ovf:fileRef="file1" ovf:capacity="{capacity}" ovf:capacityAllocationUnits="byte" ovf:format="{FORMAT}"/>
  </DiskSection>
  <NetworkSection>
    <Info>Networks</Info>
    <Network ovf:name="default"><Description>The usual network</Description></Network>
  </NetworkSection>
  <VirtualSystem ovf:id="{name}">
    <Info>A virtual machine</Info>
    <Name>{name}</Name>
    <OperatingSystemSection ovf:id="101">
      <Info>The guest's operating system</Info>
      <Description>Linux 64-Bit</Description>
    </OperatingSystemSection>
    <VirtualHardwareSection>
      <Info>Hardware</Info>
      <System>
        <vssd:ElementName>Virtual Hardware Family</vssd:ElementName>
        <vssd:InstanceID>0</vssd:InstanceID>
        <vssd:VirtualSystemIdentifier>{name}</vssd:VirtualSystemIdentifier>
        <vssd:VirtualSystemType>vmx-10</vssd:VirtualSystemType>
      </System>
{hardware}    </VirtualHardwareSection>
  </VirtualSystem>
</Envelope>
"#
        )
    }

    /// The list of hardware. Elements of an item are in alphabetical order, as the schema has it.
    fn hardware(&self) -> String {
        let item = |fields: &[(&str, String)]| {
            let inner =
                fields.iter().map(|(key, value)| format!("<rasd:{key}>{value}</rasd:{key}>"));
            format!("      <Item>{}</Item>\n", inner.collect::<String>())
        };
        let text = |text: &str| text.to_owned();
        let mut all = item(&[
            ("Description", text("Number of virtual CPUs")),
            ("ElementName", format!("{} virtual CPU(s)", self.vcpus)),
            ("InstanceID", text("1")),
            ("ResourceType", text(CPU)),
            ("VirtualQuantity", self.vcpus.to_string()),
        ]);
        all += &item(&[
            ("AllocationUnits", text("byte * 2^20")),
            ("Description", text("Memory size")),
            ("ElementName", format!("{} MB of memory", self.memory_mib)),
            ("InstanceID", text("2")),
            ("ResourceType", text(MEMORY)),
            ("VirtualQuantity", self.memory_mib.to_string()),
        ]);
        all += &item(&[
            ("Address", text("0")),
            ("Description", text("SATA controller")),
            ("ElementName", text("SATA controller 0")),
            ("InstanceID", text("3")),
            ("ResourceSubType", text("AHCI")),
            ("ResourceType", text("20")),
        ]);
        all += &item(&[
            ("AddressOnParent", text("0")),
            ("ElementName", text("Disk 1")),
            ("HostResource", text("ovf:/disk/disk1")),
            ("InstanceID", text("4")),
            ("Parent", text("3")),
            ("ResourceType", text("17")),
        ]);
        for number in 0..self.networks {
            all += &item(&[
                ("AddressOnParent", (number + 1).to_string()),
                ("AutomaticAllocation", text("true")),
                ("Connection", text("default")),
                ("ElementName", format!("Network card {}", number + 1)),
                ("InstanceID", (number + 5).to_string()),
                ("ResourceSubType", text("E1000")),
                ("ResourceType", text(NETWORK)),
            ]);
        }
        all
    }

    /// Reads a descriptor.
    ///
    /// # Errors
    /// When it isn't one, describes several machines, or has disks in a way that isn't read.
    pub fn parse(text: &str) -> Result<Self> {
        if text.len() > LONGEST {
            return Err(Error::damaged("the OVF descriptor is too long"));
        }
        let document = Document::parse(text)
            .map_err(|error| Error::damaged(format!("the OVF descriptor is damaged: {error}")))?;
        let root = document.root_element();
        if root.tag_name().name() != "Envelope" {
            return Err(Error::damaged("this is no OVF descriptor"));
        }
        let mut systems = named(root, "VirtualSystem");
        let system = systems
            .next()
            .ok_or_else(|| Error::damaged("the OVF descriptor has no virtual machine"))?;
        if systems.next().is_some() {
            return Err(Error::unsupported(
                "it has several virtual machines: export one at a time",
            ));
        }
        let name = named(system, "Name").next().and_then(|node| node.text());
        let name = name.or_else(|| attribute(system, "id")).unwrap_or("guest").trim().to_owned();
        let mut machine = Self { name, memory_mib: 0, vcpus: 1, networks: 0, disks: disks(root)? };
        for item in named(system, "Item") {
            machine.add(item)?;
        }
        Ok(machine)
    }

    fn add(&mut self, item: Node<'_, '_>) -> Result<()> {
        let field = |name| named(item, name).next().and_then(|node| node.text()).map(str::trim);
        let quantity = || {
            let text = field("VirtualQuantity").unwrap_or_default();
            text.parse::<u64>()
                .map_err(|_| Error::damaged(format!("`{text}` is no quantity of hardware")))
        };
        match field("ResourceType") {
            Some(CPU) => {
                let count = u32::try_from(quantity()?).ok().filter(|count| *count > 0);
                self.vcpus = count.ok_or_else(|| Error::damaged("it has no vCPUs"))?;
            }
            Some(MEMORY) => {
                let unit = units(field("AllocationUnits").unwrap_or("byte * 2^20"))?;
                let bytes = quantity()?.checked_mul(unit);
                let bytes = bytes.ok_or_else(|| Error::damaged("it has too much memory"))?;
                self.memory_mib = bytes >> 20;
            }
            Some(NETWORK) => self.networks = self.networks.saturating_add(1),
            _ => {}
        }
        Ok(())
    }
}

fn disks(root: Node<'_, '_>) -> Result<Vec<DiskFile>> {
    let mut disks = Vec::new();
    for disk in named(root, "Disk") {
        let Some(reference) = attribute(disk, "fileRef") else {
            return Err(Error::unsupported("it has a disk without content"));
        };
        let file = named(root, "File").find(|file| attribute(*file, "id") == Some(reference));
        let file = file.ok_or_else(|| {
            Error::damaged(format!(
                "its disk refers to the file `{reference}`, which it hasn't got"
            ))
        })?;
        if attribute(file, "compression").is_some_and(|how| !how.is_empty() && how != "identity") {
            return Err(Error::unsupported("its disk is compressed again: unpack it first"));
        }
        if attribute(file, "chunkSize").is_some() {
            return Err(Error::unsupported("its disk is in several files"));
        }
        let href = attribute(file, "href").unwrap_or_default();
        if href.is_empty() || href.contains(['/', '\\', '\0']) || href.starts_with('.') {
            return Err(Error::unsupported(format!("its disk is `{href}`, not a file beside it")));
        }
        let unit = units(attribute(disk, "capacityAllocationUnits").unwrap_or("byte"))?;
        let capacity = attribute(disk, "capacity").and_then(|text| text.parse::<u64>().ok());
        disks.push(DiskFile {
            file: href.to_owned(),
            file_bytes: attribute(file, "size").and_then(|text| text.parse().ok()),
            capacity: capacity.and_then(|number| number.checked_mul(unit)),
        });
    }
    Ok(disks)
}

/// Elements below a node, by name: the namespace differs between versions and makers.
fn named<'a, 'b>(node: Node<'a, 'b>, name: &'a str) -> impl Iterator<Item = Node<'a, 'b>> {
    node.descendants().filter(move |inner| inner.is_element() && inner.tag_name().name() == name)
}

fn attribute<'a>(node: Node<'a, '_>, name: &str) -> Option<&'a str> {
    node.attributes().find(|attribute| attribute.name() == name).map(|found| found.value())
}

/// A programmatic unit, such as `byte * 2^20`, or an old name, as a number of bytes.
fn units(text: &str) -> Result<u64> {
    let wrong = || Error::unsupported(format!("the unit `{text}` isn't known"));
    match text.trim() {
        "byte" | "" => return Ok(1),
        "KiloBytes" => return Ok(1 << 10),
        "MegaBytes" | "MB" => return Ok(1 << 20),
        "GigaBytes" | "GB" => return Ok(1 << 30),
        _ => {}
    }
    let rest = text.trim().strip_prefix("byte").ok_or_else(wrong)?.trim();
    let power = rest.strip_prefix('*').map(str::trim).ok_or_else(wrong)?;
    let (base, exponent) = power.split_once('^').ok_or_else(wrong)?;
    let base: u64 = base.trim().parse().map_err(|_| wrong())?;
    let exponent: u32 = exponent.trim().parse().map_err(|_| wrong())?;
    base.checked_pow(exponent).ok_or_else(wrong)
}

fn escape(text: &str) -> String {
    text.chars()
        .filter(|character| !character.is_control())
        .map(|character| match character {
            '&' => "&amp;".to_owned(),
            '<' => "&lt;".to_owned(),
            '>' => "&gt;".to_owned(),
            '"' => "&quot;".to_owned(),
            other => other.to_string(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn machine() -> Machine {
        Machine {
            name: "web <&> \"1\"".to_owned(),
            memory_mib: 512,
            vcpus: 2,
            networks: 1,
            disks: vec![DiskFile {
                file: "web-disk1.vmdk".to_owned(),
                file_bytes: Some(77),
                capacity: Some(1 << 30),
            }],
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        assert_eq!(Machine::parse(&machine().to_text()).unwrap(), machine());
    }

    /// As VirtualBox writes it, shortened.
    #[test]
    fn descriptors_of_others() {
        let text = r#"<?xml version="1.0"?>
<ovf:Envelope ovf:version="1.0" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"
  xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData">
  <ovf:References><ovf:File ovf:href="a-disk001.vmdk" ovf:id="file1"/></ovf:References>
  <ovf:DiskSection><ovf:Info/><ovf:Disk ovf:capacity="8" ovf:capacityAllocationUnits="byte * 2^30"
    ovf:diskId="vmdisk1" ovf:fileRef="file1"/></ovf:DiskSection>
  <ovf:VirtualSystem ovf:id="Debian"><ovf:VirtualHardwareSection>
    <ovf:Item><rasd:ResourceType>3</rasd:ResourceType><rasd:VirtualQuantity>4</rasd:VirtualQuantity></ovf:Item>
    <ovf:Item><rasd:AllocationUnits>MegaBytes</rasd:AllocationUnits>
      <rasd:ResourceType>4</rasd:ResourceType><rasd:VirtualQuantity>2048</rasd:VirtualQuantity></ovf:Item>
    <ovf:Item><rasd:ResourceType>10</rasd:ResourceType></ovf:Item>
  </ovf:VirtualHardwareSection></ovf:VirtualSystem></ovf:Envelope>"#;
        let machine = Machine::parse(text).unwrap();
        assert_eq!((machine.name.as_str(), machine.memory_mib), ("Debian", 2048));
        assert_eq!((machine.vcpus, machine.networks), (4, 1));
        let disk = DiskFile {
            file: "a-disk001.vmdk".to_owned(),
            file_bytes: None,
            capacity: Some(8 << 30),
        };
        assert_eq!(machine.disks, [disk]);
    }

    #[test]
    fn refusals() {
        let good = machine().to_text();
        for (from, to, words) in [
            ("Envelope", "Envelop", "no OVF"),
            ("web-disk1.vmdk", "../etc/passwd", "beside it"),
            ("ovf:fileRef=\"file1\"", "ovf:fileRef=\"file9\"", "file9"),
            ("ovf:fileRef=\"file1\"", "", "without content"),
            ("ovf:size=", "ovf:compression=\"gzip\" ovf:size=", "compressed"),
            ("byte * 2^20", "stone", "stone"),
            ("<rasd:VirtualQuantity>2<", "<rasd:VirtualQuantity>0<", "no vCPUs"),
            ("<VirtualSystem ", "<VirtualSystem/><VirtualSystem ", "several"),
            ("</Envelope>", "", "damaged"),
        ] {
            let error = Machine::parse(&good.replace(from, to)).unwrap_err().to_string();
            assert!(error.contains(words), "{from}: {error}");
        }
        // A document type could define entities that grow without end: there are none.
        let bomb = good.replace("?>\n", "?>\n<!DOCTYPE x [<!ENTITY a \"aaaa\">]>\n");
        assert!(Machine::parse(&bomb).is_err());
    }

    proptest! {
        #[test]
        fn any_change_is_survived(at in 0_usize..4000, cut in 0_usize..40, text in "[<>&;:=\"/ 0-9a-z^*]{0,12}") {
            let good = machine().to_text();
            let at = (0..=at % good.len()).rev().find(|at| good.is_char_boundary(*at)).unwrap();
            let end = (at + cut).min(good.len());
            let changed = format!("{}{text}{}", &good[..at], &good[end..]);
            let _ = Machine::parse(&changed);
        }
    }
}
