//! Bits, bytes and addresses.

use super::{Case, NONE};

pub(super) const CASES: &[Case] = &[
    Case {
        column_type: "uuid",
        accepted: "\
            0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b|0190A1B2C3D47E5F8A9B0C1D2E3F4A5B|\
            {0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b}",
        refused_alone: "0190-a1b2-c3d4-7e5f-8a9b-0c1d-2e3f-4a5b",
        refused_by_both: "\
            | 0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b|{0190a1b2c3d47e5f8a9b0c1d2e3f4a5b",
        forms: &["[0-9a-fA-F]{32}", "\\{[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\\}"],
        ..NONE
    },
    Case {
        column_type: "bytea",
        accepted: "|\\x|\\x00fFA0",
        refused_alone: "abc|\\000|\\x 00",
        refused_by_both: "\\x0|\\x0g",
        forms: &["\\\\x([0-9a-fA-F]{2}){0,20}"],
        ..NONE
    },
    Case {
        column_type: "bit(3)",
        accepted: "101",
        refused_alone: "b101",
        refused_by_both: "10|1010||102",
        forms: &["[01]{2,4}"],
        ..NONE
    },
    Case {
        column_type: "varbit(12)",
        accepted: "|1|101010101010",
        refused_alone: "xF0",
        refused_by_both: "1010101010101| 1",
        forms: &["[01]{0,14}"],
        ..NONE
    },
    Case { column_type: "varbit", accepted: "|1", forms: &["[01]{0,80}"], ..NONE },
    Case {
        column_type: "inet",
        accepted: "10.1.2.3|10.1.2.3/8|0.0.0.0/0|::1|2001:DB8::/32|::ffff:1.2.3.4/96",
        refused_alone: "10.1.2.3/08",
        refused_by_both: "|1.2.3.4/33|1.2.3|fe80::1%eth0|::1/129",
        forms: &[
            "([1-9]?[0-9]|1[0-9]{2})(\\.([1-9]?[0-9]|2[0-5]{2})){3}(/[1-3]?[0-9])?",
            "([0-9a-f]{1,4}:){7}[0-9a-f]{1,4}(/1?[1-9][0-9])?",
            "[0-9a-f]{1,4}(:[0-9a-f]{1,4}){0,5}::([0-9a-f]{1,4})?",
        ],
        ..NONE
    },
    Case {
        column_type: "cidr",
        accepted: "10.1.0.0/16|10.1.2.3|0.0.0.0/0|::/0|2001:db8::/32",
        refused_alone: "10|10.1/16|192.168.1",
        refused_by_both: "10.1.0.1/16|::1/0",
        forms: &["1[0-9]\\.[0-9]\\.(0|128)\\.0/[12][0-9]", "[0-9a-f]{4}:[0-9a-f]00::/[1-4][0-9]"],
        ..NONE
    },
    Case {
        column_type: "macaddr",
        accepted: "08:00:2b:01:02:03|08-00-2B-01-02-03|0800.2b01.0203|08002b010203",
        refused_alone: "08002b:010203|8:0:2b:1:2:3| 08:00:2b:01:02:03",
        refused_by_both: "|08:00:2b:01:02",
        forms: &["[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}", "[0-9a-f]{12}"],
        ..NONE
    },
    Case {
        column_type: "macaddr8",
        accepted: "08:00:2b:01:02:03:04:05|0800.2b01.0203.0405|08002b0102030405",
        refused_alone: "08:00:2b:01:02:03|08002b:0102030405",
        refused_by_both: "|08:00-2b:01:02:03:04:05",
        forms: &["[0-9a-fA-F]{2}(-[0-9a-fA-F]{2}){7}"],
        ..NONE
    },
];
