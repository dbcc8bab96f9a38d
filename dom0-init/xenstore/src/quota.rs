//! How much of the store a guest may take up. The control domain has no limits.

/// The limits of each guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Nodes that it owns.
    pub nodes: usize,
    /// Bytes of a node: its value and permissions.
    pub node_bytes: usize,
    /// Entries of a node's permissions.
    pub permissions: usize,
    /// Watches.
    pub watches: usize,
    /// Open transactions.
    pub transactions: usize,
    /// Changes within one transaction.
    pub changes: usize,
    /// Bytes that wait until it reads them; a guest that lets more gather is cut off.
    pub waiting_bytes: usize,
}

impl Default for Quota {
    /// Xen's own limits, where it has such.
    fn default() -> Self {
        Self {
            nodes: 1000,
            node_bytes: 2048,
            permissions: 5,
            watches: 128,
            transactions: 10,
            changes: 1024,
            waiting_bytes: 2 << 20,
        }
    }
}

impl Quota {
    /// Each limit with the name under which the control command shows it.
    pub fn entries(&self) -> [(&'static str, usize); 7] {
        [
            ("nodes", self.nodes),
            ("node-size", self.node_bytes),
            ("node-permissions", self.permissions),
            ("watches", self.watches),
            ("transactions", self.transactions),
            ("transaction-changes", self.changes),
            ("waiting-bytes", self.waiting_bytes),
        ]
    }
}
