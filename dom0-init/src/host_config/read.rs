//! The entries of `xend-config.sxp`.

use toolstack::config::problem::{Note, Problem};

use super::HostConfig;
use super::catalogues::Catalogue;
use super::sxp::{self, Item, Value};
use super::{networks::Network, script};

/// Entries that are known and do nothing here, and why.
const UNSUPPORTED: &[(&str, &str)] = &[
    ("logfile", "the log is the control domain's: `xm log` shows it"),
    ("loglevel", "everything is logged: `xm log` shows it"),
    ("xend-unix-path", "the socket's place is fixed"),
    ("xend-port", "there is no server for other machines"),
    ("xend-address", "there is no server for other machines"),
    ("xend-tcp-xmlrpc-server", "there is no server for other machines"),
    ("xend-unix-xmlrpc-server", "xm speaks another protocol here"),
    ("xen-api-server", "there is no XenAPI server"),
    ("xend-relocation-server", "guests can't move to other hosts"),
    ("xend-relocation-port", "guests can't move to other hosts"),
    ("xend-relocation-address", "guests can't move to other hosts"),
    ("xend-relocation-hosts-allow", "guests can't move to other hosts"),
    ("console-limit", "consoles keep a fixed amount, and all of it in their logs"),
    ("enable-dump", "a guest's on_crash says what is done with its memory"),
    ("enable-dom0-ballooning", "the control domain's memory is fixed"),
    ("vnc-listen", "guests have no screens, only consoles"),
    ("vncpasswd", "guests have no screens, only consoles"),
    ("keymap", "guests have no screens, only consoles"),
    (
        "dom0-min-mem",
        "no guest takes memory from the control domain: its size is fixed by dom0_mem= of the \
         hypervisor's command line",
    ),
];

struct Reader<'a> {
    file: &'a str,
    config: HostConfig,
    networks: Option<Vec<Network>>,
    notes: Vec<Note>,
}

impl HostConfig {
    /// Reads the file's text; entries that can't be used are told and left out.
    pub fn read(file: &str, text: &str) -> (Self, Vec<Note>) {
        let (config, networks, notes) = (Self::default(), None, Vec::new());
        let mut reader = Reader { file, config, networks, notes };
        match sxp::parse(text) {
            Ok(items) => items.iter().for_each(|item| reader.entry(item)),
            Err(mut problem) => {
                problem.what += "; until then nothing of the file is used";
                reader.notes.push(Note::new(file, problem));
            }
        }
        if let Some(networks) = reader.networks {
            reader.config.networks = networks;
        }
        (reader.config, reader.notes)
    }
}

impl Reader<'_> {
    fn tell(&mut self, line: usize, key: &str, what: impl Into<String>) {
        self.notes.push(Note::new(self.file, Problem::new(Some(line), key, what)));
    }

    fn entry(&mut self, item: &Item) {
        let Value::List(parts) = &item.value else {
            return self.tell(item.line, "", "is outside of an entry: write (KEY VALUE)");
        };
        let mut words = Vec::new();
        for part in parts {
            match &part.value {
                Value::Text(text) => words.push(text.as_str()),
                Value::List(_) => {
                    let key = words.first().copied().unwrap_or_default();
                    return self.tell(part.line, key, "a list is no value: write (KEY VALUE)");
                }
            }
        }
        let Some((&key, values)) = words.split_first() else {
            return self.tell(item.line, "", "the entry is empty: write (KEY VALUE)");
        };
        if let Err(what) = self.set(key, &values.join(" ")) {
            self.tell(item.line, key, what);
        }
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        match key {
            "network-script" => {
                let networks = self.networks.get_or_insert_default();
                let Some(network) = script::network(value)? else { return Ok(()) };
                let taken = |other: &Network| {
                    network.bridge().is_some() && network.bridge() == other.bridge()
                };
                if networks.iter().any(taken) {
                    return Err(format!(
                        "{value:?} has the bridge of an earlier network: give it another one by \
                         bridge="
                    ));
                }
                networks.push(network);
            }
            "vif-script" => {
                let (way, bridge) = script::vif(value)?;
                (self.config.vif_script, self.config.vif_bridge) = (Some(way), bridge);
            }
            "image-catalogue" => {
                let catalogue = Catalogue::parse(value)?;
                if self.config.catalogues.iter().any(|other| other.name == catalogue.name) {
                    return Err(format!(
                        "there is a catalogue {} already: give this one another name by name=",
                        catalogue.name
                    ));
                }
                self.config.catalogues.push(catalogue);
            }
            "dom0-cpus" => {
                let count: u32 = value.parse().map_err(|_| {
                    format!("{value:?} is no number of CPUs: write 0 for all of them")
                })?;
                self.config.dom0_cpus = (count > 0).then_some(count);
            }
            "xend-unix-server" => {
                if !truth(value)? {
                    return Err("it stays on: xm needs it".to_owned());
                }
            }
            "xend-http-server" => {
                if truth(value)? {
                    return Err(
                        "isn't supported: requests are taken on the local socket alone".to_owned()
                    );
                }
            }
            "dom0-min-mem" => {
                value.parse::<u64>().map_err(|_| format!("{value:?} is no number of MiB"))?;
                unsupported(key)?;
            }
            _ => unsupported(key)?,
        }
        Ok(())
    }
}

fn unsupported(key: &str) -> Result<(), String> {
    let known = UNSUPPORTED.iter().find(|(known, _)| *known == key);
    Err(known.map_or_else(
        || "isn't known and has no effect: look at its spelling".to_owned(),
        |(_, reason)| format!("has no effect: {reason}"),
    ))
}

fn truth(value: &str) -> Result<bool, String> {
    match value {
        "yes" | "true" | "on" | "1" => Ok(true),
        "no" | "false" | "off" | "0" => Ok(false),
        _ => Err(format!("{value:?} is neither yes nor no")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::networks::{Card, VifScript};
    use super::*;

    fn read(text: &str) -> (HostConfig, Vec<String>) {
        let (config, notes) = HostConfig::read("x.sxp", text);
        (config, notes.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn the_tutorials_sample() {
        let (config, notes) = read(
            "#(logfile /var/log/xen/xend.log)\n#(xend-http-server no)\n(xend-unix-server yes)\n\
             (xend-unix-path /var/lib/xend/xend-socket)\n(network-script network-bridge)\n\
             (vif-script vif-bridge)\n(dom0-min-mem 256)\n(dom0-cpus 0)\n\
             #(vnc-listen '127.0.0.1')\n(vncpasswd '')\n",
        );
        let expected = HostConfig { vif_script: Some(VifScript::Bridge), ..HostConfig::default() };
        assert_eq!(config, expected);
        assert_eq!(
            notes,
            [
                "x.sxp:4: xend-unix-path: has no effect: the socket's place is fixed",
                "x.sxp:7: dom0-min-mem: has no effect: no guest takes memory from the control \
                 domain: its size is fixed by dom0_mem= of the hypervisor's command line",
                "x.sxp:10: vncpasswd: has no effect: guests have no screens, only consoles",
            ]
        );
    }

    #[test]
    fn several_networks() {
        let (config, notes) = read(
            "(network-script network-nat)\n(network-script 'network-bridge netdev=eth1')\n\
             (network-script 'network-bridge bridge=dummybr0 netdev=none')\n(dom0-cpus 2)",
        );
        assert!(notes.is_empty(), "{notes:?}");
        let bridges: Vec<_> = config.networks.iter().filter_map(Network::bridge).collect();
        assert_eq!(bridges, ["natbr0", "xenbr0", "dummybr0"]);
        assert_eq!(config.dom0_cpus, Some(2));
        let card = Card::Named("eth1".into());
        assert_eq!(config.networks[1], Network::Bridge { bridge: "xenbr0".into(), card });
        assert_eq!(read("(network-script network-dummy)").0.networks, []);
    }

    #[test]
    fn what_cannot_be_used_is_told_and_left_out() {
        for (text, words) in [
            ("(network-script network-brige)", "x.sxp:1: network-script: \"network-brige\" isn't"),
            ("\n(network-script", "x.sxp:2: `(` isn't closed: add `)`; until then nothing"),
            ("(networkscript a)", "x.sxp:1: networkscript: isn't known"),
            ("yes", "x.sxp:1: is outside"),
            ("()", "x.sxp:1: the entry is empty"),
            ("(a (b c))", "x.sxp:1: a: a list is no value"),
            ("(dom0-cpus many)", "no number of CPUs"),
            ("(dom0-min-mem many)", "no number of MiB"),
            ("(xend-http-server yes)", "local socket alone"),
            ("(xend-unix-server no)", "it stays on"),
            ("(xend-unix-server maybe)", "neither yes nor no"),
            ("(network-script network-bridge)(network-script network-bridge)", "another one by"),
        ] {
            let (config, notes) = read(text);
            assert!(notes.len() == 1 && notes[0].contains(words), "{text}: {notes:?}");
            assert_eq!(config.networks.first().map_or("xenbr0", |n| n.bridge().unwrap()), "xenbr0");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_answered(
            text in "(\\((network-script|vif-script|dom0-cpus|x) [a-z0-9=/. ']{0,30}\\)?\n?){0,4}"
        ) {
            let _answered = HostConfig::read("x.sxp", &text);
        }
    }
}
