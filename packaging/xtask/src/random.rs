//! Random names and passwords, from the kernel.

use std::fs::File;
use std::io::Read;

use anyhow::{Context, Result};

const LETTERS_AND_DIGITS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// `length` random lower-case letters and digits, none of which look alike.
///
/// # Errors
/// When `/dev/urandom` cannot be read.
pub fn word(length: usize) -> Result<String> {
    let mut bytes = vec![0_u8; length];
    File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes)).context("read /dev/urandom")?;
    // 32 divides 256: every character is equally likely.
    Ok(bytes.iter().filter_map(|byte| LETTERS_AND_DIGITS.get(usize::from(byte % 32))).map(|c| char::from(*c)).collect())
}

/// A random number from `range`, for ports. Not evenly distributed to the last digit.
///
/// # Errors
/// When `/dev/urandom` cannot be read.
pub fn port(range: std::ops::Range<u16>) -> Result<u16> {
    Ok(range.start + below(range.end.saturating_sub(range.start))?)
}

/// A random number below `end`; 0 if there is none. Not evenly distributed to the last digit.
///
/// # Errors
/// When `/dev/urandom` cannot be read.
pub fn below(end: u16) -> Result<u16> {
    let mut bytes = [0_u8; 4];
    File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes)).context("read /dev/urandom")?;
    Ok(u16::try_from(u32::from_le_bytes(bytes) % u32::from(end).max(1))?)
}
