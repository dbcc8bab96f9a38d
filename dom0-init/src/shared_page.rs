//! A page that a guest shares with a daemon of the control domain: a ring lies in it.
//!
//! The other side can write it at any time. Numbers are read once and checked, bytes are copied
//! before anything looks at them; nothing refers to the page itself.

use xenctl::gntdev::{GrantMapping, Grants};
use xenctl::mapping::Mapping;
use xenctl::{Result, Xen};

/// Shared memory, as much of it as a ring needs.
pub trait Page {
    /// Copies bytes out; false if they aren't all inside.
    fn read(&self, offset: usize, bytes: &mut [u8]) -> bool;
    /// Copies bytes in; false if they aren't all inside.
    fn write(&self, offset: usize, bytes: &[u8]) -> bool;
    /// Reads a number, before anything that follows.
    fn load(&self, offset: usize) -> u32;
    /// Writes a number, after anything that precedes.
    fn store(&self, offset: usize, value: u32);
}

/// The page itself.
#[derive(Debug)]
pub enum SharedPage {
    /// This domain's kernel's, or one that was mapped by its frame.
    Mapped(Mapping),
    /// Granted by a guest.
    Granted(GrantMapping),
}

impl SharedPage {
    /// A guest's page by its grant, which asks for no privilege over the guest; builders that
    /// don't grant it tell the frame.
    ///
    /// # Errors
    /// When it can be had neither way.
    pub fn of_guest(
        grants: &Grants,
        xen: &Xen,
        domain: u16,
        reference: u32,
        frame: u64,
    ) -> Result<Self> {
        match grants.map(domain, &[reference]) {
            Ok(grant) => Ok(Self::Granted(grant)),
            Err(_) => xen.map_foreign(domain, &[frame]).map(Self::Mapped),
        }
    }

    fn mapping(&self) -> Option<&Mapping> {
        match self {
            Self::Mapped(page) => Some(page),
            Self::Granted(grant) => grant.pages(),
        }
    }
}

impl Page for SharedPage {
    fn read(&self, offset: usize, bytes: &mut [u8]) -> bool {
        self.mapping().is_some_and(|page| page.read(offset, bytes))
    }

    fn write(&self, offset: usize, bytes: &[u8]) -> bool {
        self.mapping().is_some_and(|page| page.write(offset, bytes))
    }

    fn load(&self, offset: usize) -> u32 {
        self.mapping().and_then(|page| page.load(offset)).unwrap_or(0)
    }

    fn store(&self, offset: usize, value: u32) {
        let inside = self.mapping().is_some_and(|page| page.store(offset, value));
        debug_assert!(inside, "rings lie in a page");
    }
}

#[cfg(test)]
pub mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::Page;

    /// A page for tests of rings; its clones are the same memory.
    #[derive(Debug, Clone)]
    pub struct Memory(Rc<RefCell<Vec<u8>>>);

    impl Memory {
        /// All zeroes.
        pub fn new() -> Self {
            Self(Rc::new(RefCell::new(vec![0; 4096])))
        }
    }

    impl Page for Memory {
        fn read(&self, offset: usize, bytes: &mut [u8]) -> bool {
            bytes.copy_from_slice(&self.0.borrow()[offset..offset + bytes.len()]);
            true
        }

        fn write(&self, offset: usize, bytes: &[u8]) -> bool {
            self.0.borrow_mut()[offset..offset + bytes.len()].copy_from_slice(bytes);
            true
        }

        fn load(&self, offset: usize) -> u32 {
            let mut bytes = [0; 4];
            self.read(offset, &mut bytes);
            u32::from_le_bytes(bytes)
        }

        fn store(&self, offset: usize, value: u32) {
            self.write(offset, &value.to_le_bytes());
        }
    }
}
