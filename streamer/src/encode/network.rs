//! `inet`, `cidr`, `macaddr` and `macaddr8`.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::Refusal;
use super::binary::hex_byte;

/// Origin: src/include/utils/inet.h.
const FAMILY_IPV4: u8 = 2;
const FAMILY_IPV6: u8 = 3;

/// Address family, prefix length, whether it is a `cidr`, number of bytes, the address.
/// Origin: src/backend/utils/adt/network.c, `network_recv`.
///
/// A whole address with or without `/n`; PostgreSQL also completes shortened networks (`10.1/16`).
pub(super) fn encode_network(text: &str, is_cidr: bool, out: &mut Vec<u8>) -> Result<(), Refusal> {
    let malformed = || Refusal::malformed("not an IP address with or without /bits");
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    // Both as 128 bits, an IPv4 address in the highest 32 of them.
    let (family, length, bits) = if let Ok(address) = address.parse::<Ipv4Addr>() {
        (FAMILY_IPV4, 4, u128::from(address.to_bits()) << 96)
    } else {
        let address: Ipv6Addr = address.parse().map_err(|_| malformed())?;
        (FAMILY_IPV6, 16, address.to_bits())
    };
    let prefix_bits = match prefix {
        None => length * 8,
        Some(digits) if digits.starts_with(['+', '0']) && digits != "0" => return Err(malformed()),
        Some(digits) => digits.parse().map_err(|_| malformed())?,
    };
    if prefix_bits > length * 8 {
        return Err(malformed());
    }
    let host = bits.checked_shl(u32::from(prefix_bits)).unwrap_or(0);
    if is_cidr && host != 0 {
        return Err(Refusal::malformed("has bits set to the right of the network's prefix"));
    }
    out.extend_from_slice(&[family, prefix_bits, u8::from(is_cidr), length]);
    out.extend_from_slice(&bits.to_be_bytes()[..usize::from(length)]);
    Ok(())
}

/// `bytes` bytes, 6 for `macaddr` and 8 for `macaddr8`.
/// Origin: src/backend/utils/adt/mac.c, `macaddr_recv`; mac8.c, `macaddr8_recv`.
///
/// Hexadecimal digits in pairs between colons or hyphens, in fours between points, or all in one.
/// PostgreSQL also makes a `macaddr8` of six bytes by putting two into the middle.
pub(super) fn encode_mac(text: &str, bytes: usize, out: &mut Vec<u8>) -> Result<(), Refusal> {
    let malformed = || Refusal::malformed(format!("not a hardware address of {bytes} bytes"));
    let separator = text.bytes().find(|byte| matches!(byte, b':' | b'-' | b'.'));
    let group = match separator {
        None => bytes * 2,
        Some(b'.') => 4,
        Some(_) => 2,
    };
    let mut rest = text.as_bytes();
    for at in 0..bytes {
        if at > 0 && (at * 2).is_multiple_of(group) {
            match rest.split_first() {
                Some((byte, after)) if Some(*byte) == separator => rest = after,
                _ => return Err(malformed()),
            }
        }
        let (pair, after) = rest.split_first_chunk::<2>().ok_or_else(malformed)?;
        out.push(hex_byte(*pair).ok_or_else(malformed)?);
        rest = after;
    }
    if rest.is_empty() { Ok(()) } else { Err(malformed()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str, is_cidr: bool) -> Result<Vec<u8>, &'static str> {
        let mut out = Vec::new();
        encode_network(text, is_cidr, &mut out).map_err(|refusal| refusal.sqlstate)?;
        Ok(out)
    }

    #[test]
    fn addresses_carry_their_prefix() {
        assert_eq!(network("10.1.2.3", false), Ok(vec![2, 32, 0, 4, 10, 1, 2, 3]));
        assert_eq!(network("10.1.2.3/8", false), Ok(vec![2, 8, 0, 4, 10, 1, 2, 3]));
        assert_eq!(network("10.1.0.0/16", true), Ok(vec![2, 16, 1, 4, 10, 1, 0, 0]));
        assert_eq!(network("0.0.0.0/0", true), Ok(vec![2, 0, 1, 4, 0, 0, 0, 0]));
        let mut loopback = vec![3, 128, 0, 16];
        loopback.extend([0; 15]);
        loopback.push(1);
        assert_eq!(network("::1", false), Ok(loopback));
    }

    #[test]
    fn shortened_and_impossible_networks_are_refused() {
        for text in [
            "",
            "10",
            "10.1/16",
            "1.2.3.4/33",
            "1.2.3.4/",
            "1.2.3.4/08",
            "01.2.3.4",
            "fe80::1%eth0",
        ] {
            assert_eq!(network(text, false), Err("22P02"), "{text}");
        }
        assert_eq!(network("10.1.0.1/16", true), Err("22P02"));
        assert_eq!(network("1.2.3.4/0", true), Err("22P02"));
        assert_eq!(network("::1/0", true), Err("22P02"));
    }

    #[test]
    fn hardware_addresses_have_one_kind_of_separator() {
        for text in ["08:00:2b:01:02:03", "08-00-2B-01-02-03", "0800.2b01.0203", "08002b010203"] {
            let mut out = Vec::new();
            encode_mac(text, 6, &mut out).unwrap();
            assert_eq!(out, [8, 0, 0x2b, 1, 2, 3], "{text}");
        }
        encode_mac("08:00:2b:01:02:03:04:05", 8, &mut Vec::new()).unwrap();
        for text in
            ["", "08:00:2b:01:02", "08:00-2b:01:02:03", "08:00:2b:01:02:03:", "8:0:2b:1:2:3"]
        {
            assert!(encode_mac(text, 6, &mut Vec::new()).is_err(), "{text}");
        }
        assert!(encode_mac("08:00:2b:01:02:03", 8, &mut Vec::new()).is_err());
    }
}
