//! What moves the messages of a connection: nothing is sent or received unless it is driven.
//!
//! A whole read drives its own connection. Its entries are taken apart, and their memory is given back, by the thread that
//! received them; and while the reader waits for whoever it reads for, nothing is received, so that the server waits, too.

use std::{panic::AssertUnwindSafe, pin::pin};

use futures::{FutureExt, future::BoxFuture};
use ldap3::LdapConnAsync;

/// Ends with its connection.
pub(super) struct Driver(Option<BoxFuture<'static, ()>>);

impl Driver {
    /// ldap3 panics on answers that are not LDAP: one more way for a connection to break.
    pub fn of(connection: LdapConnAsync) -> Self {
        let driven = AssertUnwindSafe(connection.drive()).catch_unwind();
        let driven = driven.map(|ended| match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "an LDAP connection ended"),
            Err(_) => tracing::debug!("an LDAP connection ended with an answer that is not LDAP"),
        });
        Self(Some(driven.boxed()))
    }

    pub async fn run(self) {
        if let Some(driven) = self.0 {
            driven.await;
        }
    }

    /// Does the work, and drives the connection while it waits. Work that needs a connection which has ended is told so.
    pub async fn beside<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        if let Some(driven) = &mut self.0 {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = driven => {}
            }
            // What waits for an answer learns that there will be none when the connection is gone.
            self.0 = None;
        }
        work.await
    }
}
