//! Which addresses a connector may connect to.
//!
//! A pure policy over resolved addresses. Connectors resolve a name once, ask here about each address, and connect to
//! an address that was allowed, never to the name again: a name that changes its mind between check and connect
//! (rebinding) gains nothing. IPv4 addresses inside IPv6 ones are judged as what they reach.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// The process's rule: `allow` wins over `deny`, and both over what is built in: link-local, metadata, multicast,
/// broadcast and unspecified addresses are denied, all others allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    pub allow: Vec<Network>,
    pub deny: Vec<Network>,
}

/// A network in CIDR notation, `10.0.0.0/8`; an address alone is a network of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// Why an address is denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// The process's own list.
    Listed,
    Unspecified,
    /// 169.254.0.0/16 and `fe80::/10`: cloud metadata lives there.
    LinkLocal,
    /// Metadata services outside link-local: AWS over IPv6, Alibaba, Oracle.
    Metadata,
    Multicast,
    Broadcast,
}

const ALIBABA_METADATA: Ipv4Addr = Ipv4Addr::new(100, 100, 100, 200);
const ORACLE_METADATA: Ipv4Addr = Ipv4Addr::new(192, 0, 0, 192);
const AWS_METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

impl Policy {
    /// Whether an address may be connected to.
    pub fn check(&self, address: IpAddr) -> Result<(), Denial> {
        let address = reached(address);
        if self.allow.iter().any(|network| network.contains(address)) {
            return Ok(());
        }
        if self.deny.iter().any(|network| network.contains(address)) {
            return Err(Denial::Listed);
        }
        match address {
            IpAddr::V4(address) => check_v4(address),
            IpAddr::V6(address) => check_v6(address),
        }
    }
}

impl Network {
    pub fn contains(self, address: IpAddr) -> bool {
        let leading = |bits: u128, width: u32| bits.checked_shr(width - u32::from(self.prefix)).unwrap_or(0);
        match (self.address, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                leading(network.to_bits().into(), 32) == leading(address.to_bits().into(), 32)
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                leading(network.to_bits(), 128) == leading(address.to_bits(), 128)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("{text} is no network: expected an address or ADDRESS/PREFIX");
        let (address, prefix) =
            text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().map_err(|_| expected())?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(width), str::parse).map_err(|_| expected())?;
        if prefix > width { Err(expected()) } else { Ok(Self { address, prefix }) }
    }
}

impl Denial {
    /// For the message of the refusal.
    pub fn name(self) -> &'static str {
        match self {
            Self::Listed => "denied network",
            Self::Unspecified => "unspecified address",
            Self::LinkLocal => "link-local address",
            Self::Metadata => "metadata service",
            Self::Multicast => "multicast address",
            Self::Broadcast => "broadcast address",
        }
    }
}

fn check_v4(address: Ipv4Addr) -> Result<(), Denial> {
    match address {
        // 0.0.0.0/8 reaches this host on some systems.
        _ if address.octets()[0] == 0 => Err(Denial::Unspecified),
        _ if address.is_link_local() => Err(Denial::LinkLocal),
        ALIBABA_METADATA | ORACLE_METADATA => Err(Denial::Metadata),
        _ if address.is_multicast() => Err(Denial::Multicast),
        _ if address.is_broadcast() => Err(Denial::Broadcast),
        _ => Ok(()),
    }
}

fn check_v6(address: Ipv6Addr) -> Result<(), Denial> {
    match address {
        Ipv6Addr::UNSPECIFIED => Err(Denial::Unspecified),
        _ if address.is_unicast_link_local() => Err(Denial::LinkLocal),
        AWS_METADATA => Err(Denial::Metadata),
        _ if address.is_multicast() => Err(Denial::Multicast),
        _ => Ok(()),
    }
}

/// The IPv4 address that an IPv6 one stands for: mapped (`::ffff:0:0/96`), compatible (`::/96`), NAT64
/// (`64:ff9b::/96`), 6to4 (`2002::/16`).
fn reached(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let [first, second, third, .., seventh, eighth] = v6.segments();
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match v6.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => address,
        [0, 0, 0, 0, 0, 0 | 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => v4(seventh, eighth),
        _ if first == 0x2002 => v4(second, third),
        _ => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(allow: &[&str], deny: &[&str]) -> Policy {
        let networks = |list: &[&str]| list.iter().map(|text| text.parse().unwrap()).collect();
        Policy { allow: networks(allow), deny: networks(deny) }
    }

    #[test]
    fn metadata_and_addresses_that_are_no_targets_are_denied_in_every_spelling() {
        for (address, denial) in [
            ("169.254.169.254", Denial::LinkLocal),
            ("::ffff:169.254.169.254", Denial::LinkLocal),
            ("::169.254.169.254", Denial::LinkLocal),
            ("64:ff9b::a9fe:a9fe", Denial::LinkLocal),
            ("2002:a9fe:a9fe::1", Denial::LinkLocal),
            ("fe80::1", Denial::LinkLocal),
            ("fd00:ec2::254", Denial::Metadata),
            ("100.100.100.200", Denial::Metadata),
            ("192.0.0.192", Denial::Metadata),
            ("0.0.0.0", Denial::Unspecified),
            ("0.1.2.3", Denial::Unspecified),
            ("::", Denial::Unspecified),
            ("::ffff:0.0.0.0", Denial::Unspecified),
            ("224.0.0.1", Denial::Multicast),
            ("ff02::1", Denial::Multicast),
            ("255.255.255.255", Denial::Broadcast),
        ] {
            assert_eq!(Policy::default().check(address.parse().unwrap()), Err(denial), "{address}");
        }
    }

    #[test]
    fn loopback_private_and_public_addresses_are_allowed() {
        for address in ["127.0.0.1", "::1", "10.1.2.3", "192.168.1.1", "fd12::1", "192.0.2.1", "2001:db8::1"]
        {
            assert_eq!(Policy::default().check(address.parse().unwrap()), Ok(()), "{address}");
        }
    }

    #[test]
    fn a_denied_network_is_denied_in_every_spelling() {
        let policy = policy(&[], &["127.0.0.0/8", "::1", "10.0.0.0/8"]);
        for address in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "10.200.0.1", "64:ff9b::a00:1"] {
            assert_eq!(policy.check(address.parse().unwrap()), Err(Denial::Listed), "{address}");
        }
        assert_eq!(policy.check("11.0.0.1".parse().unwrap()), Ok(()));
    }

    #[test]
    fn denying_everything_but_a_list_leaves_the_list() {
        let policy = policy(&["192.0.2.0/24"], &["0.0.0.0/0", "::/0"]);
        assert_eq!(policy.check("192.0.2.7".parse().unwrap()), Ok(()));
        assert_eq!(policy.check("192.0.3.7".parse().unwrap()), Err(Denial::Listed));
        assert_eq!(policy.check("2001:db8::1".parse().unwrap()), Err(Denial::Listed));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in ["", "10.0.0.0/33", "::/129", "10.0.0.0/", "host/8", "10.0.0.0/-1"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }
}
