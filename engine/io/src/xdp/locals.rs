//! The addresses of this host, kept in the programs' table.

use std::collections::HashSet;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use super::program::Tables;
use crate::netlink::Netlink;

/// See the module.
#[derive(Debug)]
pub(super) struct Locals {
    tables: Arc<Tables>,
    known: HashSet<IpAddr>,
}

impl Locals {
    pub(super) fn new(tables: Arc<Tables>) -> Self {
        Self {
            tables,
            known: HashSet::new(),
        }
    }

    /// Brings the table up to date.
    pub(super) fn refresh(&mut self, netlink: &mut Netlink) -> io::Result<()> {
        let addresses = netlink.addresses()?;
        let now: HashSet<IpAddr> = addresses.into_iter().map(|(_, ip)| ip).collect();
        for gone in self.known.difference(&now) {
            self.tables.remove_address(*gone)?;
        }
        for new in now.difference(&self.known) {
            self.tables.add_address(*new)?;
        }
        self.known = now;
        Ok(())
    }
}
