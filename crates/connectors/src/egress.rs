//! Which addresses a connector may connect to.
//!
//! A pure policy over resolved addresses. Connectors resolve a name once, ask here about each address, and connect to
//! an address that was allowed, never to the name again: a name that changes its mind between check and connect
//! (rebinding) gains nothing. IPv4 addresses inside IPv6 ones are judged as what they reach.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The process's rule. Link-local, metadata, multicast, broadcast and unspecified addresses are always denied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Targets on this machine.
    pub allow_loopback: bool,
    /// Targets in private networks (RFC 1918, RFC 4193, RFC 6598): where most directories live.
    pub allow_private: bool,
}

/// Why an address is denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    Unspecified,
    /// 169.254.0.0/16 and `fe80::/10`: cloud metadata lives there.
    LinkLocal,
    /// Metadata services outside link-local: AWS over IPv6, Alibaba, Oracle.
    Metadata,
    Multicast,
    Broadcast,
    Loopback,
    Private,
}

const ALIBABA_METADATA: Ipv4Addr = Ipv4Addr::new(100, 100, 100, 200);
const ORACLE_METADATA: Ipv4Addr = Ipv4Addr::new(192, 0, 0, 192);
const AWS_METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

impl Default for Policy {
    fn default() -> Self {
        Self { allow_loopback: true, allow_private: true }
    }
}

impl Policy {
    /// Whether an address may be connected to.
    pub fn check(&self, address: IpAddr) -> Result<(), Denial> {
        match unwrapped(address) {
            IpAddr::V4(address) => self.check_v4(address),
            IpAddr::V6(address) => self.check_v6(address),
        }
    }

    fn check_v4(&self, address: Ipv4Addr) -> Result<(), Denial> {
        match address {
            // 0.0.0.0/8 reaches this host on some systems.
            _ if address.octets()[0] == 0 => Err(Denial::Unspecified),
            _ if address.is_link_local() => Err(Denial::LinkLocal),
            ALIBABA_METADATA | ORACLE_METADATA => Err(Denial::Metadata),
            _ if address.is_multicast() => Err(Denial::Multicast),
            _ if address.is_broadcast() => Err(Denial::Broadcast),
            _ if address.is_loopback() && !self.allow_loopback => Err(Denial::Loopback),
            _ if is_private_v4(address) && !self.allow_private => Err(Denial::Private),
            _ => Ok(()),
        }
    }

    fn check_v6(&self, address: Ipv6Addr) -> Result<(), Denial> {
        match address {
            Ipv6Addr::UNSPECIFIED => Err(Denial::Unspecified),
            _ if address.is_unicast_link_local() => Err(Denial::LinkLocal),
            AWS_METADATA => Err(Denial::Metadata),
            _ if address.is_multicast() => Err(Denial::Multicast),
            Ipv6Addr::LOCALHOST if !self.allow_loopback => Err(Denial::Loopback),
            _ if address.is_unique_local() && !self.allow_private => Err(Denial::Private),
            _ => Ok(()),
        }
    }
}

impl Denial {
    /// For the message of the refusal.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified address",
            Self::LinkLocal => "link-local address",
            Self::Metadata => "metadata service",
            Self::Multicast => "multicast address",
            Self::Broadcast => "broadcast address",
            Self::Loopback => "loopback address",
            Self::Private => "private address",
        }
    }
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    address.is_private() || (first == 100 && (64..128).contains(&second))
}

/// The IPv4 address that an IPv6 one stands for: mapped (`::ffff:0:0/96`), compatible (`::/96`), NAT64
/// (`64:ff9b::/96`), 6to4 (`2002::/16`).
fn unwrapped(address: IpAddr) -> IpAddr {
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
    fn loopback_and_private_networks_are_allowed_until_the_process_denies_them() {
        let strict = Policy { allow_loopback: false, allow_private: false };
        for (address, denial) in [
            ("127.0.0.1", Denial::Loopback),
            ("::1", Denial::Loopback),
            ("::ffff:127.0.0.1", Denial::Loopback),
            ("10.1.2.3", Denial::Private),
            ("172.16.0.1", Denial::Private),
            ("192.168.1.1", Denial::Private),
            ("100.64.0.1", Denial::Private),
            ("fd12::1", Denial::Private),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(Policy::default().check(address), Ok(()), "{address}");
            assert_eq!(strict.check(address), Err(denial), "{address}");
        }
    }

    #[test]
    fn public_addresses_are_allowed() {
        let strict = Policy { allow_loopback: false, allow_private: false };
        for address in ["192.0.2.1", "2001:db8::1", "8.8.8.8"] {
            assert_eq!(strict.check(address.parse().unwrap()), Ok(()), "{address}");
        }
    }
}
