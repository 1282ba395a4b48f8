//! Which addresses may send requests.

use http::StatusCode;

use super::{Filter, Phase, Verdict};
use crate::exchange::Exchange;
use crate::exchange::fault::PolicyRefusal;
use crate::settings::ClientNetworks;

const DENIED: PolicyRefusal = PolicyRefusal {
    status: StatusCode::FORBIDDEN,
    reason: "client_network",
    public: "Requests from this address are not allowed.",
    retry_after: None,
};

/// Refuses requests by the address of the client with 403.
#[derive(Debug)]
pub struct Addresses(pub ClientNetworks);

impl Filter for Addresses {
    fn name(&self) -> &'static str {
        "clients"
    }

    fn phase(&self) -> Phase {
        Phase::Entry
    }

    fn request(&self, exchange: &mut Exchange<'_>) -> Verdict {
        if may(&self.0, &exchange.client) { Verdict::Continue } else { Verdict::Refuse(Box::new(DENIED)) }
    }
}

/// Whether a client with this address may send requests. A client without an address may not.
fn may(networks: &ClientNetworks, client: &str) -> bool {
    let Ok(address) = client.parse() else { return false };
    let is_in = |list: &[crate::settings::network::Network]| list.iter().any(|one| one.contains(address));
    !is_in(&networks.deny) && (networks.allow.is_empty() || is_in(&networks.allow))
}

#[cfg(test)]
mod tests {
    use super::may;
    use crate::settings::ClientNetworks;
    use crate::settings::network::Network;

    #[test]
    fn deny_goes_before_allow() {
        let networks = |list: &[&str]| {
            list.iter().map(|text| Network::parse(text).expect("a network")).collect::<Vec<_>>()
        };
        let table: [(&[&str], &[&str], &str, bool); 10] = [
            (&[], &["10.0.0.0/8"], "10.1.1.1", false),
            (&[], &["10.0.0.0/8"], "11.1.1.1", true),
            (&["10.0.0.0/8"], &[], "10.1.1.1", true),
            (&["10.0.0.0/8"], &[], "11.1.1.1", false),
            (&["10.0.0.0/8"], &["10.1.0.0/16"], "10.1.1.1", false),
            (&["10.0.0.0/8"], &["10.1.0.0/16"], "10.2.1.1", true),
            (&[], &["2001:db8::/32"], "2001:db8::1", false),
            (&[], &["10.0.0.0/8"], "::ffff:10.0.0.1", false),
            (&["::/0"], &[], "2001:db8::1", true),
            (&[], &["10.0.0.0/8"], "unknown", false),
        ];
        for (allow, deny, client, expected) in table {
            let rules = ClientNetworks { allow: networks(allow), deny: networks(deny) };
            assert_eq!(may(&rules, client), expected, "{allow:?} {deny:?} {client}");
        }
    }
}
