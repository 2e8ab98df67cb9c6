//! Random values for keys, SSRCs and ICE credentials.

use anyhow::{Context, Result};

/// `N` bytes from the operating system.
pub fn bytes<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    fill(&mut bytes)?;
    Ok(bytes)
}

/// Fills `bytes` from the operating system.
pub fn fill(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes)
        .map_err(|error| anyhow::anyhow!("{error}"))
        .context("no random numbers")
}

/// A random SSRC, never 0.
pub fn ssrc() -> Result<u32> {
    Ok(u32::from_be_bytes(bytes()?) | 1)
}

/// `len` characters of the set RFC 8445 allows in user name fragments and passwords.
pub fn ice_string(len: usize) -> Result<String> {
    const SET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut raw = vec![0; len];
    fill(&mut raw)?;
    Ok(raw
        .iter()
        .map(|byte| char::from(SET[usize::from(byte & 63)]))
        .collect())
}
