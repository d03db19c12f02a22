//! A platform's API answers about one webinar.

use sha2::{Digest as _, Sha256};

use super::Source;
use super::receipt::{IntakeReceipt, ReceiptParts, build};
use crate::event::{Millis, ReceiptId};
use crate::ledger::{DuplicateRule, ReceiptKind};
use crate::providers::{FetchedAnswers, read_answers};

impl Source {
    /// Reads answers as they are stored. The time of the answers is part of the dedupe key: the same answer may become
    /// true again.
    #[must_use]
    pub fn receive_answers(
        &self,
        answers: &FetchedAnswers<'_>,
        received_at: Millis,
        id: ReceiptId,
    ) -> IntakeReceipt {
        let body = self.provider.scrub(&answers.to_json());
        let (mut payload, has_foreign_accounts) =
            self.restrict(read_answers(self.provider.as_ref(), &body));
        // An answer asks for no further answers about itself.
        payload.fetch_requests.clear();
        let digest: [u8; 32] =
            Sha256::new().chain_update(b"fetched ").chain_update(&body).finalize().into();
        let parts = ReceiptParts {
            id,
            kind: ReceiptKind::Fetched,
            received_at,
            digest,
            dedupe_key: digest,
            duplicates: DuplicateRule::Delivery,
            headers: Vec::new(),
            body,
        };
        build(self, parts, (payload, has_foreign_accounts))
    }
}
