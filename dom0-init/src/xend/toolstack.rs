//! What the daemon does with guests.

use std::collections::HashMap;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, anyhow, bail, ensure};
use toolstack::build::kernel::KernelCache;
use toolstack::build::{self, Plan};
use toolstack::config;
use toolstack::config::cpus::CpuSet;
use toolstack::config::disk::Disk;
use toolstack::config::guest::{Boot, Guest};
use uuid::Uuid;
use xenctl::Xen;
use xenctl::xen_abi::domctl::{DOMINF_PAUSED, SchedCredit2};
use xenctl::xen_abi::hvm::params::HvmParam;
use xenstore::DomId;
use xenstore::client::{Client, Tx};

use super::definition::Definition;
use super::devices;
use super::messages::{Create, Created, Domain};
use super::store_nodes;

mod adopt;
mod disks;
mod dump;
mod ending;
mod managed;
mod memory;
mod signals;
mod vcpus;

pub use managed::Automatic;

/// The kernel of guests that boot from their own disks: GRUB, where mkimage puts it.
const PVGRUB: &str = "/usr/lib/xenolith/pvgrub";

/// The toolstack.
pub struct Toolstack {
    pub(super) xen: Xen,
    pub(super) store: Client,
    kernels: KernelCache,
    pub(super) guests: HashMap<u16, Running>,
}

/// A guest that runs, or has just ended.
pub(super) struct Running {
    pub(super) definition: Definition,
    pub(super) guest: Guest,
    /// When; `None` if an earlier daemon did it.
    started: Option<Instant>,
    /// It ended, and what was to be done about it is done.
    settled: bool,
}

impl Toolstack {
    /// Opens the way to the hypervisor.
    ///
    /// # Errors
    /// When there is none.
    pub fn open(store: Client) -> anyhow::Result<Self> {
        let kernels = KernelCache::default();
        Ok(Self { xen: Xen::open()?, store, kernels, guests: HashMap::new() })
    }

    /// All domains.
    ///
    /// # Errors
    /// When the hypervisor doesn't say.
    pub fn domains(&mut self) -> anyhow::Result<Vec<Domain>> {
        let all = self.xen.domains()?;
        Ok(all
            .iter()
            .map(|info| Domain {
                domain: info.domain,
                name: store_nodes::name(&mut self.store, info.domain).unwrap_or_default(),
                uuid: Uuid::from_bytes(info.handle),
            })
            .collect())
    }

    /// Starts a guest.
    ///
    /// # Errors
    /// What is wrong with its config or its files, or why the hypervisor refuses; nothing of it
    /// is left then.
    pub fn create(&mut self, create: Create) -> anyhow::Result<Created> {
        let (guest, notes) = read(&create)?;
        if let Some(other) = self.domains()?.iter().find(|other| other.name == guest.name) {
            bail!(
                "{} runs already, as domain {}: shut it down first, or give this one another name",
                guest.name,
                other.domain
            );
        }
        let uuid = guest.uuid.unwrap_or_else(Uuid::new_v4);
        let domain = self.start(Definition::new(uuid, create), guest.clone())?;
        Ok(Created { domain, name: guest.name, notes })
    }

    /// The number of a domain that is named or numbered.
    ///
    /// # Errors
    /// When there is none, or it is the control domain.
    pub fn find(&mut self, name: &str) -> anyhow::Result<u16> {
        let found = self.find_any(name)?;
        ensure!(found != 0, "Domain-0 is the control domain: use shutdown-host or reboot-host");
        Ok(found)
    }

    /// The number of a domain that is named or numbered, which may be the control domain.
    ///
    /// # Errors
    /// When there is none.
    pub fn find_any(&mut self, name: &str) -> anyhow::Result<u16> {
        let all = self.domains()?;
        let found = all
            .iter()
            .find(|domain| domain.name == name)
            .or_else(|| all.iter().find(|domain| name.parse() == Ok(domain.domain)))
            .ok_or_else(|| {
                anyhow!("there is no domain {name:?}: `xm list` shows those that there are")
            })?;
        Ok(found.domain)
    }

    /// Stops a guest's vCPUs.
    ///
    /// # Errors
    /// When it is gone.
    pub fn pause(&self, domain: u16) -> anyhow::Result<()> {
        Ok(self.xen.pause_domain(domain)?)
    }

    /// Lets a guest's vCPUs run.
    ///
    /// # Errors
    /// When it is gone, or isn't paused.
    pub fn unpause(&self, domain: u16) -> anyhow::Result<()> {
        let info = self.xen.domain(domain)?.context("it is gone")?;
        ensure!(info.flags & DOMINF_PAUSED != 0, "domain {domain} isn't paused");
        Ok(self.xen.unpause_domain(domain)?)
    }

    /// Asks a guest to power off or reboot.
    ///
    /// # Errors
    /// When it can't be asked, because it has no drivers that listen.
    pub fn ask(&mut self, domain: u16, what: &str) -> anyhow::Result<()> {
        let listens = self.xen.parameter(domain, HvmParam::CALLBACK_IRQ)? != 0;
        ensure!(
            listens,
            "domain {domain} doesn't listen: it hasn't booted, or its kernel has no Xen drivers; \
             `xm destroy` ends it at once"
        );
        let node = format!("{}/control/shutdown", store_nodes::home(domain));
        Ok(self.store.write(Tx::NONE, &node, what)?)
    }

    /// Gives a guest another name.
    ///
    /// # Errors
    /// When another has that name.
    pub fn rename(&mut self, domain: u16, name: &str) -> anyhow::Result<()> {
        let taken = self.domains()?.iter().any(|other| other.name == name);
        ensure!(!taken, "there is a domain {name} already");
        self.remember(domain, |definition| definition.create.set("name", name))?;
        self.store.write(Tx::NONE, &format!("{}/name", store_nodes::home(domain)), name)?;
        Ok(())
    }

    /// Takes a guest away.
    ///
    /// # Errors
    /// When it is gone already.
    pub fn destroy(&mut self, domain: u16) -> anyhow::Result<()> {
        self.take_away(domain)?;
        if let Some(running) = self.guests.remove(&domain) {
            Definition::forget(running.definition.uuid);
            log::info!("{} (domain {domain}) destroyed", running.guest.name);
        }
        Ok(())
    }

    /// Builds, connects and runs a guest; takes it away again if one of that fails.
    fn start(&mut self, mut definition: Definition, guest: Guest) -> anyhow::Result<u16> {
        let plan = plan(&guest, definition.uuid)?;
        // From here on a daemon that is started again knows what to take away.
        definition.whole = false;
        definition.keep()?;
        let built = build::build(&self.xen, &plan, &mut self.kernels)
            .inspect_err(|_error| Definition::forget(definition.uuid))?;
        let domain = built.domain;
        let paused = definition.create.paused;
        definition.whole = true;
        definition.restarting = false;
        let done = self.connect(&built, &guest, &definition);
        let done =
            done.and_then(|()| if paused { Ok(()) } else { Ok(self.xen.unpause_domain(domain)?) });
        // One that is whole runs: a daemon that is started again doesn't look whether it does.
        if let Err(error) = done.and_then(|()| definition.keep()) {
            // What can't be taken away now, a daemon that is started again takes away.
            match self.take_away(domain) {
                Ok(()) => Definition::forget(definition.uuid),
                Err(left) => log::error!("domain {domain}, started in part, is left: {left:#}"),
            }
            return Err(error);
        }
        log::info!("{} started as domain {domain}", guest.name);
        let running = Running { definition, guest, started: Some(Instant::now()), settled: false };
        self.guests.insert(domain, running);
        Ok(domain)
    }

    fn connect(
        &mut self,
        built: &build::Built,
        guest: &Guest,
        definition: &Definition,
    ) -> anyhow::Result<()> {
        store_nodes::write(&mut self.store, built, guest, definition.uuid)?;
        self.schedule(built.domain, guest)?;
        self.store.introduce(DomId(built.domain), build::STORE_FRAME, built.store_port)?;
        devices::add_all(&mut self.store, built.domain, guest, definition.uuid)
    }

    fn schedule(&self, domain: u16, guest: &Guest) -> anyhow::Result<()> {
        if guest.weight.is_some() || guest.cap.is_some() {
            let now = self.xen.credit2(domain).context("the scheduler has no weights")?;
            let weight = guest.weight.unwrap_or(now.weight);
            let cap = guest.cap.unwrap_or(now.cap);
            self.xen.set_credit2(domain, SchedCredit2 { weight, cap })?;
        }
        for vcpu in 0..guest.max_vcpus {
            let own = usize::try_from(vcpu).ok().and_then(|index| guest.cpus.get(index));
            let set = if guest.cpus.len() == 1 { guest.cpus.first() } else { own };
            if let Some(CpuSet::Only(cpus)) = set {
                self.xen.set_affinity(domain, vcpu, cpus).with_context(|| {
                    format!(
                        "cpus: vCPU {vcpu} can't run there; `xm info` says how many CPUs there are"
                    )
                })?;
            }
        }
        Ok(())
    }

    /// Changes what is known of a guest that runs, also for when it starts again.
    pub(super) fn remember(
        &mut self,
        domain: u16,
        change: impl FnOnce(&mut Definition),
    ) -> anyhow::Result<()> {
        let Some(running) = self.guests.get_mut(&domain) else { return Ok(()) };
        let mut definition = running.definition.clone();
        change(&mut definition);
        running.guest = guest_of(&definition)?;
        definition.keep()?;
        running.definition = definition;
        Ok(())
    }

    fn take_away(&mut self, domain: u16) -> anyhow::Result<()> {
        let info = self.xen.domain(domain)?.ok_or_else(|| anyhow!("domain {domain} is gone"))?;
        self.xen.destroy_domain(domain)?;
        self.forget(domain, Uuid::from_bytes(info.handle))
    }

    /// Removes what the host had for a guest that is gone.
    fn forget(&mut self, domain: u16, uuid: Uuid) -> anyhow::Result<()> {
        let devices = devices::all(&mut self.store, domain)?;
        store_nodes::remove(&mut self.store, domain, uuid)?;
        devices::forget(&mut self.store, domain, &devices)
    }
}

/// A guest as it is now: its config, and what was changed since.
fn guest_of(definition: &Definition) -> anyhow::Result<Guest> {
    let (mut guest, _notes) = read(&definition.create)?;
    guest.disks.retain(|disk| !definition.detached.contains(&disk.device.number));
    guest.disks.extend(definition.attached.iter().filter_map(|text| Disk::parse(text).ok()));
    Ok(guest)
}

fn read(create: &Create) -> anyhow::Result<(Guest, Vec<String>)> {
    let (guest, notes) = config::read(&create.file, &create.text, &create.overrides)?;
    Ok((guest, notes.iter().map(ToString::to_string).collect()))
}

fn plan(guest: &Guest, uuid: Uuid) -> anyhow::Result<Plan> {
    let (kernel, ramdisk, command_line) = match &guest.boot {
        Boot::Kernel { kernel, ramdisk, command_line } => {
            (kernel.as_str(), ramdisk.as_deref(), command_line.as_str())
        }
        Boot::Pvgrub => {
            ensure!(
                Path::new(PVGRUB).exists(),
                "bootloader: this image has no GRUB for guests at {PVGRUB}: make one with mkimage, \
                 or give kernel= and ramdisk="
            );
            (PVGRUB, None, "")
        }
    };
    Ok(Plan {
        uuid: uuid.into_bytes(),
        max_vcpus: guest.max_vcpus,
        memory_mib: guest.memory_mib,
        max_memory_mib: guest.max_memory_mib,
        kernel: Path::new(kernel).to_owned(),
        ramdisk: ramdisk.map(|path| Path::new(path).to_owned()),
        command_line: command_line.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_has_what_was_attached_and_not_what_was_detached() {
        let create = Create {
            file: "web.cfg".into(),
            text: "kernel='/k'\ndisk=['phy:a,xvda,w', 'phy:b,xvdb,w']".into(),
            overrides: Vec::new(),
            paused: false,
        };
        let mut definition = Definition::new(Uuid::nil(), create);
        let names = |definition: &Definition| -> Vec<String> {
            let guest = guest_of(definition).unwrap();
            guest.disks.iter().map(|disk| format!("{:?} {}", disk.source, disk.device)).collect()
        };
        assert_eq!(names(&definition).len(), 2);
        let number = |name| toolstack::config::disk::VirtualDevice::parse(name).unwrap().number;
        definition.detach(number("xvdb"));
        definition.detach(number("xvdb"));
        assert_eq!(definition.detached.len(), 1);
        // Another disk in its place.
        definition.attached.push("phy:c,xvdb,w".into());
        assert_eq!(names(&definition), ["Block(\"/dev/a\") xvda", "Block(\"/dev/c\") xvdb"]);
        definition.detach(number("xvdb"));
        assert_eq!(names(&definition), ["Block(\"/dev/a\") xvda"]);
    }
}
