//! Hashes of signatures.

use ::hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};

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
        match (method, self) {
            (MacMethod::Hmac, Self::Sha1) => mac::<Hmac<Sha1>>(secret, parts),
            (MacMethod::Hmac, Self::Sha256) => mac::<Hmac<Sha256>>(secret, parts),
            (MacMethod::Hmac, Self::Sha384) => mac::<Hmac<Sha384>>(secret, parts),
            (MacMethod::Hmac, Self::Sha512) => mac::<Hmac<Sha512>>(secret, parts),
            (MacMethod::Hash, Self::Sha1) => hash::<Sha1>(parts),
            (MacMethod::Hash, Self::Sha256) => hash::<Sha256>(parts),
            (MacMethod::Hash, Self::Sha384) => hash::<Sha384>(parts),
            (MacMethod::Hash, Self::Sha512) => hash::<Sha512>(parts),
        }
    }
}

/// A short hash of a body, for the id of a delivery that is signed here.
#[must_use]
pub fn short_hash(body: &[u8]) -> String {
    hex::encode(Sha256::digest(body)).chars().take(16).collect()
}

fn mac<M: Mac + KeyInit>(secret: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut mac =
        <M as KeyInit>::new_from_slice(secret).expect("HMAC takes a key of any length (RFC 2104)");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().to_vec()
}

fn hash<D: Digest>(parts: &[&[u8]]) -> Vec<u8> {
    let mut digest = D::new();
    for part in parts {
        digest.update(part);
    }
    digest.finalize().to_vec()
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
