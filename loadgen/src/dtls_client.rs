//! DTLS by the `dtls` package over a leg's datagrams, in either role, giving SRTP keys (RFC 5764).

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use async_trait::async_trait;
use dtls::config::{ClientAuthType, Config, ExtendedMasterSecretType};
use dtls::conn::DTLSConn;
use dtls::crypto::Certificate;
use dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::sync::{Mutex, mpsc};
use webrtc_srtp::config::Config as SrtpConfig;
use webrtc_srtp::protection_profile::ProtectionProfile;
use webrtc_util::Conn;

use crate::leg::Outbound;
use crate::srtp_leg::{SrtpKey, SrtpSuite};

const RETRANSMIT_INTERVAL: Duration = Duration::from_millis(200);

/// Who sends the ClientHello.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DtlsRole {
    /// We do.
    Client,
    /// The other side does.
    Server,
    /// An offerer's: the answerer decides.
    Auto,
}

/// A certificate's fingerprint as ORTC has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Such as `sha-256`.
    pub algorithm: String,
    /// Upper-case hexadecimal pairs with colons.
    pub value: String,
}

/// ORTC's `dtlsParameters`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DtlsParameters {
    /// Role of the side that states them.
    pub role: DtlsRole,
    /// At least one of `sha-256`.
    pub fingerprints: Vec<Fingerprint>,
}

/// Our certificate and its fingerprint.
#[derive(Clone)]
pub struct Identity {
    certificate: Certificate,
    fingerprint: Fingerprint,
}

impl Identity {
    /// A new self-signed ECDSA certificate.
    pub fn generate() -> Result<Self> {
        let certificate = Certificate::generate_self_signed(vec!["weirgate-loadgen".to_owned()])
            .context("no certificate")?;
        let der = certificate
            .certificate
            .first()
            .context("certificate without content")?;
        let fingerprint = fingerprint(der);
        Ok(Self {
            certificate,
            fingerprint,
        })
    }

    /// The certificate that all clients of this process share unless told otherwise.
    pub fn shared() -> Result<Self> {
        static SHARED: OnceLock<Identity> = OnceLock::new();
        if let Some(identity) = SHARED.get() {
            return Ok(identity.clone());
        }
        let identity = Self::generate()?;
        Ok(SHARED.get_or_init(|| identity).clone())
    }

    /// What the server is told of it.
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }
}

/// What a finished handshake gives.
pub struct DtlsSession {
    /// Ours.
    pub send: SrtpKey,
    /// The server's.
    pub receive: SrtpKey,
    connection: DTLSConn,
}

impl DtlsSession {
    /// Says good-bye (close_notify).
    pub async fn close(&self) {
        // The other side may be gone already; there is nobody left to tell.
        let _ = self.connection.close().await;
    }
}

/// What is agreed on before the handshake.
pub struct Handshake {
    /// Our certificate.
    pub identity: Identity,
    /// Our role.
    pub role: DtlsRole,
    /// SRTP suites offered, or accepted as server.
    pub suites: Vec<SrtpSuite>,
    /// The server's fingerprints, one of which its certificate must have.
    pub expected: Vec<Fingerprint>,
}

impl Handshake {
    /// Runs it over `outbound`, the server's records coming from `records`.
    pub async fn run(
        self,
        outbound: Arc<Outbound>,
        records: mpsc::Receiver<Vec<u8>>,
        timeout: Duration,
    ) -> Result<DtlsSession> {
        // The dtls crate asks rustls for its cryptography; in a build where others bring another,
        // none is the default. An error says that one was installed before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let is_client = self.role != DtlsRole::Server;
        let config = Config {
            certificates: vec![self.identity.certificate.clone()],
            srtp_protection_profiles: self.suites.iter().copied().map(offered).collect(),
            client_auth: ClientAuthType::RequireAnyClientCert,
            extended_master_secret: ExtendedMasterSecretType::Require,
            flight_interval: RETRANSMIT_INTERVAL,
            // Self-signed by nature: the fingerprint below is what is verified.
            insecure_skip_verify: true,
            ..Config::default()
        };
        let pipe = Arc::new(RecordPipe {
            outbound,
            records: Mutex::new(records),
        });
        let handshake = DTLSConn::new(pipe, config, is_client, None);
        let connection = tokio::time::timeout(timeout, handshake)
            .await
            .with_context(|| format!("DTLS handshake not finished after {timeout:?}"))?
            .context("DTLS handshake failed")?;
        let state = connection.connection_state().await;
        let presented = state
            .peer_certificates
            .first()
            .context("server showed no certificate")?;
        if !self.expected.contains(&fingerprint(presented)) {
            bail!("the server's certificate has another fingerprint than it announced");
        }
        let (suite, profile) = chosen(connection.selected_srtpprotection_profile())?;
        let mut srtp = SrtpConfig {
            profile,
            ..SrtpConfig::default()
        };
        srtp.extract_session_keys_from_dtls(state, is_client)
            .await?;
        let keys = &srtp.keys;
        Ok(DtlsSession {
            send: SrtpKey::new(suite, &keys.local_master_key, &keys.local_master_salt)?,
            receive: SrtpKey::new(suite, &keys.remote_master_key, &keys.remote_master_salt)?,
            connection,
        })
    }
}

fn fingerprint(der: &[u8]) -> Fingerprint {
    let pairs: Vec<String> = Sha256::digest(der)
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect();
    Fingerprint {
        algorithm: "sha-256".to_owned(),
        value: pairs.join(":"),
    }
}

fn offered(suite: SrtpSuite) -> SrtpProtectionProfile {
    match suite {
        SrtpSuite::AeadAes128Gcm => SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm,
        SrtpSuite::AeadAes256Gcm => SrtpProtectionProfile::Srtp_Aead_Aes_256_Gcm,
        SrtpSuite::AesCm128HmacSha1_80 => SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80,
        SrtpSuite::AesCm128HmacSha1_32 => SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_32,
    }
}

fn chosen(profile: SrtpProtectionProfile) -> Result<(SrtpSuite, ProtectionProfile)> {
    Ok(match profile {
        SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm => {
            (SrtpSuite::AeadAes128Gcm, ProtectionProfile::AeadAes128Gcm)
        }
        SrtpProtectionProfile::Srtp_Aead_Aes_256_Gcm => {
            (SrtpSuite::AeadAes256Gcm, ProtectionProfile::AeadAes256Gcm)
        }
        SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80 => (
            SrtpSuite::AesCm128HmacSha1_80,
            ProtectionProfile::Aes128CmHmacSha1_80,
        ),
        SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_32 => (
            SrtpSuite::AesCm128HmacSha1_32,
            ProtectionProfile::Aes128CmHmacSha1_32,
        ),
        SrtpProtectionProfile::Unsupported => bail!("the server chose no SRTP profile of ours"),
    })
}

/// The `dtls` package's view of a leg.
struct RecordPipe {
    outbound: Arc<Outbound>,
    records: Mutex<mpsc::Receiver<Vec<u8>>>,
}

type UtilResult<T> = std::result::Result<T, webrtc_util::Error>;

fn not_applicable<T>() -> UtilResult<T> {
    Err(webrtc_util::Error::Other(
        "not applicable to a leg".to_owned(),
    ))
}

#[async_trait]
impl Conn for RecordPipe {
    async fn connect(&self, _addr: SocketAddr) -> UtilResult<()> {
        not_applicable()
    }

    async fn recv(&self, buf: &mut [u8]) -> UtilResult<usize> {
        let Some(record) = self.records.lock().await.recv().await else {
            // The leg has ended; the package's reader would otherwise spin on the error.
            return std::future::pending().await;
        };
        let Some(room) = buf.get_mut(..record.len()) else {
            return Err(webrtc_util::Error::ErrBufferShort);
        };
        room.copy_from_slice(&record);
        Ok(record.len())
    }

    async fn recv_from(&self, buf: &mut [u8]) -> UtilResult<(usize, SocketAddr)> {
        let len = self.recv(buf).await?;
        let from = self.remote_addr().ok_or(webrtc_util::Error::ErrNoRemAddr)?;
        Ok((len, from))
    }

    async fn send(&self, buf: &[u8]) -> UtilResult<usize> {
        self.outbound.send_raw(buf);
        Ok(buf.len())
    }

    async fn send_to(&self, _buf: &[u8], _target: SocketAddr) -> UtilResult<usize> {
        not_applicable()
    }

    fn local_addr(&self) -> UtilResult<SocketAddr> {
        Ok(self.outbound.local_address())
    }

    fn remote_addr(&self) -> Option<SocketAddr> {
        Some(self.outbound.remote_address())
    }

    async fn close(&self) -> UtilResult<()> {
        Ok(())
    }

    fn as_any(&self) -> &(dyn std::any::Any + Send + Sync) {
        self
    }
}
