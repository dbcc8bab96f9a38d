//! What a later store needs to go on where this one was: see [`crate::journal`].
//!
//! Connections of programs end with the process that served them. Rings lie in the domains'
//! memory and go on: their watches, and the numbers of their transactions, are written down.

use std::collections::BTreeMap;

use crate::journal::{self, Record, Touched};
use crate::permission::DomId;
use crate::quota::Quota;
use crate::view::Change;
use crate::watch::{ConnectionId, Target, Watch};

use super::{Host, Store};

/// A ring as an earlier store left it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Left {
    /// Where it lies, and its port; none for the control domain's.
    pub ring: Option<(u64, u32)>,
    /// The beginning of a message whose rest is to come.
    pub partial: Box<[u8]>,
    watches: Vec<LeftWatch>,
    transactions: Vec<u32>,
}

/// A watch: as it was spelled, its token, how many levels below still count.
type LeftWatch = (Box<str>, Box<[u8]>, Option<usize>);

impl Store {
    /// A store with the nodes of a journal, and the rings as they were left.
    pub fn of_journal(quota: Quota, journal: &[u8]) -> (Self, BTreeMap<DomId, Left>) {
        let records = journal::records(journal);
        let mut store = Self::new(quota);
        journal::replay(&mut store.tree, &mut store.clock, &records);
        (store, left(records))
    }

    /// Goes on with a domain whose ring is connected.
    pub fn go_on(&mut self, domain: DomId, left: &Left) {
        let Some(connection) = self.connection_of(domain) else { return };
        for (spelled, token, depth) in &left.watches {
            let Ok(target) = Target::parse(spelled, domain) else { continue };
            let (spelled, token, depth) = (spelled.clone(), token.clone(), *depth);
            let watch = Watch { connection, spelled, token, depth };
            if self.watches.add(&target, watch).is_ok()
                && let Some(known) = self.connections.get_mut(&connection)
            {
                known.watches = known.watches.saturating_add(1);
            }
        }
        if let Some(known) = self.connections.get_mut(&connection) {
            left.transactions.iter().for_each(|id| known.begin_lost(*id, &self.tree));
        }
    }

    /// Connects a domain again whose ring an earlier store served.
    ///
    /// # Errors
    /// When its ring can't be connected; it isn't known then.
    pub fn connect_again(
        &mut self,
        domain: DomId,
        left: &Left,
        host: &mut dyn Host,
    ) -> crate::error::Result<()> {
        let (frame, port) = left.ring.ok_or(crate::error::Error::Missing)?;
        self.connect(domain, frame, port, host)?;
        self.go_on(domain, left);
        Ok(())
    }

    /// Removes what a domain owned that went while there was no store.
    pub fn bury(&mut self, domain: DomId) {
        let _nobody_watches_yet = self.remove_traces(domain);
    }

    /// Notes the beginning of a message on a domain's ring, whose rest is to come.
    pub fn note_partial(&mut self, domain: DomId, bytes: &[u8]) {
        self.journal.push(Record::Partial { domain, bytes: bytes.into() });
    }

    /// What changed since this was asked last, for the end of a journal.
    pub fn take_journal(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let nodes = journal::changes(&self.tree, &self.touched, self.written);
        nodes.iter().for_each(|record| record.append(&mut bytes));
        self.touched.clear();
        self.written = self.tree.version();
        self.journal.drain(..).for_each(|record| record.append(&mut bytes));
        bytes
    }

    /// All that there is, for the beginning of a journal; partial messages excepted.
    pub fn whole_journal(&mut self) -> Vec<u8> {
        self.journal.clear();
        self.touched.clear();
        self.written = self.tree.version();
        let mut all = journal::whole(&self.tree);
        for (domain, known) in &self.domains {
            let domain = *domain;
            let ring = known.ring;
            all.extend(ring.map(|(frame, port)| Record::Introduced { domain, frame, port }));
            let own = self.watches.all().filter(|(_, watch)| watch.connection == known.connection);
            all.extend(own.map(|(_, watch)| Record::Watched {
                domain,
                spelled: watch.spelled.clone(),
                token: watch.token.clone(),
                depth: watch.depth,
            }));
            let connection = self.connections.get(&known.connection);
            let open = connection.into_iter().flat_map(|known| known.open_transactions());
            all.extend(open.map(|transaction| Record::Began { domain, transaction }));
        }
        let mut bytes = Vec::new();
        all.iter().for_each(|record| record.append(&mut bytes));
        bytes
    }

    /// Notes what changed.
    pub(super) fn touch(&mut self, changes: &[Change]) {
        self.touched.extend(changes.iter().map(Touched::from));
    }

    /// Notes something about a connection, if it is a domain's ring.
    pub(super) fn note(&mut self, connection: ConnectionId, record: impl FnOnce(DomId) -> Record) {
        let found = self.domains.iter().find(|(_, known)| known.connection == connection);
        if let Some(domain) = found.map(|(domain, _)| *domain) {
            self.journal.push(record(domain));
        }
    }
}

/// The rings that records tell of.
fn left(records: Vec<Record>) -> BTreeMap<DomId, Left> {
    let mut rings: BTreeMap<DomId, Left> = BTreeMap::new();
    for record in records {
        match record {
            Record::Introduced { domain, frame, port } => {
                rings.entry(domain).or_default().ring = Some((frame, port));
            }
            Record::Released { domain } => {
                rings.remove(&domain);
            }
            Record::Watched { domain, spelled, token, depth } => {
                rings.entry(domain).or_default().watches.push((spelled, token, depth));
            }
            Record::Unwatched { domain, spelled, token } => {
                let target = Target::parse(&spelled, domain);
                let stays = |(known, its, _): &LeftWatch| {
                    Target::parse(known, domain) != target || *its != token
                };
                rings.entry(domain).or_default().watches.retain(stays);
            }
            Record::Reset { domain } => {
                let ring = rings.entry(domain).or_default();
                *ring = Left { ring: ring.ring, ..Left::default() };
            }
            Record::Began { domain, transaction } => {
                rings.entry(domain).or_default().transactions.push(transaction);
            }
            Record::Ended { domain, transaction } => {
                let ring = rings.entry(domain).or_default();
                ring.transactions.retain(|known| *known != transaction);
            }
            Record::Partial { domain, bytes } => rings.entry(domain).or_default().partial = bytes,
            Record::Node { .. } | Record::Removed { .. } => {}
        }
    }
    rings
}
