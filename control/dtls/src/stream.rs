//! The byte stream the crypto library reads and writes: one datagram per call, both ways.

use std::io::{self, Read, Write};

use crate::MTU_BYTES;

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

    /// Everything written since the last call, in as few datagrams as hold it: the library packs a
    /// flight the first time, but sends it again record by record, each of which may be lost.
    pub(crate) fn take_written(&mut self) -> Vec<Vec<u8>> {
        let mut packed: Vec<Vec<u8>> = Vec::new();
        for datagram in self.written.drain(..) {
            match packed.last_mut() {
                Some(last) if last.len() + datagram.len() <= MTU_BYTES as usize => {
                    last.extend_from_slice(&datagram);
                }
                _ => packed.push(datagram),
            }
        }
        packed
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_gives_one_datagram() {
        let mut stream = DatagramStream::default();
        stream.push_incoming(b"datagram".to_vec());
        let mut buffer = [0; 4];
        assert_eq!(stream.read(&mut buffer).unwrap(), 4);
        assert!(!stream.is_starved());
        assert!(stream.read(&mut buffer).is_err());
        assert!(stream.is_starved());
    }

    #[test]
    fn writes_are_packed_up_to_the_mtu() {
        let mut stream = DatagramStream::default();
        for len in [700, 500, 1, 1199, 1] {
            assert_eq!(stream.write(&vec![0; len]).unwrap(), len);
        }
        let lens: Vec<usize> = stream.take_written().iter().map(Vec::len).collect();
        assert_eq!(lens, [1200, 1200, 1]);
        assert!(stream.take_written().is_empty());
    }
}
