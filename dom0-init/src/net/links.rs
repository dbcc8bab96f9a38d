//! Links, addresses and routes, through netlink.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context, anyhow};
use futures_util::stream::{Stream, StreamExt, TryStreamExt};
use rtnetlink::packet_route::address::AddressAttribute;
use rtnetlink::packet_route::link::LinkAttribute;
use rtnetlink::packet_route::route::{RouteProtocol, RouteScope};
use rtnetlink::{
    Handle, LinkBridge, LinkMessageBuilder, LinkUnspec, MulticastGroup, RouteMessageBuilder,
};

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

    /// Connects.
    ///
    /// # Errors
    /// When the kernel gives no netlink socket.
    pub fn connect() -> anyhow::Result<Self> {
        let (connection, handle, _messages) =
            rtnetlink::new_connection().context("can't open a netlink socket")?;
        tokio::spawn(connection);
        Ok(Self { handle })
    }

    /// Sets an interface up.
    ///
    /// # Errors
    /// When there is no such interface or its driver refuses.
    pub async fn bring_up(&self, name: &str) -> anyhow::Result<()> {
        self.change(name, LinkMessageBuilder::up).await
    }

    /// Makes a bridge without ports, and sets it up. Its alias tells whose it is.
    ///
    /// # Errors
    /// When there is such an interface, or the kernel has no bridges.
    pub async fn add_bridge(&self, name: &str, alias: &str) -> anyhow::Result<()> {
        let alias = LinkAttribute::IfAlias(alias.to_owned());
        let bridge = LinkBridge::new(name).append_extra_attribute(alias).build();
        self.handle.link().add(bridge).execute().await?;
        Ok(())
    }

    /// Removes an interface.
    ///
    /// # Errors
    /// When there is none, or it is one that can't be removed.
    pub async fn remove(&self, name: &str) -> anyhow::Result<()> {
        let index = self.index(name).await?;
        self.handle.link().del(index).execute().await?;
        Ok(())
    }

    /// Makes an interface a port of a bridge, or of none.
    ///
    /// # Errors
    /// When one of them isn't there, or the kernel refuses.
    pub async fn set_bridge(&self, name: &str, bridge: Option<&str>) -> anyhow::Result<()> {
        let bridge = match bridge {
            Some(bridge) => self.index(bridge).await?,
            None => 0,
        };
        self.change(name, |link| link.controller(bridge)).await
    }

    /// Gives an interface another hardware address.
    ///
    /// # Errors
    /// When there is no such interface or its driver refuses.
    pub async fn set_hardware_address(&self, name: &str, address: [u8; 6]) -> anyhow::Result<()> {
        self.change(name, |link| link.address(address.to_vec())).await
    }

    /// Gives an interface that is down another name.
    ///
    /// # Errors
    /// When there is no such interface, or one of that name.
    pub async fn rename(&self, name: &str, new: &str) -> anyhow::Result<()> {
        self.change(name, |link| link.name(new.to_owned())).await
    }

    async fn change(
        &self,
        name: &str,
        with: impl FnOnce(LinkMessageBuilder<LinkUnspec>) -> LinkMessageBuilder<LinkUnspec>,
    ) -> anyhow::Result<()> {
        let index = self.index(name).await?;
        let message = with(LinkUnspec::new_with_index(index)).build();
        self.handle.link().set(message).execute().await?;
        Ok(())
    }

    /// Gives an interface the lease's address and default route, and takes other IPv4 addresses
    /// from it.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn configure(&self, name: &str, lease: &Lease) -> anyhow::Result<()> {
        self.set_address(name, lease.address, lease.prefix).await?;
        if let Some(&router) = lease.routers.first() {
            self.set_default_route(self.index(name).await?, lease, router)
                .await
                .with_context(|| format!("can't set the default route to {router}"))?;
        }
        Ok(())
    }

    /// Makes this the only IPv4 address of an interface.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn set_address(
        &self,
        name: &str,
        address: Ipv4Addr,
        prefix: u8,
    ) -> anyhow::Result<()> {
        let index = self.index(name).await?;
        self.remove_addresses(index, Some((address, prefix))).await?;
        self.handle
            .address()
            .add(index, address.into(), prefix)
            .replace()
            .execute()
            .await
            .with_context(|| format!("can't set address {address}/{prefix}"))
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

    /// Leads packets for an address to an interface.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn add_host_route(&self, name: &str, address: Ipv4Addr) -> anyhow::Result<()> {
        let route = RouteMessageBuilder::<Ipv4Addr>::new()
            .destination_prefix(address, 32)
            .output_interface(self.index(name).await?)
            .scope(RouteScope::Link)
            .build();
        self.handle.route().add(route).replace().execute().await?;
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

    async fn remove_addresses(
        &self,
        index: u32,
        keep: Option<(Ipv4Addr, u8)>,
    ) -> anyhow::Result<()> {
        let mut addresses = self.handle.address().get().set_link_index_filter(index).execute();
        while let Some(message) = addresses.try_next().await? {
            let local = message.attributes.iter().find_map(|attribute| match attribute {
                AddressAttribute::Local(IpAddr::V4(address)) => Some(*address),
                _ => None,
            });
            let Some(local) = local else { continue };
            if keep != Some((local, message.header.prefix_len)) {
                self.handle.address().del(message).execute().await?;
            }
        }
        Ok(())
    }

    /// An interface's number.
    ///
    /// # Errors
    /// When there is no such interface.
    pub async fn index(&self, name: &str) -> anyhow::Result<u32> {
        let link = self.handle.link().get().match_name(name.to_owned()).execute().try_next().await;
        let link = link?.ok_or_else(|| anyhow!("there is no interface {name}"))?;
        Ok(link.header.index)
    }
}
