//! The certificate we show to every peer: self-made, ECDSA on P-256 (RFC 8827 section 6.5).

use openssl::{
    asn1::Asn1Time,
    bn::{BigNum, MsbOption},
    ec::{EcGroup, EcKey},
    hash::MessageDigest,
    nid::Nid,
    pkey::{PKey, PKeyRef, Private},
    x509::{X509, X509Name, X509Ref},
};

use crate::{DtlsError, Fingerprint, HashAlgorithm};

/// Peers check the fingerprint, not the dates; but a new certificate would break the
/// fingerprints that are handed out already.
const VALID_DAYS: u32 = 3650;

/// Room for clocks that are behind.
const VALID_BEFORE_SECONDS: i64 = 86_400;

/// A certificate with its private key.
#[derive(Debug, Clone)]
pub struct Certificate {
    key: PKey<Private>,
    x509: X509,
}

impl Certificate {
    /// Makes a new key and a certificate for it.
    ///
    /// # Errors
    /// Where the crypto library has no randomness or no P-256.
    pub fn generate() -> Result<Self, DtlsError> {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
        let key = PKey::from_ec_key(EcKey::generate(&group)?)?;
        let x509 = self_signed(&key)?;
        Ok(Self { key, x509 })
    }

    /// Private key (PKCS #8) and certificate as PEM text. The caller keeps it where only it can
    /// read it (file mode 0600).
    ///
    /// # Errors
    /// Where the crypto library cannot encode them.
    pub fn to_pem(&self) -> Result<Vec<u8>, DtlsError> {
        let mut pem = self.key.private_key_to_pem_pkcs8()?;
        pem.extend_from_slice(&self.x509.to_pem()?);
        Ok(pem)
    }

    /// Reads what [`Self::to_pem`] wrote, or any unencrypted private key and its certificate, RSA
    /// ones too.
    ///
    /// # Errors
    /// [`DtlsError::Certificate`] where either is missing, broken, or they are not a pair.
    pub fn from_pem(pem: &[u8]) -> Result<Self, DtlsError> {
        // An empty pass phrase, so that an encrypted key fails instead of asking the terminal.
        let key = PKey::private_key_from_pem_passphrase(pem, b"")
            .map_err(|_| DtlsError::Certificate("no readable private key in it"))?;
        let x509 = X509::from_pem(pem)
            .map_err(|_| DtlsError::Certificate("no readable certificate in it"))?;
        if !x509.public_key()?.public_eq(&key) {
            return Err(DtlsError::Certificate(
                "the private key is not the certificate's",
            ));
        }
        Ok(Self { key, x509 })
    }

    /// Fingerprints by SHA-512, SHA-384 and SHA-256, in this order: mediasoup-client writes the
    /// last into SDP, and SHA-256 is the one every peer knows (RFC 8122 section 5).
    pub fn fingerprints(&self) -> Vec<Fingerprint> {
        [
            HashAlgorithm::Sha512,
            HashAlgorithm::Sha384,
            HashAlgorithm::Sha256,
        ]
        .into_iter()
        .filter_map(|algorithm| Fingerprint::of(&self.x509, algorithm).ok())
        .collect()
    }

    pub(crate) fn key(&self) -> &PKeyRef<Private> {
        &self.key
    }

    pub(crate) fn x509(&self) -> &X509Ref {
        &self.x509
    }
}

fn self_signed(key: &PKeyRef<Private>) -> Result<X509, DtlsError> {
    let mut name = X509Name::builder()?;
    name.append_entry_by_text("CN", "weirgate")?;
    let name = name.build();

    let mut serial = BigNum::new()?;
    serial.rand(127, MsbOption::MAYBE_ZERO, false)?;
    let serial = serial.to_asn1_integer()?;

    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(0));
    let not_before = Asn1Time::from_unix((now - VALID_BEFORE_SECONDS).max(0))?;
    let not_after = Asn1Time::days_from_now(VALID_DAYS)?;

    let mut builder = X509::builder()?;
    builder.set_version(2)?; // X.509 v3 is written as 2.
    builder.set_serial_number(&serial)?;
    builder.set_subject_name(&name)?;
    builder.set_issuer_name(&name)?;
    builder.set_not_before(&not_before)?;
    builder.set_not_after(&not_after)?;
    builder.set_pubkey(key)?;
    builder.sign(key, MessageDigest::sha256())?;
    Ok(builder.build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pem_text_brings_the_same_certificate_back() {
        let made = Certificate::generate().unwrap();
        let read = Certificate::from_pem(&made.to_pem().unwrap()).unwrap();
        assert_eq!(made.fingerprints(), read.fingerprints());
        assert!(made.key().public_eq(read.key()));
    }

    #[test]
    fn the_last_fingerprint_is_sha_256() {
        let fingerprints = Certificate::generate().unwrap().fingerprints();
        let last = fingerprints.last().unwrap();
        assert_eq!(last.algorithm, "sha-256");
        assert_eq!(last.value.len(), 32 * 3 - 1);
    }

    #[test]
    fn a_broken_file_is_refused_with_its_reason() {
        let one = Certificate::generate().unwrap();
        let two = Certificate::generate().unwrap();
        let mut mixed = one.key().private_key_to_pem_pkcs8().unwrap();
        mixed.extend_from_slice(&two.x509().to_pem().unwrap());
        for (pem, reason) in [
            (b"".to_vec(), "private key"),
            (one.x509().to_pem().unwrap(), "private key"),
            (
                one.key().private_key_to_pem_pkcs8().unwrap(),
                "certificate in it",
            ),
            (mixed, "not the certificate's"),
        ] {
            let error = Certificate::from_pem(&pem).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
