//! The byte stream the crypto library reads and writes: one datagram per call, both ways.

use std::io::{self, Read, Write};

/// A handshake's largest flight is far under this.
const MAX_WRITTEN: usize = 64;

/// At most one datagram waits to be read; those written wait to be taken.
#[derive(Debug, Default)]
pub(crate) struct DatagramStream {
    incoming: Option<Vec<u8>>,
    written: Vec<Vec<u8>>,
    starved: bool,
}

impl DatagramStream {
    /// Puts the datagram that is read next.
    pub(crate) fn push_incoming(&mut self, datagram: Vec<u8>) {
        self.incoming = Some(datagram);
        self.starved = false;
    }

    /// Everything written since the last call.
    pub(crate) fn take_written(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.written)
    }

    /// Whether a read found nothing since the last datagram was put: all of it was looked at.
    pub(crate) fn is_starved(&self) -> bool {
        self.starved
    }
}

impl Read for DatagramStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(datagram) = self.incoming.take() else {
            self.starved = true;
            return Err(io::ErrorKind::WouldBlock.into());
        };
        // As a socket would, what does not fit is lost.
        let len = datagram.len().min(buffer.len());
        buffer[..len].copy_from_slice(&datagram[..len]);
        Ok(len)
    }
}

impl Write for DatagramStream {
    fn write(&mut self, datagram: &[u8]) -> io::Result<usize> {
        if self.written.len() < MAX_WRITTEN {
            self.written.push(datagram.to_vec());
        }
        Ok(datagram.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
