//! Whose account the credentials open.
//!
//! HubSpot keys events by app within a portal: sent to another, each would be there a second time. So HubSpot is asked
//! before the first batch, and again whenever the credentials have changed.

use crate::hubspot::{AccountTrouble, Fingerprint, TroubleKind};
use crate::ledger::{Identity, Standing};

/// What HubSpot was last asked with, and what came of it. Not kept: after a start it is asked again.
#[derive(Debug, Default)]
pub struct Asked(Option<(Fingerprint, Answer)>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Awaited,
    Ours,
    Another,
    Failed,
}

/// Whose the present credentials are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// Of the account that events go to.
    Ours,
    /// Of another: nothing is sent.
    Another,
    /// HubSpot is being asked.
    Awaited,
    /// HubSpot is to be asked.
    Unknown {
        /// The credentials are not those it was asked with before.
        fresh: bool,
    },
}

/// What HubSpot says of the credentials.
#[derive(Debug, PartialEq, Eq)]
pub enum Told {
    /// That they open this account.
    Account(Identity),
    /// Nothing, and it will not: they may not ask, or nobody there can be asked. Events are delivered all the same.
    Nothing,
    /// Nothing now: the account is in trouble.
    Trouble(AccountTrouble),
}

/// What that means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// Events go there; remember it, if HubSpot told whose it is.
    Ours(Option<Identity>),
    /// It is another than the one remembered.
    Another {
        /// The account so far.
        remembered: Identity,
        /// The account now.
        seen: Identity,
    },
}

impl Asked {
    /// Whose these credentials are, as far as HubSpot was asked.
    #[must_use]
    pub fn whose(&self, present: Fingerprint, standing: &Standing) -> Whose {
        let Some((asked, answer)) = self.0 else { return Whose::Unknown { fresh: true } };
        match answer {
            Answer::Awaited => Whose::Awaited,
            Answer::Ours | Answer::Another | Answer::Failed if asked != present => {
                Whose::Unknown { fresh: true }
            }
            Answer::Ours => Whose::Ours,
            Answer::Another if standing.stranger.is_some() => Whose::Another,
            // An operator has said that it is the right one; asked again, should it have changed since.
            Answer::Another => Whose::Unknown { fresh: true },
            Answer::Failed => Whose::Unknown { fresh: false },
        }
    }

    /// HubSpot is asked now, with these.
    pub fn begins(&mut self, present: Fingerprint) {
        self.0 = Some((present, Answer::Awaited));
    }

    /// What came of it; none if there was no answer.
    pub fn ends(&mut self, finding: Option<&Finding>) {
        if let Some((_, answer)) = &mut self.0 {
            *answer = match finding {
                Some(Finding::Ours(_)) => Answer::Ours,
                Some(Finding::Another { .. }) => Answer::Another,
                None => Answer::Failed,
            };
        }
    }
}

impl Told {
    /// Reads what HubSpot said. A refusal to tell is told from a failure to: 401 and the like are the account's trouble
    /// for a batch as well, but not to be allowed to ask (403), or to ask what is not there, says nothing about batches.
    #[must_use]
    pub fn of(outcome: Result<u64, AccountTrouble>, client_id: Option<&str>) -> Self {
        let trouble = match outcome {
            Ok(portal_id) => {
                return Self::Account(Identity {
                    portal_id,
                    client_id: client_id.map(str::to_owned),
                });
            }
            Err(trouble) => trouble,
        };
        let silent = match trouble.kind {
            TroubleKind::Forbidden | TroubleKind::NotFound => true,
            // An answer of success that tells no portal, and refusals of other kinds.
            TroubleKind::Overloaded => {
                matches!(trouble.status, Some(200..=299 | 400..=407 | 409..=499 | 501))
            }
            TroubleKind::Unauthorized
            | TroubleKind::RateLimited { .. }
            | TroubleKind::Locked
            | TroubleKind::Migrating
            | TroubleKind::Redirected
            | TroubleKind::Transport { .. } => false,
        };
        if silent { Self::Nothing } else { Self::Trouble(trouble) }
    }
}

/// Compares what HubSpot says with what is remembered.
///
/// A token tells nothing of its app, so two tokens of one portal
/// count as one app's, as when a token is rotated; another kind of credential is very likely another app's.
#[must_use]
pub fn compare(remembered: Option<&Identity>, seen: Option<Identity>) -> Finding {
    match (remembered, seen) {
        (Some(remembered), Some(seen)) if *remembered != seen => {
            Finding::Another { remembered: remembered.clone(), seen }
        }
        (_, seen) => Finding::Ours(seen),
    }
}
