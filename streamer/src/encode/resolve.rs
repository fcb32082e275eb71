//! Which type of the catalog is encoded how.

use super::array::Array;
use super::binary::BitLength;
use super::datetime::Precision;
use super::numeric::Limits;
use super::{Kind, Type, TypeCatalog, Zone};

/// A type that no text can be encoded for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("type {type_name} is not supported")]
pub struct Unsupported {
    /// As `format_type` prints it, or its oid if the catalog has not loaded it.
    pub type_name: String,
}

/// Domains over domains and the like, more than anybody makes.
const DEPTH_MAX: usize = 16;

impl Type {
    /// How a column of this type is encoded. `typmod` is `atttypmod`, -1 for none; `zone` is what a
    /// time without a zone means.
    ///
    /// # Errors
    /// Names the type when it cannot be encoded: the column's own or one it is made of.
    pub fn resolve(
        catalog: &TypeCatalog,
        oid: u32,
        typmod: i32,
        zone: &Zone,
    ) -> Result<Type, Unsupported> {
        resolve(catalog, oid, typmod, zone, DEPTH_MAX)
    }
}

/// Types are told apart by the server's functions that read them, not by oid, so that extensions'
/// types which borrow those functions (`citext`) are known too.
fn resolve(
    catalog: &TypeCatalog,
    oid: u32,
    typmod: i32,
    zone: &Zone,
    depth: usize,
) -> Result<Type, Unsupported> {
    let Some(entry) = catalog.get(oid).filter(|_| depth > 0) else {
        return Err(Unsupported { type_name: format!("with oid {oid}") });
    };
    let part = |typmod| resolve(catalog, entry.part, typmod, zone, depth - 1);
    let kind = match (entry.input.as_str(), entry.receive.as_str()) {
        ("domain_in", "domain_recv") => return part(entry.part_typmod),
        ("array_in", "array_recv") => {
            let element = catalog.get(entry.part).map(|element| element.delimiter.as_bytes());
            let Some([delimiter]) = element else {
                return Err(Unsupported { type_name: entry.name.clone() });
            };
            let (element, element_oid) = (part(typmod)?, entry.part);
            Kind::Array(Box::new(Array { element, element_oid, delimiter: *delimiter }))
        }
        ("range_in", "range_recv") => Kind::Range(Box::new(part(-1)?)),
        ("enum_in", "enum_recv") => Kind::Enum(entry.labels.clone()),
        (input, receive) => built_in(input, receive, typmod, zone)
            .ok_or_else(|| Unsupported { type_name: entry.name.clone() })?,
    };
    Ok(Type(kind))
}

fn built_in(input: &str, receive: &str, typmod: i32, zone: &Zone) -> Option<Kind> {
    Some(match (input, receive) {
        ("boolin", "boolrecv") => Kind::Bool,
        ("int2in", "int2recv") => Kind::Int2,
        ("int4in", "int4recv") => Kind::Int4,
        ("int8in", "int8recv") => Kind::Int8,
        ("oidin", "oidrecv") => Kind::Oid,
        ("float4in", "float4recv") => Kind::Float4,
        ("float8in", "float8recv") => Kind::Float8,
        ("numeric_in", "numeric_recv") => Kind::Numeric(Limits::from_typmod(typmod)),
        ("textin", "textrecv") => Kind::Text(None),
        ("varcharin", "varcharrecv") | ("bpcharin", "bpcharrecv") => Kind::Text(characters(typmod)),
        ("namein", "namerecv") => Kind::Name,
        ("xml_in", "xml_recv") => Kind::Xml,
        ("json_in", "json_recv") => Kind::Json,
        ("jsonb_in", "jsonb_recv") => Kind::Jsonb,
        ("uuid_in", "uuid_recv") => Kind::Uuid,
        ("byteain", "bytearecv") => Kind::Bytea,
        ("bit_in", "bit_recv") => Kind::Bits(bits(typmod, BitLength::Exactly)),
        ("varbit_in", "varbit_recv") => Kind::Bits(bits(typmod, BitLength::AtMost)),
        ("date_in", "date_recv") => Kind::Date,
        ("time_in", "time_recv") => Kind::Time(Precision::from_typmod(typmod)),
        ("timetz_in", "timetz_recv") => Kind::Timetz(Precision::from_typmod(typmod), zone.clone()),
        ("timestamp_in", "timestamp_recv") => Kind::Timestamp(Precision::from_typmod(typmod)),
        ("timestamptz_in", "timestamptz_recv") => {
            Kind::Timestamptz(Precision::from_typmod(typmod), zone.clone())
        }
        ("interval_in", "interval_recv") => Kind::Interval(interval_precision(typmod)?),
        ("inet_in", "inet_recv") => Kind::Network { is_cidr: false },
        ("cidr_in", "cidr_recv") => Kind::Network { is_cidr: true },
        ("macaddr_in", "macaddr_recv") => Kind::Mac { bytes: 6 },
        ("macaddr8_in", "macaddr8_recv") => Kind::Mac { bytes: 8 },
        _ => return None,
    })
}

/// The n of `varchar(n)`. Origin: `VARHDRSZ` is in the typmod.
fn characters(typmod: i32) -> Option<usize> {
    usize::try_from(typmod).ok().and_then(|typmod| typmod.checked_sub(4))
}

fn bits(typmod: i32, length: fn(usize) -> BitLength) -> BitLength {
    usize::try_from(typmod).map_or(BitLength::Any, length)
}

/// None for `interval year` and the like, which drop what they do not keep.
/// Origin: src/include/utils/timestamp.h, `INTERVAL_RANGE` and `INTERVAL_PRECISION`.
fn interval_precision(typmod: i32) -> Option<Precision> {
    const FULL_RANGE: i32 = 0x7fff;
    match (typmod >> 16 & FULL_RANGE, typmod & 0xffff) {
        _ if typmod < 0 => Some(Precision::FULL),
        (FULL_RANGE, precision) => Some(Precision::from_typmod(precision)),
        _ => None,
    }
}
