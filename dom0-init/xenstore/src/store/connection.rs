//! One connection: whose it is, its transactions, what waits to be sent.

use std::collections::HashMap;

use crate::error::{Error, Result};
use crate::outbox::Outbox;
use crate::permission::Actor;
use crate::quota::Quota;
use crate::transaction::Transaction;
use crate::tree::Tree;

/// A connection.
#[derive(Debug)]
pub struct Connection {
    /// On whose behalf its requests are done.
    pub actor: Actor,
    /// What waits to be sent.
    pub outbox: Outbox,
    /// How many watches it has.
    pub watches: usize,
    transactions: HashMap<u32, Transaction>,
    last_transaction: u32,
}

impl Connection {
    /// A new one.
    pub fn new(actor: Actor) -> Self {
        Self {
            actor,
            outbox: Outbox::default(),
            watches: 0,
            transactions: HashMap::new(),
            last_transaction: 0,
        }
    }

    /// Begins a transaction.
    ///
    /// # Errors
    /// [`Error::NoSpace`] if it has too many.
    pub fn begin(&mut self, tree: &Tree, quota: &Quota) -> Result<u32> {
        if !self.actor.is_privileged() && self.transactions.len() >= quota.transactions {
            return Err(Error::NoSpace);
        }
        loop {
            // Zero is no transaction.
            self.last_transaction = self.last_transaction.wrapping_add(1).max(1);
            if !self.transactions.contains_key(&self.last_transaction) {
                break;
            }
        }
        self.transactions.insert(self.last_transaction, Transaction::new(tree));
        Ok(self.last_transaction)
    }

    /// Goes on with a transaction of an earlier store, whose snapshot is lost.
    pub fn begin_lost(&mut self, id: u32, tree: &Tree) {
        self.last_transaction = self.last_transaction.max(id);
        self.transactions.insert(id, Transaction::lost(tree));
    }

    /// The numbers of its open transactions.
    pub fn open_transactions(&self) -> impl Iterator<Item = u32> {
        self.transactions.keys().copied()
    }

    /// An open transaction.
    ///
    /// # Errors
    /// [`Error::Missing`].
    pub fn transaction(&mut self, id: u32) -> Result<&mut Transaction> {
        self.transactions.get_mut(&id).ok_or(Error::Missing)
    }

    /// Takes a transaction out, to end it.
    ///
    /// # Errors
    /// [`Error::Missing`].
    pub fn end(&mut self, id: u32) -> Result<Transaction> {
        self.transactions.remove(&id).ok_or(Error::Missing)
    }

    /// Forgets all transactions.
    pub fn forget_transactions(&mut self) {
        self.transactions.clear();
    }
}
