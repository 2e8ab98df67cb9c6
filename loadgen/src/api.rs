//! The server's HTTP API, as far as clients and tests use it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use reqwest::{Client, Method, StatusCode};
use rustls::ClientConfig;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::dtls_client::DtlsParameters;
use crate::ice::Credentials;
use crate::rtp_parameters::{RtpCapabilities, RtpParameters};
use crate::srtp_leg::{SrtpKey, SrtpSuite};

/// No answer for so long is a failure.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A client of one server.
#[derive(Debug, Clone)]
pub struct Api {
    base: String,
    token: Option<String>,
    client: Client,
    tls: Arc<ClientConfig>,
}

/// The server's own word for why it did not do something.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{method} {path}: {status}: {code}: {message}")]
pub struct ApiError {
    /// Method of the request.
    pub method: Method,
    /// Path of the request.
    pub path: String,
    /// HTTP status.
    pub status: StatusCode,
    /// Such as `not_found`; empty where the answer was no error object.
    pub code: String,
    /// For people.
    pub message: String,
    /// Field of the request it is about.
    pub field: Option<String>,
}

/// A router.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Router {
    /// Its id.
    pub id: String,
    /// What it can carry.
    pub rtp_capabilities: RtpCapabilities,
}

/// A WebRTC transport as the server offers it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WebRtcOffer {
    /// Its id.
    pub id: String,
    /// The server's ICE credentials.
    pub ice_parameters: Credentials,
    /// Where to reach it.
    pub ice_candidates: Vec<Candidate>,
    /// The server's certificate.
    pub dtls_parameters: DtlsParameters,
}

/// An ICE candidate of the server.
#[derive(Debug, Clone, Deserialize)]
pub struct Candidate {
    /// Address.
    pub ip: String,
    /// Port.
    pub port: u16,
    /// `udp` or `tcp`.
    pub protocol: String,
    /// Higher is preferred.
    #[serde(default)]
    pub priority: u32,
}

/// A plain transport.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlainTransport {
    /// Its id.
    pub id: String,
    /// Where it listens.
    pub tuple: Tuple,
    /// Where it listens for RTCP without rtcp-mux.
    pub rtcp_tuple: Option<Tuple>,
    /// The server's key where SRTP is on.
    pub srtp_parameters: Option<SrtpParameters>,
}

/// A pair of addresses.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tuple {
    /// The server's.
    pub local_address: String,
    /// The server's.
    pub local_port: u16,
    /// Ours, once known.
    pub remote_ip: Option<String>,
    /// Ours, once known.
    pub remote_port: Option<u16>,
}

impl Tuple {
    /// The server's address; `unspecified` stands in where it listens on all.
    pub fn local(&self, unspecified: IpAddr) -> Result<SocketAddr> {
        let ip: IpAddr = self
            .local_address
            .parse()
            .context("localAddress is no IP address")?;
        let ip = if ip.is_unspecified() { unspecified } else { ip };
        Ok(SocketAddr::new(ip, self.local_port))
    }
}

/// An SRTP key as the API has it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SrtpParameters {
    /// Suite.
    pub crypto_suite: SrtpSuite,
    /// Key and salt.
    pub key_base64: String,
}

impl SrtpParameters {
    /// The key.
    pub fn key(&self) -> Result<SrtpKey> {
        SrtpKey::from_base64(self.crypto_suite, &self.key_base64)
    }
}

impl From<&SrtpKey> for SrtpParameters {
    fn from(key: &SrtpKey) -> Self {
        Self {
            crypto_suite: key.suite(),
            key_base64: key.to_base64(),
        }
    }
}

/// Options of a plain transport.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlainOptions {
    /// Address the server binds.
    pub listen_ip: IpAddr,
    /// RTCP on the same port.
    pub rtcp_mux: bool,
    /// The server learns our address.
    pub comedia: bool,
    /// SRTP on.
    pub enable_srtp: bool,
    /// Its suite.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub srtp_crypto_suite: Option<SrtpSuite>,
}

/// A producer as created.
#[derive(Debug, Clone, Deserialize)]
pub struct Producer {
    /// Its id.
    pub id: String,
}

/// A consumer as created.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Consumer {
    /// Its id.
    pub id: String,
    /// `audio` or `video`.
    pub kind: String,
    /// What will be sent.
    pub rtp_parameters: RtpParameters,
}

impl Api {
    /// For the server at `base`, such as `http://127.0.0.1:8080`; its certificate must be one this
    /// host trusts.
    pub fn new(base: &str, token: Option<String>) -> Result<Self> {
        Self::with_trust(base, token, false)
    }

    /// For the server at `base`; `insecure` takes any certificate.
    pub fn with_trust(base: &str, token: Option<String>, insecure: bool) -> Result<Self> {
        let url = reqwest::Url::parse(base)
            .with_context(|| format!("`{base}` is no address such as http://127.0.0.1:8080"))?;
        ensure!(
            matches!(url.scheme(), "http" | "https") && url.has_host(),
            "`{base}` must begin with http:// or https://"
        );
        let tls = crate::tls::client_config(insecure)?;
        let client = Client::builder()
            .timeout(TIMEOUT)
            .tls_backend_preconfigured((*tls).clone())
            .build()
            .context("no HTTP client")?;
        Ok(Self {
            base: base.trim_end_matches('/').to_owned(),
            token,
            client,
            tls,
        })
    }

    /// TLS as this client has it.
    pub(crate) fn tls(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.tls)
    }

    /// Base URL without a slash at its end.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// A request with or without a body; the status and the body, JSON or else text, of any answer.
    pub async fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(StatusCode, Value)> {
        let url = format!("{}{path}", self.base);
        let mut request = self.client.request(method.clone(), &url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request
            .send()
            .await
            .with_context(|| format!("{method} {url}"))?;
        let status = answer.status();
        let text = answer
            .text()
            .await
            .with_context(|| format!("{method} {url}"))?;
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Ok((status, body))
    }

    /// A request whose answer must be good.
    pub async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<T> {
        let (status, answer) = self.request(method.clone(), path, body).await?;
        if !status.is_success() {
            let error = &answer["error"];
            let text = |name: &str| error[name].as_str().map(str::to_owned);
            return Err(ApiError {
                method,
                path: path.to_owned(),
                status,
                code: text("code").unwrap_or_default(),
                message: text("message").unwrap_or_else(|| answer.to_string()),
                field: text("field"),
            }
            .into());
        }
        let answer = if status == StatusCode::NO_CONTENT {
            Value::Null
        } else {
            answer
        };
        serde_json::from_value(answer).with_context(|| format!("answer to {method} {path}"))
    }

    /// `POST`.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T> {
        self.call(Method::POST, path, Some(body)).await
    }

    /// `GET`.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.call(Method::GET, path, None).await
    }

    /// `DELETE`.
    pub async fn delete(&self, path: &str) -> Result<()> {
        self.call(Method::DELETE, path, None).await
    }

    /// A new router with the default codecs.
    pub async fn create_router(&self) -> Result<Router> {
        self.post("/v1/routers", &json!({})).await
    }

    /// Closes a router.
    pub async fn close_router(&self, id: &str) -> Result<()> {
        self.delete(&format!("/v1/routers/{id}")).await
    }

    /// A new WebRTC transport; `options` are merged into the request.
    pub async fn create_webrtc_transport(
        &self,
        router: &str,
        options: &Value,
    ) -> Result<WebRtcOffer> {
        let mut body = json!({"type": "webrtc"});
        merge(&mut body, options);
        self.post(&format!("/v1/routers/{router}/transports"), &body)
            .await
    }

    /// Tells a WebRTC transport our certificate.
    pub async fn connect_webrtc(&self, id: &str, parameters: &DtlsParameters) -> Result<()> {
        let body = json!({"dtlsParameters": parameters});
        let _answer: Value = self
            .post(&format!("/v1/transports/{id}/connect"), &body)
            .await?;
        Ok(())
    }

    /// New ICE credentials of a WebRTC transport.
    pub async fn restart_ice(&self, id: &str) -> Result<Credentials> {
        let answer: Value = self
            .post(&format!("/v1/transports/{id}/restart-ice"), &json!({}))
            .await?;
        serde_json::from_value(answer["iceParameters"].clone()).context("iceParameters")
    }

    /// A new plain transport.
    pub async fn create_plain_transport(
        &self,
        router: &str,
        options: &PlainOptions,
    ) -> Result<PlainTransport> {
        let mut body = json!({"type": "plain"});
        merge(&mut body, &serde_json::to_value(options)?);
        self.post(&format!("/v1/routers/{router}/transports"), &body)
            .await
    }

    /// Gives a plain transport its other end; the body is as in the contract.
    pub async fn connect_plain(&self, id: &str, body: &Value) -> Result<()> {
        let _answer: Value = self
            .post(&format!("/v1/transports/{id}/connect"), body)
            .await?;
        Ok(())
    }

    /// A new producer.
    pub async fn produce(
        &self,
        transport: &str,
        kind: &str,
        parameters: &RtpParameters,
    ) -> Result<Producer> {
        let body = json!({"kind": kind, "rtpParameters": parameters});
        self.post(&format!("/v1/transports/{transport}/producers"), &body)
            .await
    }

    /// A new consumer; `options` are merged into the request.
    pub async fn consume(
        &self,
        transport: &str,
        producer: &str,
        capabilities: &RtpCapabilities,
        options: &Value,
    ) -> Result<Consumer> {
        let mut body = json!({"producerId": producer, "rtpCapabilities": capabilities});
        merge(&mut body, options);
        self.post(&format!("/v1/transports/{transport}/consumers"), &body)
            .await
    }

    /// The metrics page.
    pub async fn metrics(&self) -> Result<Metrics> {
        let (status, body) = self.request(Method::GET, "/metrics", None).await?;
        let text = body
            .as_str()
            .filter(|_| status.is_success())
            .context("no metrics")?;
        Ok(Metrics(text.to_owned()))
    }
}

/// A Prometheus text page.
#[derive(Debug, Clone)]
pub struct Metrics(String);

impl Metrics {
    /// Sum over the labels of the metric of that name; `None` where it is not there.
    pub fn sum(&self, name: &str) -> Option<f64> {
        let mut sum = None;
        for line in self.0.lines().filter(|line| !line.starts_with('#')) {
            let Some(rest) = line.strip_prefix(name) else {
                continue;
            };
            if !rest.starts_with([' ', '{']) {
                continue;
            }
            if let Some(value) = rest
                .rsplit(' ')
                .next()
                .and_then(|text| text.parse::<f64>().ok())
            {
                *sum.get_or_insert(0.0) += value;
            }
        }
        sum
    }

    /// The page itself.
    pub fn text(&self) -> &str {
        &self.0
    }
}

fn merge(body: &mut Value, options: &Value) {
    if let (Some(body), Some(options)) = (body.as_object_mut(), options.as_object()) {
        body.extend(
            options
                .iter()
                .map(|(key, value)| (key.clone(), value.clone())),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_summed_over_their_labels_only() {
        let metrics = Metrics(
            "# HELP weirgate_x_total x\nweirgate_x_total{shard=\"0\"} 2\n\
             weirgate_x_total{shard=\"1\"} 3\nweirgate_x_total_bytes 9\nweirgate_y 1.5\n"
                .to_owned(),
        );
        assert_eq!(metrics.sum("weirgate_x_total"), Some(5.0));
        assert_eq!(metrics.sum("weirgate_y"), Some(1.5));
        assert_eq!(metrics.sum("weirgate_z"), None);
    }
}
