//! Framing: a 4-byte big-endian length, then one postcard-encoded message.

use serde::{Serialize, de::DeserializeOwned};

/// The longest frame either side accepts, in bytes, without the length prefix.
pub const MAX_FRAME_BYTES: usize = 4 << 20;

const PREFIX_BYTES: usize = 4;

/// Why a frame could not be written or read. The connection is of no use after one.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The message is longer than [`MAX_FRAME_BYTES`].
    #[error("frame of {0} bytes is over the limit of {MAX_FRAME_BYTES}")]
    TooLong(usize),
    /// The bytes are not a message of this protocol version.
    #[error("malformed message: {0}")]
    Malformed(#[from] postcard::Error),
}

/// Appends one framed message to `out`; on error `out` is as it was.
pub fn encode<T: Serialize>(message: &T, out: &mut Vec<u8>) -> Result<(), FrameError> {
    let body = postcard::to_stdvec(message)?;
    if body.len() > MAX_FRAME_BYTES {
        return Err(FrameError::TooLong(body.len()));
    }
    out.extend_from_slice(&(body.len() as u32).to_be_bytes());
    out.extend_from_slice(&body);
    Ok(())
}

/// Cuts a byte stream into messages.
#[derive(Debug, Default)]
pub struct FrameDecoder {
    buffer: Vec<u8>,
    /// Bytes at the front of `buffer` that were handed out already.
    consumed: usize,
}

impl FrameDecoder {
    /// Adds bytes as they came from the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.consumed > 0 {
            self.buffer.drain(..self.consumed);
            self.consumed = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole message, `None` until more bytes come.
    pub fn next_message<T: DeserializeOwned>(&mut self) -> Result<Option<T>, FrameError> {
        let rest = &self.buffer[self.consumed..];
        let Some((prefix, rest)) = rest.split_first_chunk::<PREFIX_BYTES>() else {
            return Ok(None);
        };
        let len = u32::from_be_bytes(*prefix) as usize;
        if len > MAX_FRAME_BYTES {
            return Err(FrameError::TooLong(len));
        }
        let Some(body) = rest.get(..len) else {
            return Ok(None);
        };
        let message = postcard::from_bytes(body)?;
        self.consumed += PREFIX_BYTES + len;
        Ok(Some(message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_any_cut_of_the_stream() {
        let mut bytes = Vec::new();
        encode(&(7u32, "seven".to_owned()), &mut bytes).unwrap();
        encode(&(8u32, "eight".to_owned()), &mut bytes).unwrap();
        for cut in 0..bytes.len() {
            let mut decoder = FrameDecoder::default();
            let mut seen: Vec<(u32, String)> = Vec::new();
            for part in [&bytes[..cut], &bytes[cut..]] {
                decoder.push(part);
                while let Some(message) = decoder.next_message().unwrap() {
                    seen.push(message);
                }
            }
            assert_eq!(seen, [(7, "seven".to_owned()), (8, "eight".to_owned())]);
        }
    }

    #[test]
    fn an_over_long_prefix_is_refused_before_its_body_is_awaited() {
        let mut decoder = FrameDecoder::default();
        decoder.push(&u32::MAX.to_be_bytes());
        assert!(matches!(
            decoder.next_message::<u32>(),
            Err(FrameError::TooLong(_))
        ));
    }
}
