//! Links, addresses and routes, through netlink.

use std::net::Ipv4Addr;

use anyhow::{Context, anyhow};
use futures_util::stream::{Stream, StreamExt, TryStreamExt};
use rtnetlink::packet_route::address::AddressAttribute;
use rtnetlink::packet_route::route::{RouteProtocol, RouteScope};
use rtnetlink::{Handle, LinkUnspec, MulticastGroup, RouteMessageBuilder};

use super::dhcp::Lease;

/// Routes of interfaces that came first win; the kernel prefers the smallest metric.
const FIRST_METRIC: u32 = 100;

/// A connection to the kernel's routing.
#[derive(Clone)]
pub struct Links {
    handle: Handle,
}

/// The kernel's news of links.
pub struct Changes {
    messages: Box<dyn Stream<Item = ()> + Unpin>,
}

impl Changes {
    /// Waits for the next change; false when there will be none any more.
    pub async fn next(&mut self) -> bool {
        self.messages.next().await.is_some()
    }
}

impl Links {
    /// Connects, and subscribes to changes of links.
    ///
    /// # Errors
    /// When the kernel gives no netlink socket.
    pub fn open() -> anyhow::Result<(Self, Changes)> {
        let (connection, handle, messages) =
            rtnetlink::new_multicast_connection(&[MulticastGroup::Link])
                .context("can't open a netlink socket")?;
        tokio::spawn(connection);
        let messages = Box::new(messages.map(|_message| ()));
        Ok((Self { handle }, Changes { messages }))
    }

    /// Sets an interface up.
    ///
    /// # Errors
    /// When there is no such interface or its driver refuses.
    pub async fn bring_up(&self, name: &str) -> anyhow::Result<()> {
        let index = self.index(name).await?;
        let up = LinkUnspec::new_with_index(index).up().build();
        self.handle.link().set(up).execute().await?;
        Ok(())
    }

    /// Gives an interface the lease's address and default route, and takes other IPv4 addresses
    /// from it.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn configure(&self, name: &str, lease: &Lease) -> anyhow::Result<()> {
        let index = self.index(name).await?;
        self.remove_addresses(index, Some(lease)).await?;
        self.handle
            .address()
            .add(index, lease.address.into(), lease.prefix)
            .replace()
            .execute()
            .await
            .with_context(|| format!("can't set address {}/{}", lease.address, lease.prefix))?;
        if let Some(&router) = lease.routers.first() {
            self.set_default_route(index, lease, router)
                .await
                .with_context(|| format!("can't set the default route to {router}"))?;
        }
        Ok(())
    }

    async fn set_default_route(
        &self,
        index: u32,
        lease: &Lease,
        router: Ipv4Addr,
    ) -> anyhow::Result<()> {
        let mut route = RouteMessageBuilder::<Ipv4Addr>::new()
            .gateway(router)
            .output_interface(index)
            .pref_source(lease.address)
            .protocol(RouteProtocol::Dhcp)
            .scope(RouteScope::Universe)
            .priority(FIRST_METRIC.saturating_add(index));
        if !lease.contains(router) {
            route = route.onlink();
        }
        self.handle.route().add(route.build()).replace().execute().await?;
        Ok(())
    }

    /// Takes the IPv4 addresses, and the routes with them, from an interface.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn clear(&self, name: &str) -> anyhow::Result<()> {
        let index = self.index(name).await?;
        self.remove_addresses(index, None).await
    }

    async fn remove_addresses(&self, index: u32, keep: Option<&Lease>) -> anyhow::Result<()> {
        let mut addresses = self.handle.address().get().set_link_index_filter(index).execute();
        while let Some(message) = addresses.try_next().await? {
            let local = message.attributes.iter().find_map(|attribute| match attribute {
                AddressAttribute::Local(std::net::IpAddr::V4(address)) => Some(*address),
                _ => None,
            });
            let Some(local) = local else { continue };
            let kept = keep.is_some_and(|lease| {
                lease.address == local && lease.prefix == message.header.prefix_len
            });
            if !kept {
                self.handle.address().del(message).execute().await?;
            }
        }
        Ok(())
    }

    async fn index(&self, name: &str) -> anyhow::Result<u32> {
        let link = self.handle.link().get().match_name(name.to_owned()).execute().try_next().await;
        let link = link?.ok_or_else(|| anyhow!("there is no interface {name}"))?;
        Ok(link.header.index)
    }
}
