//! Certificate fingerprints as SDP and `dtlsParameters` write them (RFC 8122 section 5).

use openssl::{hash::MessageDigest, x509::X509Ref};

use crate::DtlsError;

/// A hash over a certificate's DER form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// Hash function, such as `sha-256`; letter case is of no matter.
    pub algorithm: String,
    /// Bytes in hexadecimal with colons between, such as `4A:AD:…`.
    pub value: String,
}

impl Fingerprint {
    /// The fingerprint of `certificate` by `algorithm`.
    pub(crate) fn of(certificate: &X509Ref, algorithm: HashAlgorithm) -> Result<Self, DtlsError> {
        let digest = certificate.digest(algorithm.digest())?;
        let bytes: Vec<String> = digest.iter().map(|byte| format!("{byte:02X}")).collect();
        Ok(Self {
            algorithm: algorithm.name().to_owned(),
            value: bytes.join(":"),
        })
    }

    fn parse(&self) -> Option<(HashAlgorithm, Vec<u8>)> {
        let algorithm = HashAlgorithm::from_name(&self.algorithm)?;
        let bytes: Option<Vec<u8>> = self
            .value
            .split(':')
            .map(|part| {
                // Else a sign would pass for a digit.
                let is_hex = part.len() == 2 && part.bytes().all(|c| c.is_ascii_hexdigit());
                u8::from_str_radix(part, 16).ok().filter(|_| is_hex)
            })
            .collect();
        bytes
            .filter(|bytes| bytes.len() == algorithm.digest().size())
            .map(|bytes| (algorithm, bytes))
    }
}

/// The hash functions RFC 8122 names, MD2 and MD5 left out; weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HashAlgorithm {
    /// `sha-1`
    Sha1,
    /// `sha-224`
    Sha224,
    /// `sha-256`
    Sha256,
    /// `sha-384`
    Sha384,
    /// `sha-512`
    Sha512,
}

impl HashAlgorithm {
    const ALL: [Self; 5] = [
        Self::Sha1,
        Self::Sha224,
        Self::Sha256,
        Self::Sha384,
        Self::Sha512,
    ];

    /// The name in SDP.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "sha-1",
            Self::Sha224 => "sha-224",
            Self::Sha256 => "sha-256",
            Self::Sha384 => "sha-384",
            Self::Sha512 => "sha-512",
        }
    }

    /// The function of that name, in any letter case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }

    fn digest(self) -> MessageDigest {
        match self {
            Self::Sha1 => MessageDigest::sha1(),
            Self::Sha224 => MessageDigest::sha224(),
            Self::Sha256 => MessageDigest::sha256(),
            Self::Sha384 => MessageDigest::sha384(),
            Self::Sha512 => MessageDigest::sha512(),
        }
    }
}

/// What the peer's certificate must hash to: RFC 8122 section 5 has the strongest hash function
/// count, and several values of it stand for several certificates.
#[derive(Debug, Clone)]
pub(crate) struct ExpectedFingerprints {
    algorithm: HashAlgorithm,
    values: Vec<Vec<u8>>,
}

impl ExpectedFingerprints {
    pub(crate) fn new(fingerprints: &[Fingerprint]) -> Result<Self, DtlsError> {
        let known: Vec<_> = fingerprints.iter().filter_map(Fingerprint::parse).collect();
        let Some(strongest) = known.iter().map(|(algorithm, _)| *algorithm).max() else {
            return Err(DtlsError::NoUsableFingerprint);
        };
        let values = known
            .into_iter()
            .filter(|(algorithm, _)| *algorithm == strongest)
            .map(|(_, value)| value)
            .collect();
        Ok(Self {
            algorithm: strongest,
            values,
        })
    }

    /// Whether `certificate` is one that was signaled.
    pub(crate) fn accept(&self, certificate: &X509Ref) -> bool {
        certificate
            .digest(self.algorithm.digest())
            .is_ok_and(|digest| self.values.iter().any(|value| value[..] == digest[..]))
    }

    /// Hash function that is compared.
    pub(crate) fn algorithm(&self) -> HashAlgorithm {
        self.algorithm
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Certificate;

    fn fingerprint(algorithm: &str, value: &str) -> Fingerprint {
        Fingerprint {
            algorithm: algorithm.to_owned(),
            value: value.to_owned(),
        }
    }

    #[test]
    fn letter_case_does_not_matter() {
        let certificate = Certificate::generate().unwrap();
        for given in certificate.fingerprints() {
            let lower = fingerprint(&given.algorithm.to_uppercase(), &given.value.to_lowercase());
            let expected = ExpectedFingerprints::new(&[lower]).unwrap();
            assert!(expected.accept(certificate.x509()));
        }
    }

    #[test]
    fn the_strongest_hash_decides() {
        let ours = Certificate::generate().unwrap();
        let other = Certificate::generate().unwrap();
        let weak_right = Fingerprint::of(ours.x509(), HashAlgorithm::Sha1).unwrap();
        let strong_wrong = Fingerprint::of(other.x509(), HashAlgorithm::Sha256).unwrap();
        let strong_right = Fingerprint::of(ours.x509(), HashAlgorithm::Sha256).unwrap();

        let misled = ExpectedFingerprints::new(&[weak_right.clone(), strong_wrong.clone()]);
        assert!(!misled.unwrap().accept(ours.x509()));
        let either = ExpectedFingerprints::new(&[strong_wrong, strong_right, weak_right]);
        assert!(either.unwrap().accept(ours.x509()));
    }

    #[test]
    fn unknown_or_broken_fingerprints_are_refused() {
        for (algorithm, value) in [
            ("md5", "00:11"),
            ("sha-256", ""),
            ("sha-256", "00:11"),
            (
                "sha-1",
                "+1:+1:+1:+1:+1:+1:+1:+1:+1:+1:+1:+1:+1:+1:+1:+1:+1:+1:+1:+1",
            ),
            (
                "sha-1",
                "0:01:01:01:01:01:01:01:01:01:01:01:01:01:01:01:01:01:01:01",
            ),
            (
                "sha-1",
                "é:01:01:01:01:01:01:01:01:01:01:01:01:01:01:01:01:01:01:01",
            ),
        ] {
            assert!(
                ExpectedFingerprints::new(&[fingerprint(algorithm, value)]).is_err(),
                "{algorithm} {value}"
            );
        }
    }
}
