//! What can go wrong on a connection.

use std::time::Duration;

/// The faults in force. The default is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Every connection ends so, open ones at once and new ones as soon as they are accepted.
    pub down: Option<Ending>,
    pub to_server: Flow,
    pub to_client: Flow,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// In order (FIN), with whatever was passed on.
    Cut,
    /// By RST: what is still under way is thrown away. A Unix socket knows only [`Ending::Cut`].
    Reset,
}

/// One direction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Each piece waits so long before it is passed on.
    pub latency: Duration,
    /// The most bytes a second.
    pub bytes_per_second: Option<u32>,
    /// One byte at a time, so far apart.
    pub drip: Option<Duration>,
    pub fault: Option<Fault>,
}

/// What happens to the bytes of one direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// They vanish, and the connection stays open.
    BlackHole,
    /// The connection ends after so many bytes, counted from its beginning.
    Truncate { after: u64, ending: Ending },
    /// For the direction to the client: the first answer to a request that holds this piece (empty: any request) is
    /// thrown away, and the connection ends. The request has arrived, and was answered.
    DropReply { to: Vec<u8> },
}

impl Rules {
    /// Every connection ends so.
    pub fn down(ending: Ending) -> Self {
        Self { down: Some(ending), ..Self::default() }
    }

    /// Accepts, and never passes anything on.
    pub fn hang() -> Self {
        Self::both(&Flow { fault: Some(Fault::BlackHole), ..Flow::default() })
    }

    /// The answer to the next request that holds this piece is lost.
    pub fn drop_reply(to: &[u8]) -> Self {
        let fault = Some(Fault::DropReply { to: to.to_vec() });
        Self { to_client: Flow { fault, ..Flow::default() }, ..Self::default() }
    }

    /// Each direction takes so much longer.
    pub fn slow(latency: Duration) -> Self {
        Self::both(&Flow { latency, ..Flow::default() })
    }

    /// The same for both directions.
    pub fn both(flow: &Flow) -> Self {
        Self { down: None, to_server: flow.clone(), to_client: flow.clone() }
    }
}
