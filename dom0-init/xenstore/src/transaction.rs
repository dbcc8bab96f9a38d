//! Transactions: a snapshot to work on, and the end in which it becomes the common tree, if all
//! that its answers depended on is still so there.

use crate::error::{Error, Result};
use crate::permission::Actor;
use crate::quota::Quota;
use crate::tree::{Clock, Tree};
use crate::view::{Change, Order, Reads, View};

/// An open transaction.
#[derive(Debug)]
pub struct Transaction {
    base: Tree,
    working: Tree,
    reads: Reads,
    orders: Vec<Asked>,
    changes: Vec<Change>,
    /// It can't end well: its snapshot was lost with an earlier store.
    lost: bool,
}

/// An order, and its answer: which may hang on how much its sender owns anywhere.
#[derive(Debug)]
enum Asked {
    Done(Order),
    OverQuota(Order),
}

impl Transaction {
    /// Starts one on what is in the tree now.
    pub fn new(tree: &Tree) -> Self {
        Self {
            base: tree.clone(),
            working: tree.clone(),
            reads: Reads::default(),
            orders: Vec::new(),
            changes: Vec::new(),
            lost: false,
        }
    }

    /// One that an earlier store began: it goes on, but only to be told to begin again.
    pub fn lost(tree: &Tree) -> Self {
        Self { lost: true, ..Self::new(tree) }
    }

    /// What it sees.
    pub fn view<'a>(&'a mut self, clock: &'a mut Clock, who: Actor, quota: &'a Quota) -> View<'a> {
        View { tree: &mut self.working, clock, who, quota, reads: Some(&mut self.reads) }
    }

    /// Makes a change in it.
    ///
    /// # Errors
    /// As for [`View::change`]; [`Error::NoSpace`] if it has too many.
    pub fn change(
        &mut self,
        order: Order,
        clock: &mut Clock,
        who: Actor,
        quota: &Quota,
    ) -> Result<()> {
        if !who.is_privileged() && self.orders.len() >= quota.changes {
            return Err(Error::NoSpace);
        }
        match self.view(clock, who, quota).change(&order) {
            Ok(Some(change)) => {
                self.changes.push(change);
                self.orders.push(Asked::Done(order));
            }
            Ok(None) => {}
            Err(error) => {
                if is_over_quota(error) {
                    self.orders.push(Asked::OverQuota(order));
                }
                return Err(error);
            }
        }
        Ok(())
    }

    /// Ends it well: the tree with its changes, and what they were.
    ///
    /// # Errors
    /// [`Error::Conflict`] if others changed what it relied on, [`Error::NoSpace`] if they left
    /// too little of its sender's quota; nothing is changed then.
    pub fn commit(
        self,
        current: &Tree,
        clock: &mut Clock,
        who: Actor,
        quota: &Quota,
    ) -> Result<(Tree, Vec<Change>)> {
        if self.lost {
            return Err(Error::Conflict);
        }
        if current.version() == self.base.version() {
            return Ok((self.working, self.changes));
        }
        if !self.reads.same(&self.base, current) {
            return Err(Error::Conflict);
        }
        let mut tree = current.clone();
        let mut view = View { tree: &mut tree, clock, who, quota, reads: None };
        let mut changes = Vec::new();
        for asked in &self.orders {
            match asked {
                Asked::Done(order) => changes.extend(view.change(order)?),
                Asked::OverQuota(order) if view.change(order).is_err_and(is_over_quota) => {}
                Asked::OverQuota(_) => return Err(Error::Conflict),
            }
        }
        Ok((tree, changes))
    }
}

fn is_over_quota(error: Error) -> bool {
    error == Error::NoSpace
}
