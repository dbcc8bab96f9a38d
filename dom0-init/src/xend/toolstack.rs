//! What the daemon does with guests.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail, ensure};
use toolstack::build::kernel::KernelCache;
use toolstack::build::{self, Plan};
use toolstack::config;
use toolstack::config::cpus::CpuSet;
use toolstack::config::guest::{Action, Boot, Guest};
use uuid::Uuid;
use xenctl::Xen;
use xenctl::xen_abi::domctl::{
    DOMINF_DYING, DOMINF_PAUSED, DOMINF_SHUTDOWN, GetDomainInfo, SchedCredit2,
};
use xenctl::xen_abi::hvm::params::HvmParam;
use xenctl::xen_abi::sched::ShutdownReason;
use xenstore::DomId;
use xenstore::client::{Client, Tx};

use super::definition::Definition;
use super::devices;
use super::messages::{Create, Created, Domain};
use super::store_nodes;
use crate::xm::domains::shutdown_reason;

/// Unpacked kernels, in memory.
const KERNELS: &str = "/run/xenolith/kernels";
/// A guest that ends sooner than this after its start would only do so again.
const TOO_SOON: Duration = Duration::from_secs(10);

/// The toolstack.
pub struct Toolstack {
    xen: Xen,
    store: Client,
    kernels: KernelCache,
    guests: HashMap<u16, Running>,
}

/// A guest that runs, or has just ended.
struct Running {
    definition: Definition,
    guest: Guest,
    started: Instant,
    /// It ended, and what was to be done about it is done.
    settled: bool,
}

impl Toolstack {
    /// Opens the way to the hypervisor.
    ///
    /// # Errors
    /// When there is none.
    pub fn open(store: Client) -> anyhow::Result<Self> {
        let kernels = KernelCache::new(KERNELS);
        Ok(Self { xen: Xen::open()?, store, kernels, guests: HashMap::new() })
    }

    /// Finds the guests that an earlier daemon started, and takes away what it left half-made.
    ///
    /// # Errors
    /// When the hypervisor doesn't say which there are.
    pub fn adopt(&mut self) -> anyhow::Result<()> {
        for info in self.xen.domains()?.iter().filter(|info| info.domain != 0) {
            let uuid = Uuid::from_bytes(info.handle);
            let Some(definition) = Definition::of(uuid) else { continue };
            let Ok((guest, _notes)) = read(&definition.create) else { continue };
            log::info!("{} (domain {}) goes on", guest.name, info.domain);
            let running = Running { definition, guest, started: Instant::now(), settled: false };
            self.guests.insert(info.domain, running);
        }
        Ok(())
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
        let (guest, mut notes) = read(&create)?;
        if !guest.vifs.is_empty() {
            let file = &create.file;
            notes.push(format!("{file}: vif: isn't connected yet: the guest has no network"));
        }
        if let Some(other) = self.domains()?.iter().find(|other| other.name == guest.name) {
            bail!(
                "{} runs already, as domain {}: shut it down first, or give this one another name",
                guest.name,
                other.domain
            );
        }
        let uuid = guest.uuid.unwrap_or_else(Uuid::new_v4);
        let domain = self.start(Definition { uuid, create }, guest.clone())?;
        Ok(Created { domain, name: guest.name, notes })
    }

    /// The number of a domain that is named or numbered.
    ///
    /// # Errors
    /// When there is none, or it is the control domain.
    pub fn find(&mut self, name: &str) -> anyhow::Result<u16> {
        let all = self.domains()?;
        let found = all
            .iter()
            .find(|domain| domain.name == name)
            .or_else(|| all.iter().find(|domain| name.parse() == Ok(domain.domain)))
            .ok_or_else(|| {
                anyhow!("there is no domain {name:?}: `xm list` shows those that there are")
            })?;
        ensure!(
            found.domain != 0,
            "Domain-0 is the control domain: use shutdown-host or reboot-host"
        );
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
        let text = format!("name=\"{name}\"");
        if let Some(running) = self.guests.get_mut(&domain) {
            let mut create = running.definition.create.clone();
            create.overrides.retain(|known| !known.starts_with("name="));
            create.overrides.push(text);
            let (guest, _notes) = read(&create)?;
            running.definition.create = create;
            running.definition.keep()?;
            running.guest = guest;
        }
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

    /// Looks for guests that have ended, and does what their configs want.
    ///
    /// # Errors
    /// When the hypervisor doesn't say which there are.
    pub fn settle(&mut self) -> anyhow::Result<()> {
        let present: HashMap<u16, GetDomainInfo> =
            self.xen.domains()?.into_iter().map(|info| (info.domain, info)).collect();
        let known: Vec<u16> = self.guests.keys().copied().collect();
        for domain in known {
            match present.get(&domain) {
                None => self.vanished(domain),
                Some(info) if info.flags & DOMINF_DYING != 0 => {}
                Some(info) if info.flags & DOMINF_SHUTDOWN != 0 => {
                    if let Err(error) = self.ended(domain, shutdown_reason(info)) {
                        log::error!("domain {domain}: {error:#}");
                    }
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Somebody else destroyed it.
    fn vanished(&mut self, domain: u16) {
        let Some(running) = self.guests.remove(&domain) else { return };
        log::info!("{} (domain {domain}) is gone", running.guest.name);
        let uuid = running.definition.uuid;
        Definition::forget(uuid);
        if let Err(error) = store_nodes::remove(&mut self.store, domain, uuid) {
            log::warn!("{error}");
        }
    }

    fn ended(&mut self, domain: u16, reason: ShutdownReason) -> anyhow::Result<()> {
        let Some(running) = self.guests.get_mut(&domain) else { return Ok(()) };
        if std::mem::replace(&mut running.settled, true) {
            return Ok(());
        }
        let (name, guest) = (running.guest.name.clone(), &running.guest);
        let (words, action) = match reason {
            ShutdownReason::POWEROFF => ("powered off", guest.on_poweroff),
            ShutdownReason::REBOOT => ("rebooted", guest.on_reboot),
            ShutdownReason::SUSPEND => return Ok(()),
            _ => ("crashed", guest.on_crash),
        };
        let again =
            matches!(action, Action::Restart | Action::RenameRestart | Action::CoredumpRestart);
        if again && running.started.elapsed() < TOO_SOON {
            log::error!(
                "{name} (domain {domain}) {words} within {TOO_SOON:?} of its start: it isn't \
                 started again; look at its console's log"
            );
            return self.destroy(domain);
        }
        log::info!("{name} (domain {domain}) {words}");
        match action {
            Action::Preserve => Ok(()),
            Action::Destroy | Action::CoredumpDestroy => self.destroy(domain),
            Action::Restart | Action::CoredumpRestart | Action::RenameRestart => {
                self.restart(domain)
            }
        }
    }

    fn restart(&mut self, domain: u16) -> anyhow::Result<()> {
        self.take_away(domain)?;
        let Some(running) = self.guests.remove(&domain) else { return Ok(()) };
        let name = running.guest.name.clone();
        let uuid = running.definition.uuid;
        match self.start(running.definition, running.guest) {
            Ok(new) => {
                log::info!("{name} started again, as domain {new}");
                Ok(())
            }
            Err(error) => {
                Definition::forget(uuid);
                Err(error).with_context(|| format!("{name} can't be started again"))
            }
        }
    }

    /// Builds, connects and runs a guest; takes it away again if one of that fails.
    fn start(&mut self, definition: Definition, guest: Guest) -> anyhow::Result<u16> {
        let built = build::build(&self.xen, &plan(&guest, definition.uuid)?, &self.kernels)?;
        let domain = built.domain;
        let paused = definition.create.paused;
        let done = definition.keep().and_then(|()| self.connect(&built, &guest, &definition));
        let done =
            done.and_then(|()| if paused { Ok(()) } else { Ok(self.xen.unpause_domain(domain)?) });
        if let Err(error) = done {
            Definition::forget(definition.uuid);
            self.take_away(domain)?;
            return Err(error);
        }
        log::info!("{} started as domain {domain}", guest.name);
        let running = Running { definition, guest, started: Instant::now(), settled: false };
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
        devices::add_all(&mut self.store, built.domain, guest)
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

    fn take_away(&mut self, domain: u16) -> anyhow::Result<()> {
        let info = self.xen.domain(domain)?.ok_or_else(|| anyhow!("domain {domain} is gone"))?;
        self.xen.destroy_domain(domain)?;
        store_nodes::remove(&mut self.store, domain, Uuid::from_bytes(info.handle))?;
        Ok(())
    }
}

fn read(create: &Create) -> anyhow::Result<(Guest, Vec<String>)> {
    let (guest, notes) = config::read(&create.file, &create.text, &create.overrides)?;
    Ok((guest, notes.iter().map(ToString::to_string).collect()))
}

fn plan(guest: &Guest, uuid: Uuid) -> anyhow::Result<Plan> {
    let Boot::Kernel { kernel, ramdisk, command_line } = &guest.boot else {
        bail!("bootloader: this image has no GRUB for guests yet: give kernel= and ramdisk=");
    };
    Ok(Plan {
        uuid: uuid.into_bytes(),
        max_vcpus: guest.max_vcpus,
        memory_mib: guest.memory_mib,
        max_memory_mib: guest.max_memory_mib,
        kernel: Path::new(kernel).to_owned(),
        ramdisk: ramdisk.as_deref().map(|path| Path::new(path).to_owned()),
        command_line: command_line.clone(),
    })
}
