//! Accepting connections, in the clear or by TLS.

use std::{
    fs::File,
    io::{self, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
    time::{sleep, timeout},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
    server::TlsStream,
};

use super::serve::Place;
use crate::settings::Settings;

/// A client that does not finish its TLS handshake is dropped.
const TLS_TIMEOUT: Duration = Duration::from_secs(10);

/// TLS handshakes at a time.
const MAX_HANDSHAKES: usize = 256;

/// Where a connection comes from.
#[derive(Debug, Clone, Copy)]
pub struct PeerAddress(pub SocketAddr);

/// Why the server cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The address cannot be had.
    #[error(
        "cannot listen on {address}: {error}; end what uses it or choose another by --http-listen"
    )]
    Address {
        /// The address.
        address: SocketAddr,
        /// What is wrong with it.
        error: io::Error,
    },
    /// A TLS file is missing or holds something else.
    #[error("{key}: cannot use {}: {reason}", path.display())]
    File {
        /// The setting.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl BindError {
    /// A setting is at fault: as it stands, no try can end otherwise.
    pub const fn is_a_setting(&self) -> bool {
        matches!(self, Self::File { .. })
    }
}

/// A bound address.
pub struct Listener {
    address: SocketAddr,
    streams: Streams,
}

enum Streams {
    Plain(TcpListener),
    /// Connections whose TLS handshake is done.
    Tls(mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>),
}

impl Listener {
    /// Binds the address of the settings.
    ///
    /// # Errors
    /// [`BindError`], one line that says what to do.
    pub async fn bind(settings: &Settings) -> Result<Self, BindError> {
        let tls = match &settings.tls {
            Some((cert, key)) => Some(tls_config(cert, key)?),
            None => None,
        };
        let failed = |error| BindError::Address {
            address: settings.http_listen,
            error,
        };
        let listener = TcpListener::bind(settings.http_listen)
            .await
            .map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let streams = match tls {
            None => Streams::Plain(listener),
            Some(config) => {
                let (sender, receiver) = mpsc::channel(16);
                tokio::spawn(accept_tls(listener, TlsAcceptor::from(config), sender));
                Streams::Tls(receiver)
            }
        };
        Ok(Self { address, streams })
    }

    /// The address in use, with the port the system chose where 0 was asked for.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http` or `https`.
    pub const fn scheme(&self) -> &'static str {
        match self.streams {
            Streams::Plain(_) => "http",
            Streams::Tls(_) => "https",
        }
    }

    /// The next connection, and where it comes from.
    pub(super) async fn accept(&mut self) -> (Stream, SocketAddr) {
        let (socket, peer) = match &mut self.streams {
            Streams::Plain(listener) => {
                let (stream, peer) = accept(listener).await;
                (Socket::Plain(stream), peer)
            }
            Streams::Tls(receiver) => match receiver.recv().await {
                Some((stream, peer)) => (Socket::Tls(Box::new(stream)), peer),
                None => std::future::pending().await,
            },
        };
        let place = None;
        (Stream { socket, place }, peer)
    }
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // Signaling is small messages that somebody waits for.
                let _ = stream.set_nodelay(true);
                return (stream, peer);
            }
            Err(error) => {
                // Out of file descriptors, most likely: some time helps.
                tracing::warn!(%error, "cannot accept a connection");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn accept_tls(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    sender: mpsc::Sender<(TlsStream<TcpStream>, SocketAddr)>,
) {
    let handshakes = Arc::new(Semaphore::new(MAX_HANDSHAKES));
    while let Ok(permit) = Arc::clone(&handshakes).acquire_owned().await {
        let (stream, peer) = tokio::select! {
            accepted = accept(&listener) => accepted,
            () = sender.closed() => return,
        };
        let (acceptor, sender) = (acceptor.clone(), sender.clone());
        tokio::spawn(async move {
            let shaken = timeout(TLS_TIMEOUT, acceptor.accept(stream)).await;
            drop(permit);
            if let Ok(Ok(stream)) = shaken {
                // The server may be ending.
                let _ = sender.send((stream, peer)).await;
            }
        });
    }
}

fn tls_config(cert: &Path, key: &Path) -> Result<Arc<ServerConfig>, BindError> {
    let bad = |key, path: &Path, reason: String| BindError::File {
        key,
        path: path.to_owned(),
        reason,
    };
    let file = File::open(cert).map_err(|error| bad("tls-cert", cert, error.to_string()))?;
    let chain: Vec<_> = CertificateDer::pem_reader_iter(BufReader::new(file))
        .collect::<Result<_, _>>()
        .map_err(|error| bad("tls-cert", cert, error.to_string()))?;
    if chain.is_empty() {
        let reason = "there is no certificate in it".to_owned();
        return Err(bad("tls-cert", cert, reason));
    }
    let private = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| bad("tls-key", key, error.to_string()))?;
    let provider = tokio_rustls::rustls::crypto::aws_lc_rs::default_provider();
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| bad("tls-cert", cert, error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(|error| bad("tls-key", key, error.to_string()))?;
    // WebSockets are opened by HTTP/1.1.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// A connection, in the clear or by TLS, with its place among all.
pub(super) struct Stream {
    socket: Socket,
    place: Option<Place>,
}

enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// Keeps the place until the connection is closed.
    pub(super) fn hold(&mut self, place: Place) {
        self.place = Some(place);
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.get_mut().socket {
            Socket::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Socket::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().socket {
            Socket::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Socket::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().socket {
            Socket::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Socket::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().socket {
            Socket::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Socket::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
