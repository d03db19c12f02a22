//! A platform whose behaviour the test gives. The tests of the library use this file too.

use std::sync::Arc;

use url::Url;
use webinar_bridge::event::ProviderId;
use webinar_bridge::providers::{
    FetchedAnswers, Inbound, Keys, ParsedPayload, Platform, PlatformApi, Provider, RawRequest,
    Scrubbed, SignatureScheme, SignedRequest, UnsignedRequest, VerifyError,
};

/// Behaviour of a stub. A test implements what it needs; any other call fails the test.
pub(crate) trait StubBehavior: Send + Sync + 'static {
    /// Name of the platform.
    const ID: &'static str;

    /// The provider without keys of its own; none by default.
    fn unconfigured() -> Option<Arc<dyn Provider>> {
        None
    }

    fn scrub(body: &[u8]) -> Vec<u8> {
        body.to_vec()
    }

    fn verify(&self, _request: &RawRequest<'_>, _keys: Keys<'_>) -> Result<usize, VerifyError> {
        unreachable!("the test verifies no request")
    }

    fn read(&self, _request: &Inbound<'_, Scrubbed>) -> ParsedPayload {
        unreachable!("the test reads no request")
    }

    fn read_fetched(&self, _fetched: &FetchedAnswers<'_>) -> ParsedPayload {
        unreachable!("the test fetches nothing")
    }

    fn sign(&self, _request: UnsignedRequest<'_>) -> Result<SignedRequest, String> {
        unreachable!("the test signs no request")
    }

    fn published_keys(&self) -> Option<&Url> {
        None
    }

    fn api(&self) -> Option<&dyn PlatformApi> {
        None
    }
}

/// The platform of a behaviour.
pub(crate) const fn stub_platform<B: StubBehavior>() -> Platform {
    Platform {
        id: ProviderId::new(B::ID),
        unconfigured: B::unconfigured,
        configure: |_| B::unconfigured(),
        scrub: B::scrub,
        demos: Vec::new,
    }
}

/// A provider with that behaviour.
pub(crate) struct StubProvider<B>(pub(crate) B);

impl<B: StubBehavior> SignatureScheme for StubProvider<B> {
    fn verify(&self, request: &RawRequest<'_>, keys: Keys<'_>) -> Result<usize, VerifyError> {
        self.0.verify(request, keys)
    }

    fn sign(&self, request: UnsignedRequest<'_>) -> Result<SignedRequest, String> {
        self.0.sign(request)
    }

    fn published_keys(&self) -> Option<&Url> {
        self.0.published_keys()
    }
}

impl<B: StubBehavior> Provider for StubProvider<B> {
    fn platform(&self) -> &'static Platform {
        const { &stub_platform::<B>() }
    }

    fn scheme(&self) -> &dyn SignatureScheme {
        self
    }

    fn read(&self, request: &Inbound<'_, Scrubbed>, _secrets: &[&[u8]]) -> ParsedPayload {
        self.0.read(request)
    }

    fn api(&self) -> Option<&dyn PlatformApi> {
        self.0.api()
    }

    fn read_fetched(&self, fetched: &FetchedAnswers<'_>) -> ParsedPayload {
        self.0.read_fetched(fetched)
    }
}
