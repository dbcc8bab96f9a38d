//! Sets of CPUs as configs write them: `0-3,^1`, `all`.

/// The CPUs that a vCPU may run on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CpuSet {
    /// Every one.
    All,
    /// These, in order.
    Only(Vec<u32>),
}

/// More than any machine has.
const MOST: u32 = 4096;

impl CpuSet {
    /// Reads one.
    ///
    /// # Errors
    /// What is wrong with it, and what to write.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.trim() == "all" {
            return Ok(Self::All);
        }
        let mut set = std::collections::BTreeSet::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (exclude, range) = match part.strip_prefix('^') {
                Some(range) => (true, range),
                None => (false, part),
            };
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let number = |text: &str| text.trim().parse().ok().filter(|number| *number < MOST);
            let (Some(first), Some(last)) = (number(first), number(last)) else {
                return Err(format!("{part:?} is no CPU: write for example \"0-3,^1\" or \"all\""));
            };
            if first > last {
                return Err(format!("{part:?} is no range: write {last}-{first}"));
            }
            for cpu in first..=last {
                if exclude {
                    set.remove(&cpu)
                } else {
                    set.insert(cpu)
                };
            }
        }
        if set.is_empty() {
            return Err(format!("{text:?} leaves no CPU: write for example \"0-3\" or \"all\""));
        }
        Ok(Self::Only(set.into_iter().collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_exceptions() {
        let set = |text: &str| CpuSet::parse(text).unwrap();
        assert_eq!(set("0-3,^1"), CpuSet::Only(vec![0, 2, 3]));
        assert_eq!(set(" 5 , 2 "), CpuSet::Only(vec![2, 5]));
        assert_eq!(set("all"), CpuSet::All);
        for text in ["", "^1", "3-1", "x", "0-5000", "1-2-3", "0,^0"] {
            assert!(CpuSet::parse(text).is_err(), "{text}");
        }
    }
}
