//! Who may connect to the PostgreSQL protocol, and in what: what the operator says of it.

use std::net::SocketAddr;
use std::sync::Arc;

use aion_security::{ChannelBinding, Peer, Place, Transport};

use crate::tls::Tls;

/// See the module's header. By default there is no TLS, and who is elsewhere is not let in.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// What a connection is encrypted with whose client asks for it; None where that is refused.
    pub tls: Option<Arc<Tls>>,
    /// Whoever can reach the server is taken for somebody on this machine: roles without a password need none, and nobody needs TLS.
    pub trusts_network: bool,
}

/// A connection, as a login sees it.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Where it came in.
    pub(crate) address: Option<SocketAddr>,
    /// Who is at the other end.
    pub(crate) peer: Peer,
    /// What a password's proof is bound to.
    pub(crate) binding: ChannelBinding,
}

impl Access {
    /// A connection from `from`, which is None where that cannot be told, to `address`.
    pub(crate) fn entry(&self, from: Option<SocketAddr>, address: Option<SocketAddr>, is_encrypted: bool) -> Entry {
        let place = match from {
            _ if self.trusts_network => Place::ThisMachine,
            Some(from) => Place::of(from.ip()),
            None => Place::Elsewhere,
        };
        let (transport, binding) = match (&self.tls, is_encrypted) {
            (Some(tls), true) => (Transport::Tls, tls.binding().clone()),
            _ => (Transport::Plain, ChannelBinding::None),
        };
        Entry {
            address,
            peer: Peer { place, transport },
            binding,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_elsewhere_unless_it_is_known_not_to_be() {
        let place = |access: &Access, from: &str| access.entry(from.parse().ok(), None, false).peer.place;
        let access = Access::default();
        assert_eq!(place(&access, "127.0.0.1:4711"), Place::ThisMachine);
        assert_eq!(place(&access, "[::ffff:127.0.0.1]:4711"), Place::ThisMachine);
        assert_eq!(place(&access, "192.168.1.2:4711"), Place::Elsewhere);
        assert_eq!(place(&access, "nobody knows"), Place::Elsewhere);
        let access = Access {
            trusts_network: true,
            ..access
        };
        assert_eq!(place(&access, "192.168.1.2:4711"), Place::ThisMachine);
        let entry = access.entry(None, None, true);
        assert_eq!(entry.peer.transport, Transport::Plain, "nothing can encrypt");
    }
}
