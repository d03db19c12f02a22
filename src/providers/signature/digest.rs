//! Hashes of signatures.

use ::hmac::{EagerHash, Mac as _};
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use super::hmac;

/// A hash algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are the hashes' own names")]
pub enum HashAlgorithm {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

/// A kind of code made with a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MacMethod {
    /// An HMAC (RFC 2104), whose key is the secret.
    Hmac,
    /// The hash of a message that holds the secret.
    Hash,
}

impl HashAlgorithm {
    /// The algorithms by their names in the configuration.
    pub const NAMED: [(&'static str, Self); 4] = [
        ("sha1", Self::Sha1),
        ("sha256", Self::Sha256),
        ("sha384", Self::Sha384),
        ("sha512", Self::Sha512),
    ];

    /// Length of the codes, in bytes.
    #[must_use]
    pub fn length(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// Computes the code of the concatenated parts. Only [`MacMethod::Hmac`] uses the secret, as its key.
    #[must_use]
    pub fn compute(self, method: MacMethod, secret: &[u8], parts: &[&[u8]]) -> Vec<u8> {
        match self {
            Self::Sha1 => code::<Sha1>(method, secret, parts),
            Self::Sha256 => code::<Sha256>(method, secret, parts),
            Self::Sha384 => code::<Sha384>(method, secret, parts),
            Self::Sha512 => code::<Sha512>(method, secret, parts),
        }
    }
}

/// A short hash of a body, for the id of a delivery that is signed here.
#[must_use]
pub fn short_hash(body: &[u8]) -> String {
    hex::encode(Sha256::digest(body)).chars().take(16).collect()
}

fn code<D: EagerHash>(method: MacMethod, secret: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    match method {
        MacMethod::Hmac => hmac::mac::<D>(secret, parts).finalize().into_bytes().to_vec(),
        MacMethod::Hash => {
            let hash = parts.iter().fold(D::new(), D::chain_update);
            hash.finalize().to_vec()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 2202 and RFC 4231, test case 2 of each; FIPS 180's `abc`.
    #[test]
    fn codes_match_the_standards() {
        let mac = |algorithm: HashAlgorithm| {
            let parts: [&[u8]; 2] = [b"what do ya want ", b"for nothing?"];
            let code = algorithm.compute(MacMethod::Hmac, b"Jefe", &parts);
            assert_eq!(code.len(), algorithm.length());
            hex::encode(code).chars().take(20).collect::<String>()
        };
        assert_eq!(mac(HashAlgorithm::Sha1), "effcdf6ae5eb2fa2d274");
        assert_eq!(mac(HashAlgorithm::Sha256), "5bdcc146bf60754e6a04");
        assert_eq!(mac(HashAlgorithm::Sha384), "af45d2e376484031617f");
        assert_eq!(mac(HashAlgorithm::Sha512), "164b7a7bfcf819e2e395");
        let hash = |algorithm: HashAlgorithm| {
            let code = algorithm.compute(MacMethod::Hash, b"no part of it", &[b"a", b"", b"bc"]);
            assert_eq!(code.len(), algorithm.length());
            hex::encode(code).chars().take(20).collect::<String>()
        };
        assert_eq!(hash(HashAlgorithm::Sha1), "a9993e364706816aba3e");
        assert_eq!(hash(HashAlgorithm::Sha256), "ba7816bf8f01cfea4141");
        assert_eq!(hash(HashAlgorithm::Sha384), "cb00753f45a35e8bb5a0");
        assert_eq!(hash(HashAlgorithm::Sha512), "ddaf35a193617abacc41");
    }
}
