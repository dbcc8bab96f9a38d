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
    /// Up to which of its indexes requests were taken, if that is known, and the beginning of a
    /// message whose rest is to come.
    pub received: Option<(u32, Box<[u8]>)>,
    /// What was queued to be sent, and at which of the ring's indexes it begins.
    queued: Option<(u32, Vec<u8>)>,
    watches: Vec<LeftWatch>,
    transactions: Vec<u32>,
}

/// How far a domain's ring is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RingState {
    /// Whose.
    pub domain: DomId,
    /// Up to which of its indexes requests were taken and done.
    pub received: u32,
    /// Up to which of its indexes answers and events were sent.
    pub sent: u32,
    /// The beginning of a message whose rest is to come.
    pub partial: Vec<u8>,
}

/// A watch: as it was spelled, its token, how many levels below still count.
type LeftWatch = (Box<str>, Box<[u8]>, Option<usize>);

impl Left {
    /// What is still to be sent on a ring whose index is this.
    pub fn unsent(&self, sent: u32) -> &[u8] {
        let Some((from, bytes)) = &self.queued else { return &[] };
        // An index that makes no sense is the other side's doing.
        let gone = usize::try_from(sent.wrapping_sub(*from)).unwrap_or(usize::MAX);
        bytes.get(gone..).unwrap_or_default()
    }

    fn queue(&mut self, from: u32, bytes: &[u8]) {
        let queued = self.queued.get_or_insert((from, Vec::new()));
        let end = queued.0.wrapping_add(u32::try_from(queued.1.len()).unwrap_or(0));
        if end != from {
            *queued = (from, Vec::new());
        }
        queued.1.extend_from_slice(bytes);
    }
}

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

    /// Goes on sending what an earlier store had queued for a domain.
    pub fn go_on_sending(&mut self, domain: DomId, unsent: &[u8]) {
        let Some(connection) = self.connection_of(domain) else { return };
        if !unsent.is_empty() {
            self.send(connection, unsent.into());
        }
    }

    /// Notes that what was taken from a domain's ring, up to this index, is done; `partial` is the
    /// beginning of a message whose rest is to come.
    pub fn note_received(&mut self, domain: DomId, until: u32, partial: &[u8]) {
        self.journal.push(Record::Received { domain, until, partial: partial.into() });
    }

    /// Notes what was queued for a domain since this was called last; `sent` is its ring's index.
    /// To be called before it is sent.
    pub fn note_queued(&mut self, domain: DomId, sent: u32) {
        let Some(connection) = self.connection_of(domain) else { return };
        let Some(known) = self.connections.get_mut(&connection) else { return };
        let bytes = known.outbox.take_fresh();
        if !bytes.is_empty() {
            let before = known.outbox.len().saturating_sub(bytes.len());
            let from = sent.wrapping_add(u32::try_from(before).unwrap_or(0));
            self.journal.push(Record::Queued { domain, from, bytes: bytes.into() });
        }
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

    /// All that there is, for the beginning of a journal, with how far the domains' rings are.
    pub fn whole_journal(&mut self, rings: &[RingState]) -> Vec<u8> {
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
        for RingState { domain, received, sent, partial } in rings {
            let (domain, until, from) = (*domain, *received, *sent);
            let Some(connection) = self.connection_of(domain) else { continue };
            all.push(Record::Received { domain, until, partial: partial.as_slice().into() });
            if let Some(known) = self.connections.get_mut(&connection) {
                let _known_anyway = known.outbox.take_fresh();
                let bytes = known.outbox.all().into();
                all.push(Record::Queued { domain, from, bytes });
            }
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
                // It may be another ring.
                let known = rings.entry(domain).or_default();
                (known.ring, known.received, known.queued) = (Some((frame, port)), None, None);
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
            Record::Received { domain, until, partial } => {
                rings.entry(domain).or_default().received = Some((until, partial));
            }
            Record::Queued { domain, from, bytes } => {
                rings.entry(domain).or_default().queue(from, &bytes);
            }
            Record::Node { .. } | Record::Removed { .. } => {}
        }
    }
    rings
}
