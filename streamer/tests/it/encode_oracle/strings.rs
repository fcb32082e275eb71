//! Strings, enums, domains and xml.

use super::{Case, NONE};

pub(super) const CASES: &[Case] = &[
    Case {
        column_type: "text",
        accepted: "| a |NULL|\\.|\\N|a\"b'c\\d|\u{feff}é\u{202e}😀\u{ffff}\n\r\t",
        forms: &["(?s).{0,40}"],
        ..NONE
    },
    Case {
        column_type: "varchar(3)",
        accepted: "|äöü|ab |😀😀😀",
        refused_alone: "abc |ab   ",
        refused_by_both: "abcd|  abc",
        forms: &["[ -~]{0,2}[!-~]{1,2}", "\\PC{0,3}"],
        ..NONE
    },
    Case {
        column_type: "char(4)",
        accepted: "|ab|äöüß|a b ",
        refused_alone: "ab   ",
        refused_by_both: "abcde",
        forms: &["[ -~]{0,2}[!-~]{1,3}"],
        ..NONE
    },
    Case { column_type: "varchar", accepted: "|a  ", forms: &["\\PC{0,30}"], ..NONE },
    Case {
        column_type: "name",
        accepted: "\
            |a b|123456789012345678901234567890123456789012345678901234567890123",
        refused_alone: "1234567890123456789012345678901234567890123456789012345678901234",
        forms: &["[a-z ]{0,63}"],
        ..NONE
    },
    Case {
        column_type: "mood",
        accepted: "sad|so, so",
        refused_by_both: "|SAD| sad|happy",
        ..NONE
    },
    Case {
        column_type: "codes",
        accepted: "|abc|äöü",
        refused_alone: "abc ",
        refused_by_both: "abcd",
        ..NONE
    },
    Case {
        column_type: "positive",
        accepted: "1| 2147483647",
        refused_by_both: "x|2147483648",
        forms: &["-?[0-9]{1,3}"],
        left_to_server: &["23514"],
        ..NONE
    },
    Case {
        column_type: "xml",
        accepted: "\
            |<a/>|text| <a b='1'>é</a> |<?xml version='1.0' encoding='utf-8'?><a>é</a>|\
            <?xml version=\"1.0\" standalone='yes'?>\n<a/>",
        refused_alone: "<?xml version='1.0' encoding='latin1'?><a>é</a>",
        refused_by_both: "<?xml version='1.0' encoding='x'",
        left_to_server: &["2200M", "2200N"],
        ..NONE
    },
];
