//! Which type of the catalog is encoded how, and which is left to PostgreSQL.

use super::array::Array;
use super::binary::BitLength;
use super::datetime::Precision;
use super::numeric::Limits;
use super::{Kind, Type, TypeCatalog, Zone};

/// Domains over domains and the like, more than anybody makes.
const DEPTH_MAX: usize = 16;

/// What a stream says of the meaning of texts.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// What a time without a zone means.
    pub zone: &'a Zone,
    /// Whether floating-point and decimal numbers may be NaN.
    pub takes_nan: bool,
}

impl Type {
    /// How a column of this type is encoded. `typmod` is `atttypmod`, -1 for none.
    pub fn resolve(catalog: &TypeCatalog, oid: u32, typmod: i32, rules: Rules<'_>) -> Type {
        let kind = resolve(catalog, oid, typmod, rules, DEPTH_MAX);
        Type(kind.unwrap_or(Kind::Opaque { takes_empty: false }))
    }
}

/// Types are told apart by the server's functions that read them, not by oid, so that extensions'
/// types which borrow those functions (`citext`) are known too. `None` for those that none of ours
/// can encode.
fn resolve(
    catalog: &TypeCatalog,
    oid: u32,
    typmod: i32,
    rules: Rules<'_>,
    depth: usize,
) -> Option<Kind> {
    let entry = catalog.get(oid).filter(|_| depth > 0)?;
    let part = |typmod| {
        let kind = resolve(catalog, entry.part, typmod, rules, depth - 1);
        Type(kind.unwrap_or(Kind::Opaque { takes_empty: false }))
    };
    match (entry.input.as_str(), entry.receive.as_str()) {
        ("domain_in", "domain_recv") => Some(part(entry.part_typmod).0),
        ("array_in", "array_recv") => {
            let [delimiter] = *catalog.get(entry.part)?.delimiter.as_bytes() else { return None };
            let (element, element_oid) = (part(typmod), entry.part);
            Some(Kind::Array(Box::new(Array { element, element_oid, delimiter })))
        }
        ("range_in", "range_recv") => Some(Kind::Range(Box::new(part(-1)))),
        ("enum_in", "enum_recv") => Some(Kind::Enum(entry.labels.clone())),
        ("interval_in", "interval_recv") => Some(Kind::Interval {
            precision: interval_precision(typmod)?,
            takes_infinite: catalog.has_infinite_intervals(),
        }),
        (input, receive) => built_in(input, receive, typmod, rules),
    }
}

fn built_in(input: &str, receive: &str, typmod: i32, rules: Rules<'_>) -> Option<Kind> {
    let Rules { zone, takes_nan } = rules;
    Some(match (input, receive) {
        ("boolin", "boolrecv") => Kind::Bool,
        ("int2in", "int2recv") => Kind::Int2,
        ("int4in", "int4recv") => Kind::Int4,
        ("int8in", "int8recv") => Kind::Int8,
        ("oidin", "oidrecv") => Kind::Oid,
        ("float4in", "float4recv") => Kind::Float4 { takes_nan },
        ("float8in", "float8recv") => Kind::Float8 { takes_nan },
        ("numeric_in", "numeric_recv") => {
            Kind::Numeric { limits: Limits::from_typmod(typmod), takes_nan }
        }
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
