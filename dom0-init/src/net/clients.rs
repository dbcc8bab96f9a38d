//! The DHCP clients: one for each interface that the plan has one on.

use std::collections::HashMap;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::links::Links;
use super::plan::Asked;
use super::{client, resolver, status};

struct Client {
    task: JoinHandle<()>,
    carrier: watch::Sender<bool>,
}

/// The clients that run, by interface.
pub struct Clients {
    links: Links,
    running: HashMap<String, Client>,
}

impl Clients {
    /// None yet.
    pub fn new(links: Links) -> Self {
        Self { links, running: HashMap::new() }
    }

    /// Ends the clients of interfaces that aren't wanted or are gone.
    pub fn end_others(&mut self, wanted: &[Asked]) {
        let before = self.running.len();
        self.running.retain(|name, client| {
            let is_wanted = wanted.iter().any(|asked| asked.interface == *name);
            let keep = is_wanted && !client.task.is_finished();
            if !keep {
                client.task.abort();
                status::forget(name);
            }
            keep
        });
        if self.running.len() < before {
            resolver::update();
        }
    }

    /// Starts the clients that are missing, and passes changes of the carrier on.
    pub async fn follow(&mut self, wanted: &[Asked]) {
        for Asked { interface, carrier } in wanted {
            match self.running.get(interface) {
                Some(client) => {
                    client
                        .carrier
                        .send_if_modified(|old| std::mem::replace(old, *carrier) != *carrier);
                }
                None => self.start(interface, *carrier).await,
            }
        }
    }

    async fn start(&mut self, name: &str, carrier: bool) {
        if let Err(error) = self.links.bring_up(name).await {
            log::error!("{name}: can't bring it up: {error:#}");
            return;
        }
        let (sender, receiver) = watch::channel(carrier);
        let client = client::run(self.links.clone(), name.to_owned(), receiver);
        self.running
            .insert(name.to_owned(), Client { task: tokio::spawn(client), carrier: sender });
    }
}
