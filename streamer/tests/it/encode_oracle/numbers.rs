//! Numbers and booleans.

use super::{Case, NONE};

const WHOLE: [&str; 2] = ["[+-]?[0-9]{1,20}", " {0,2}-?[0-9]{1,5} {0,2}"];
const DECIMAL: [&str; 3] = [
    "[+-]?[0-9]{1,40}\\.[0-9]{0,40}",
    "-?(0|[1-9][0-9]{0,30})",
    "[+-]?(\\.[0-9]{1,6}|[0-9]{1,6}\\.?[0-9]{0,6})[eE][+-]?[0-9]{1,2}",
];
pub(super) const CASES: &[Case] = &[
    Case {
        column_type: "boolean",
        accepted: "true|F| t |0|1|FaLSe",
        refused_alone: "yes|of|on|tr|n",
        refused_by_both: "|2|o|truee",
        ..NONE
    },
    Case {
        column_type: "smallint",
        accepted: "32767|-32768|+7|-0|007| 12 ",
        refused_by_both: "|32768|1.0|1e3|1,7",
        forms: &WHOLE,
        ..NONE
    },
    Case {
        column_type: "integer",
        accepted: "2147483647|-2147483648|0",
        refused_alone: "\t5\n",
        refused_by_both: "2147483648|- 5|5 5|NULL",
        forms: &WHOLE,
        ..NONE
    },
    Case {
        column_type: "bigint",
        accepted: "9223372036854775807|-9223372036854775808|000000000000000000000001",
        refused_by_both: "9223372036854775808|12a|--1|١",
        forms: &WHOLE,
        ..NONE
    },
    Case {
        column_type: "oid",
        accepted: "0|4294967295|+5",
        refused_alone: "-1",
        refused_by_both: "4294967296|",
        forms: &["[0-9]{1,11}"],
        ..NONE
    },
    Case {
        column_type: "real",
        accepted: "1.5|16777217|3.4028235e38|1e-45|-0|0.1|1.17549429e-38|Infinity|-infinity",
        refused_alone: "NaN|-inf",
        refused_by_both: "1e39|1e-46||1.2.3",
        forms: &DECIMAL,
        ..NONE
    },
    Case {
        column_type: "double precision",
        accepted: "0.1|5e-324|1.7976931348623157e308|9007199254740993|1.|.5|Infinity",
        refused_alone: "nan|inf|0x1p3",
        refused_by_both: "1e309|1e-400|.|1e|1,5",
        forms: &DECIMAL,
        ..NONE
    },
    Case {
        column_type: "numeric",
        accepted: "\
            0|-0.00|1.500|10000|0.0001|12345678901234567890.123456789|1e131071|1e-16383|\
            1.50e1|0e5|0e999999|5.e3|+.5E-3| 7 |infinity|-Infinity",
        refused_alone: "NaN|-Inf",
        refused_by_both: "1e131072|1e-16384||.|1 2|0x|1e|--1",
        forms: &DECIMAL,
        ..NONE
    },
    Case {
        column_type: "numeric(10,2)",
        accepted: "99999999.99|1.500|-0.010|12e2|125e-2|0.000000",
        refused_alone: "1.005|1e-3|NaN|99999999.989",
        refused_by_both: "100000000|99999999.999|1,50",
        forms: &["-?[0-9]{1,9}(\\.[0-9]{1,2}0{0,3})?"],
        ..NONE
    },
    Case {
        column_type: "numeric(3,-2)",
        accepted: "100|99900|-1200.00|0",
        refused_alone: "1234|50|0.1",
        refused_by_both: "100000",
        forms: &["-?[0-9]{1,4}00(\\.0{1,3})?"],
        ..NONE
    },
    Case {
        column_type: "numeric(2,4)",
        accepted: "0.0099|-0.001|0",
        refused_alone: "0.00991",
        refused_by_both: "0.01|1",
        forms: &["0\\.00[0-9]{1,2}0{0,2}"],
        ..NONE
    },
];
