//! Bodies that do not come in now: stored receipts, and bodies that an operator tries out.

use super::Source;
use crate::event::Millis;
use crate::ledger::{ReceiptKind, ReceiptSummary};
use crate::providers::{Headers, Inbound, ParsedPayload, read_answers};

impl Source {
    /// Reads a stored receipt again, with today's code and configuration. The receipt was verified when it came in, and
    /// its body was scrubbed.
    #[must_use]
    pub fn reread_receipt(
        &self,
        receipt: &ReceiptSummary,
        headers: &dyn Headers,
        body: &[u8],
    ) -> ParsedPayload {
        let provider = self.provider.as_ref();
        let payload = match receipt.kind {
            ReceiptKind::Webhook => {
                let request = Inbound::from_stored(headers, body, receipt.received_at);
                // Only a handshake is answered with a secret, and handshakes are not stored.
                provider.read(&request.scrub(provider), &[])
            }
            ReceiptKind::Fetched => read_answers(provider, body),
        };
        self.restrict(payload).0
    }

    /// Reads a webhook's body as the platform's code does, for any of the platform's accounts; nothing is stored.
    #[must_use]
    pub fn dry_run(&self, body: &[u8], now: Millis) -> ParsedPayload {
        let headers = Vec::new();
        let request = Inbound::from_stored(&headers, body, now).scrub(self.provider.as_ref());
        // Some handshakes are answered with the secret; any secret shows that the body is one.
        self.provider.read(&request, &[b"any secret"])
    }
}
