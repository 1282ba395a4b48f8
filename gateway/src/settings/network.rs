//! IP networks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::kinds::{Parsed, ParsedBy};
use super::report::{Placed, Report};

/// A network in the settings.
pub const NETWORK: ParsedBy<Network> = Parsed {
    label: "network such as `\"10.0.0.0/8\"` or `\"::1\"`",
    pattern: Some("^[0-9A-Fa-f.:]+(/[0-9]{1,3})?$"),
    read,
};

fn read(text: &Placed<String>, report: &Report<'_>) -> Option<Network> {
    let network = Network::parse(&text.value);
    if network.is_none() {
        let shown = text.value.escape_debug();
        let problem = format!("'{shown}' is not a network; write it such as \"10.0.0.0/8\" or \"::1\"");
        report.add(&text.span, problem);
    }
    network
}

/// An IP network, written as `10.0.0.0/8` or as a single address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: u128,
    mask: u128,
}

impl Network {
    /// Parses a network; `None` if the text is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u32>().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let (width, offset) = match address {
            IpAddr::V4(_) => (32, 96),
            IpAddr::V6(_) => (128, 0),
        };
        let bits = bits.unwrap_or(width);
        if bits > width {
            return None;
        }
        let mask = u128::MAX.checked_shl(128 - bits - offset).unwrap_or(0);
        Some(Self { address: number(address) & mask, mask })
    }

    /// Whether it contains every address of a family.
    pub fn is_everything(&self) -> bool {
        let whole = |first: IpAddr, last: IpAddr| self.contains(first) && self.contains(last);
        whole(Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::BROADCAST.into())
            || whole(Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::from_bits(u128::MAX).into())
    }

    /// Whether it contains the address.
    pub fn contains(&self, address: IpAddr) -> bool {
        number(address) & self.mask == self.address
    }
}

/// IPv4 addresses are converted to IPv4-mapped ones, since a dual-stack socket reports those.
fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// The IPv4 address of an IPv4-mapped one; other addresses are unchanged.
pub fn unmapped(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::Network;

    #[test]
    fn networks() {
        let table = [
            ("10.0.0.0/8", "10.1.2.3", Some(true)),
            ("10.0.0.0/8", "11.1.2.3", Some(false)),
            ("10.0.0.0/8", "::ffff:10.0.0.1", Some(true)),
            ("127.0.0.1", "127.0.0.1", Some(true)),
            ("127.0.0.1", "127.0.0.2", Some(false)),
            ("0.0.0.0/0", "1.2.3.4", Some(true)),
            ("0.0.0.0/0", "2001:db8::1", Some(false)),
            ("::/0", "1.2.3.4", Some(true)),
            ("2001:db8::/32", "2001:db8:1::1", Some(true)),
            ("2001:db8::/32", "2001:db9::1", Some(false)),
            ("10.0.0.0/33", "10.0.0.1", None),
            ("10.0.0/8", "10.0.0.1", None),
            ("x", "10.0.0.1", None),
        ];
        for (network, address, expected) in table {
            let found =
                Network::parse(network).map(|network| network.contains(address.parse().expect("an address")));
            assert_eq!(found, expected, "{network} {address}");
        }
    }
}
