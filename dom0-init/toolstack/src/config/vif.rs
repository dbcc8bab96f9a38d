//! Network interfaces: `mac=00:16:3e:00:00:01,bridge=xenbr0` and what else is written for one.

use std::fmt;
use std::net::IpAddr;

/// An Ethernet address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// How much a guest may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Bytes in each interval.
    pub bytes: u64,
    /// The interval.
    pub microseconds: u64,
}

/// As it is written in configs; at least as much as it is.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per_second = (u128::from(self.bytes) * 1_000_000).div_ceil(self.microseconds.into());
        write!(f, "{per_second}B/s@{}us", self.microseconds)
    }
}

/// A guest's network interface. What is `None` is chosen for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vif {
    /// Its address.
    pub mac: Option<Mac>,
    /// The bridge that it is on.
    pub bridge: Option<String>,
    /// The addresses that the guest may use; any if empty.
    pub addresses: Vec<IpAddr>,
    /// How it is connected: the name of one of the old scripts, which stands for a way.
    pub script: Option<String>,
    /// Its name in the control domain.
    pub name: Option<String>,
    /// The limit of what it sends.
    pub rate: Option<Rate>,
    /// The guest's gateway, with routing and NAT.
    pub gateway: Option<IpAddr>,
    /// The card that an HVM guest sees.
    pub model: Option<String>,
}

/// As [`Vif::parse`] reads it.
impl fmt::Display for Vif {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses: Vec<String> = self.addresses.iter().map(ToString::to_string).collect();
        let fields = [
            ("mac", self.mac.map(|mac| mac.to_string())),
            ("bridge", self.bridge.clone()),
            ("ip", (!addresses.is_empty()).then(|| addresses.join(" "))),
            ("script", self.script.clone()),
            ("vifname", self.name.clone()),
            ("rate", self.rate.map(|rate| rate.to_string())),
            ("model", self.model.clone()),
            ("gateway", self.gateway.map(|gateway| gateway.to_string())),
        ];
        let given = fields.iter().filter_map(|(key, value)| Some((key, value.as_ref()?)));
        for (index, (key, value)) in given.enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(f, "{comma}{key}={value}")?;
        }
        Ok(())
    }
}

const KEYS: &str = "mac, ip, bridge, script, vifname, rate, model, gateway";

impl Vif {
    /// Reads an interface's description; an empty one means defaults.
    ///
    /// # Errors
    /// What is wrong with it, and what to write.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut vif = Self::default();
        for field in text.split(',').map(str::trim).filter(|field| !field.is_empty()) {
            let (key, value) = field
                .split_once('=')
                .map(|(key, value)| (key.trim(), value.trim()))
                .ok_or_else(|| format!("{field:?} isn't KEY=VALUE with one of the keys {KEYS}"))?;
            if value.is_empty() {
                return Err(format!("{key}= has no value: leave it out for the default"));
            }
            match key {
                "mac" => vif.mac = Some(mac(value)?),
                "bridge" => vif.bridge = Some(interface_name(value)?),
                "vifname" => vif.name = Some(interface_name(value)?),
                "ip" => vif.addresses = addresses(value)?,
                "script" => vif.script = Some(script(value)),
                "rate" => vif.rate = Some(rate(value)?),
                "model" => vif.model = Some(value.to_owned()),
                "gateway" | "gatewaydev" => vif.gateway = Some(address(value)?),
                "type" if matches!(value, "ioemu" | "netfront" | "vif" | "paravirtualised") => {}
                "type" => return Err(format!("type={value} isn't known: leave it out")),
                _ => return Err(format!("{key}= is no part of an interface: there are {KEYS}")),
            }
        }
        Ok(vif)
    }
}

fn mac(text: &str) -> Result<Mac, String> {
    let bytes: Option<Vec<u8>> = text
        .split([':', '-'])
        .map(|part| u8::from_str_radix(part, 16).ok().filter(|_| part.len() <= 2))
        .collect();
    let bytes: [u8; 6] = bytes
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| format!("mac={text} is no address: write six bytes, 00:16:3e:xx:xx:xx"))?;
    if bytes.first().is_some_and(|first| first & 1 == 1) {
        return Err(format!("mac={text} is a group's address: begin it with 00:16:3e"));
    }
    Ok(Mac(bytes))
}

fn address(text: &str) -> Result<IpAddr, String> {
    // A prefix length is of no use here, but often written.
    let plain = text.split_once('/').map_or(text, |(plain, _)| plain);
    plain.parse().map_err(|_| format!("{text:?} is no IP address"))
}

fn addresses(text: &str) -> Result<Vec<IpAddr>, String> {
    text.split_whitespace().map(address).collect()
}

/// What Linux takes as a name: at most 15 bytes without spaces and slashes.
fn interface_name(text: &str) -> Result<String, String> {
    let bad = |c: char| c.is_whitespace() || matches!(c, '/' | ':') || c.is_control();
    if text.len() > 15 || text.contains(bad) || matches!(text, "." | "..") {
        return Err(format!("{text:?} is no name of an interface: at most 15 letters and digits"));
    }
    Ok(text.to_owned())
}

fn script(text: &str) -> String {
    text.rsplit('/').next().unwrap_or(text).to_owned()
}

/// `50Kb/s`, `10MB/s@20ms`: bits or bytes a second, and the interval to count in.
fn rate(text: &str) -> Result<Rate, String> {
    let wrong = || format!("rate={text} is no rate: write for example 10Mb/s, or 1MB/s@20ms");
    let (amount, interval) = text.split_once('@').unwrap_or((text, "50ms"));
    let amount = amount.strip_suffix("/s").unwrap_or(amount);
    let (amount, bits) = if let Some(bits) = amount.strip_suffix('b') {
        (bits, true)
    } else {
        (amount.strip_suffix('B').ok_or_else(wrong)?, false)
    };
    let (digits, unit) = scaled(amount);
    let per_second: u64 = digits.parse().map_err(|_| wrong())?;
    let per_second = per_second.checked_mul(unit).ok_or_else(wrong)?;
    let microseconds = interval_microseconds(interval).ok_or_else(wrong)?;
    let bytes = if bits { per_second / 8 } else { per_second };
    let bytes = bytes.checked_mul(microseconds).ok_or_else(wrong)? / 1_000_000;
    if bytes == 0 || microseconds == 0 {
        return Err(format!("rate={text} lets nothing through: write a higher one"));
    }
    Ok(Rate { bytes, microseconds })
}

fn scaled(text: &str) -> (&str, u64) {
    for (suffix, unit) in [('K', 1_000), ('M', 1_000_000), ('G', 1_000_000_000)] {
        if let Some(digits) = text.strip_suffix(suffix) {
            return (digits, unit);
        }
    }
    (text, 1)
}

fn interval_microseconds(text: &str) -> Option<u64> {
    for (suffix, unit) in [("us", 1), ("ms", 1_000), ("s", 1_000_000)] {
        if let Some(digits) = text.strip_suffix(suffix) {
            return digits.parse::<u64>().ok()?.checked_mul(unit);
        }
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn vif(text: &str) -> Vif {
        Vif::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn empty_means_defaults() {
        assert_eq!(vif(""), Vif::default());
        assert_eq!(vif(" , "), Vif::default());
        assert_eq!(vif("type=ioemu"), Vif::default());
    }

    #[test]
    fn everything_at_once() {
        let full =
            vif("mac=00:16:3E:0a:0b:0c, ip=10.0.0.2 fe80::1, bridge = dummybr0, vifname=web0, \
             script=/etc/xen/scripts/vif-bridge, rate=50Kb/s, model=e1000, gateway=10.0.0.1");
        assert_eq!(full.mac.unwrap().to_string(), "00:16:3e:0a:0b:0c");
        assert_eq!(full.bridge.as_deref(), Some("dummybr0"));
        assert_eq!(full.addresses.len(), 2);
        assert_eq!(full.script.as_deref(), Some("vif-bridge"));
        assert_eq!((full.name.as_deref(), full.model.as_deref()), (Some("web0"), Some("e1000")));
        assert_eq!(full.gateway, Some("10.0.0.1".parse().unwrap()));
        assert_eq!(full.rate, Some(Rate { bytes: 312, microseconds: 50_000 }));
    }

    #[test]
    fn rates() {
        let rate = |text: &str| vif(&format!("rate={text}")).rate.unwrap();
        assert_eq!(rate("10Mb/s"), Rate { bytes: 62_500, microseconds: 50_000 });
        assert_eq!(rate("1GB/s@20ms"), Rate { bytes: 20_000_000, microseconds: 20_000 });
        assert_eq!(rate("1000B/s@1s"), Rate { bytes: 1000, microseconds: 1_000_000 });
        for text in ["", "10", "10M", "x10Mb/s", "1b/s", "10Mb/s@0ms", "99999999999GB/s"] {
            assert!(Vif::parse(&format!("rate={text}")).is_err(), "{text}");
        }
    }

    #[test]
    fn errors_say_what_to_write() {
        for (text, words) in [
            ("xenbr0", "isn't KEY=VALUE"),
            ("brige=xenbr0", "there are mac, ip"),
            ("mac=00:16:3e:00:00", "six bytes"),
            ("mac=01:16:3e:00:00:00", "group's address"),
            ("ip=10.0.0.256", "no IP address"),
            ("bridge=a-much-too-long-name", "at most 15"),
            ("bridge=", "leave it out"),
            ("type=tap", "isn't known"),
        ] {
            let error = Vif::parse(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for text in [
            "",
            "mac=00:16:3e:00:00:0a,bridge=xenbr1,ip=10.0.0.2 fe80::1,script=vif-bridge",
            "vifname=web0,rate=50Kb/s,model=e1000,gateway=10.0.0.1",
            "rate=1GB/s@20ms",
            "rate=7B/s@1s",
        ] {
            assert_eq!(vif(&vif(text).to_string()), vif(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in "\\PC*|[a-z0-9:=/, @.MKGbB]{0,40}") {
            let _answered = Vif::parse(&text);
        }
    }
}
