//! Documents, arrays and ranges.

use super::{Case, NONE};

const DOCUMENTS: &str = "\
    1| {\"a\": [1, 2.50, -1e5, true, null], \"b\": {\"a\": \"\\u00e9\\ud83d\\ude00\\n\"}} |\
    \"é\u{7f}\"|[-0, 0.10, 123456789012345678901234567890]";
const NOT_DOCUMENTS: &str = "|{|[1,]|{'a':1}|NaN|01|\"\t\"";
const OBJECT: &str = "\
    \\{\"a\":(-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,9})?([eE][+-]?[0-9]{1,2})?|\
    \"[ !#-\\[\\]-~é]{0,9}\"),\x20?\"b\":\\[(true,|null,|\"\\\\n\",){0,3}\\{\\}\\]\\}";

pub(super) const CASES: &[Case] = &[
    Case {
        column_type: "json",
        accepted: DOCUMENTS,
        refused_alone: "\"\\u0000\"|\"\\ud800\"|1e400",
        refused_by_both: NOT_DOCUMENTS,
        forms: &[OBJECT],
        ..NONE
    },
    Case {
        column_type: "jsonb",
        accepted: DOCUMENTS,
        refused_alone: "{\"a\":1,\"a\":2}|1e400",
        refused_by_both: "\"\\u0000\"|\"\\ud800\"|1e-20000|[1|01",
        forms: &[OBJECT],
        ..NONE
    },
    Case {
        column_type: "int[]",
        accepted: "{}| { } |{1,2,NULL}|{{1},{2}}|{ 1 , -2 }|{\"1\"}|{{{1,null}}}|[2:3]={1,2}|[-1:0][4:4]={{1},{2}}",
        refused_alone: "{\\1}",
        refused_by_both: "[2:3]={1}|[1:1][1:1]={1}|[2:1]={}||1|{1|{1,}|{{1},{2,3}}|{1}{2}|{99999999999}",
        forms: &[
            "\\{(-?[0-9]{1,10}, ?){0,4}(NULL|[0-9])\\}",
            "\\{\\{[1-9],[1-9]\\}(,\\{[1-9],[1-9]\\}){0,3}\\}",
        ],
        ..NONE
    },
    Case {
        column_type: "text[]",
        accepted: "{a b,\"c,d\",\"NULL\",\"\",é}|{\"\\\\\\\"x\"}|{null}|{\ta\n}",
        refused_alone: "{a\\b}",
        refused_by_both: "{,}|{\"a}|{a,,b}",
        forms: &[
            "\\{[a-zé]{1,3}[ \\t]{0,2}[a-z](,\"([ !#-\\[\\]-~]|\\\\\\\\|\\\\\"){0,9}\"){0,3}\\}",
            "\\{(\"([{},]|\\PC)?[a-z]\",){0,3}NULL\\}",
        ],
        ..NONE
    },
    Case {
        column_type: "numeric(5,2)[]",
        accepted: "{1.25,100.10,NULL}",
        refused_alone: "{1.255}",
        refused_by_both: "{1000}",
        forms: &["\\{([0-9]{1,4}\\.[0-9]{2},){0,3}0\\}"],
        ..NONE
    },
    Case { column_type: "mood[]", accepted: "{sad,\"so, so\"}", refused_by_both: "{x}", ..NONE },
    Case { column_type: "codes[]", accepted: "{abc}", refused_by_both: "{abcd}", ..NONE },
    Case {
        column_type: "timestamptz[]",
        accepted: "{2026-01-02T03:04:05Z,\"2026-01-02 03:04:05+02\"}",
        refused_alone: "{now}",
        ..NONE
    },
    Case {
        column_type: "int4range",
        accepted: "empty|[1,5)|(1,5]|[1,]|(,)|(\"1\", 5 )|[5,5)",
        refused_alone: " [1,5) |[1\\0,50)",
        refused_by_both: "|1,5|[1,5|[x,5]",
        forms: &["[\\[(]-?[0-9]{0,5},[1-9]?[0-9]{0,9}[\\])]"],
        left_to_server: &["22000", "22003"],
    },
    Case {
        column_type: "numrange",
        accepted: "[1.10,2.5]|(,1e3]",
        refused_alone: "[NaN,]",
        forms: &["[\\[(]-[0-9]{1,5}\\.[0-9]{0,5},[0-9]{1,9}[\\])]"],
        left_to_server: &["22000"],
        ..NONE
    },
    Case {
        column_type: "tstzrange",
        accepted: "[-infinity,)|\
            [2026-01-02T03:04:05Z,\"2026-01-03 00:00+02\")|[2026-01-02 03:04,)",
        refused_alone: "[today,)",
        left_to_server: &["22000"],
        ..NONE
    },
    Case {
        column_type: "daterange",
        accepted: "[2026-01-02,2026-01-31]",
        refused_by_both: "[2026-02-30,)",
        left_to_server: &["22000", "22008"],
        ..NONE
    },
    Case {
        column_type: "priced[]",
        accepted: "{\"[1.5,2.5)\",empty,NULL}",
        left_to_server: &["22000"],
        ..NONE
    },
];
