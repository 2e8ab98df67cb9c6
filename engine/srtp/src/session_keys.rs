//! Session keys from a master key (RFC 3711 section 4.3).

use aes::cipher::{BlockEncrypt, KeyInit};
use aes::{Aes128Enc, Aes256Enc};
use weirgate_wire::{SrtpKey, SrtpSuite};

const BLOCK_LEN: usize = 16;
/// Where the label falls in the 14-byte salt: the key id is the label and a 48-bit index that is
/// always 0 here, both right-aligned.
const LABEL_AT: usize = 7;

/// Why a master key can not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Key and salt together have not the length of the suite.
    #[error("{} takes {expected} bytes of key and salt, not {actual}", suite.name())]
    Length {
        /// The suite of the key.
        suite: SrtpSuite,
        /// What it takes, in bytes.
        expected: usize,
        /// What was given, in bytes.
        actual: usize,
    },
    /// The crypto library could not make a key of it.
    #[error("the crypto library refused a key for {}", .0.name())]
    Refused(SrtpSuite),
}

/// What a session key is for; the value is the label of RFC 3711 sections 4.3.1 and 4.3.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Label {
    RtpEncryption = 0,
    RtpAuthentication = 1,
    RtpSalt = 2,
    RtcpEncryption = 3,
    RtcpAuthentication = 4,
    RtcpSalt = 5,
}

/// The pseudo-random function over one master key.
pub(crate) struct KeyDerivation {
    master: MasterKey,
    /// The 12-byte salts of RFC 7714 are padded with zeros on the right (its section 11).
    salt: [u8; 14],
}

#[expect(
    clippy::large_enum_variant,
    reason = "lives on the stack, for a moment"
)]
enum MasterKey {
    Aes128(Aes128Enc),
    Aes256(Aes256Enc),
}

impl KeyDerivation {
    pub(crate) fn new(key: &SrtpKey) -> Result<Self, KeyError> {
        let suite = key.suite;
        let expected = suite.key_len() + suite.salt_len();
        let actual = key.key_and_salt.len();
        if actual != expected {
            return Err(KeyError::Length {
                suite,
                expected,
                actual,
            });
        }
        let (master, master_salt) = key.key_and_salt.split_at(suite.key_len());
        // The PRF is AES-CM with the key length of the suite (RFC 7714 section 11).
        let master = match suite {
            SrtpSuite::AeadAes256Gcm => Aes256Enc::new_from_slice(master).map(MasterKey::Aes256),
            _ => Aes128Enc::new_from_slice(master).map(MasterKey::Aes128),
        }
        .map_err(|_| KeyError::Refused(suite))?;
        let mut salt = [0; 14];
        salt[..master_salt.len()].copy_from_slice(master_salt);
        Ok(Self { master, salt })
    }

    /// Fills `out` with the session key, session salt or authentication key of `label`.
    pub(crate) fn fill(&self, label: Label, out: &mut [u8]) {
        let mut counter = [0; BLOCK_LEN];
        counter[..14].copy_from_slice(&self.salt);
        counter[LABEL_AT] ^= label as u8;
        for (number, chunk) in (0u16..).zip(out.chunks_mut(BLOCK_LEN)) {
            counter[14..].copy_from_slice(&number.to_be_bytes());
            let mut block = counter.into();
            match &self.master {
                MasterKey::Aes128(aes) => aes.encrypt_block(&mut block),
                MasterKey::Aes256(aes) => aes.encrypt_block(&mut block),
            }
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cipher::test_support::hex;

    fn derive(suite: SrtpSuite, key: &str, salt: &str, label: Label, len: usize) -> Vec<u8> {
        let key_and_salt = [hex(key), hex(salt)].concat();
        let key = SrtpKey {
            suite,
            key_and_salt,
        };
        let mut out = vec![0; len];
        KeyDerivation::new(&key).unwrap().fill(label, &mut out);
        out
    }

    #[test]
    fn rfc_3711_appendix_b3() {
        let derive = |label, len| {
            derive(
                SrtpSuite::AesCm128HmacSha1_80,
                "E1F97A0D3E018BE0D64FA32C06DE4139",
                "0EC675AD498AFEEBB6960B3AABE6",
                label,
                len,
            )
        };
        assert_eq!(
            derive(Label::RtpEncryption, 16),
            hex("C61E7A93744F39EE10734AFE3FF7A087")
        );
        assert_eq!(
            derive(Label::RtpSalt, 14),
            hex("30CBBC08863D8C85D49DB34A9AE1")
        );
        assert_eq!(
            derive(Label::RtpAuthentication, 94),
            hex(
                "CEBE321F6FF7716B6FD4AB49AF256A15 6D38BAA48F0A0ACF3C34E2359E6CDBCE
                 E049646C43D9327AD175578EF7227098 6371C10C9A369AC2F94A8C5FBCDDDC25
                 6D6E919A48B610EF17C2041E47403576 6B68642C59BBFC2F34DB60DBDFB2"
            )
        );
    }

    /// Its 14-byte salt belongs to no suite here, so the derivation is made by hand.
    #[test]
    fn rfc_6188_section_7_2() {
        let master = hex("f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6");
        let derivation = KeyDerivation {
            master: MasterKey::Aes256(Aes256Enc::new_from_slice(&master).unwrap()),
            salt: hex("3b04803de51ee7c96423ab5b78d2").try_into().unwrap(),
        };
        let mut key = [0; 32];
        derivation.fill(Label::RtpEncryption, &mut key);
        assert_eq!(
            key[..],
            hex("5ba1064e30ec51613cad926c5a28ef731ec7fb397f70a960653caf06554cd8c4")
        );
        let mut salt = [0; 14];
        derivation.fill(Label::RtpSalt, &mut salt);
        assert_eq!(salt[..], hex("fa31791685ca444a9e07c6c64e93"));
    }

    #[test]
    fn a_key_of_another_length_is_refused_by_name() {
        let key = SrtpKey {
            suite: SrtpSuite::AeadAes128Gcm,
            key_and_salt: vec![0; 30],
        };
        let error = KeyDerivation::new(&key).err().unwrap();
        assert_eq!(
            error.to_string(),
            "AEAD_AES_128_GCM takes 28 bytes of key and salt, not 30"
        );
    }
}
