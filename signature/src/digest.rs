//! SHA-256 and HMAC-SHA-256, and their hexadecimal form.

use std::fmt::Write;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// Bytes of a SHA-256 digest.
pub(crate) const SIZE: usize = 32;
/// Bytes of its block (FIPS 180-4).
const BLOCK: usize = 64;

/// SHA-256.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; SIZE] {
    Sha256::digest(bytes).into()
}

/// HMAC-SHA-256 (RFC 2104).
pub(crate) fn hmac(key: &[u8], message: &[u8]) -> [u8; SIZE] {
    keyed(key, message).finalize().into_bytes().into()
}

/// Whether it is the HMAC-SHA-256 of the message, in a time that does not depend on how much of it is right.
pub(crate) fn is_hmac(key: &[u8], message: &[u8], expected: &[u8]) -> bool {
    keyed(key, message).verify_slice(expected).is_ok()
}

fn keyed(key: &[u8], message: &[u8]) -> Hmac<Sha256> {
    // As RFC 2104 has it: what is longer than a block is hashed, what is shorter is followed by zeros.
    let mut block = [0; BLOCK];
    let hashed;
    let short = if key.len() > BLOCK {
        hashed = sha256(key);
        &hashed[..]
    } else {
        key
    };
    block[..short.len()].copy_from_slice(short);
    let mut mac = Hmac::<Sha256>::new(&block.into());
    mac.update(message);
    mac
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a string cannot fail.
            let _always = write!(text, "{byte:02x}");
            text
        })
}

/// The bytes of so many hexadecimal digits.
pub(crate) fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; N];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hmacs_are_those_of_rfc_4231() {
        let jefe = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(hex(&hmac(b"Jefe", b"what do ya want for nothing?")), jefe);
        let long = "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54";
        let message = b"Test Using Larger Than Block-Size Key - Hash Key First";
        assert_eq!(hex(&hmac(&[0xaa; 131], message)), long);
        assert!(is_hmac(
            b"Jefe",
            b"what do ya want for nothing?",
            &unhex::<32>(jefe).unwrap()
        ));
        assert!(!is_hmac(
            b"Jefe",
            b"what do ya want for nothing!",
            &unhex::<32>(jefe).unwrap()
        ));
        assert!(!is_hmac(b"Jefe", b"what do ya want for nothing?", b"short"));
    }

    #[test]
    fn digits_are_read_back_as_bytes_and_nothing_else_is() {
        assert_eq!(unhex::<2>("0aFf"), Some([10, 255]));
        for wrong in ["", "0a", "0aff0", "0agf", "+1+1", "é1f"] {
            assert_eq!(unhex::<2>(wrong), None, "{wrong}");
        }
    }
}
