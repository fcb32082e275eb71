//! What must be in the table, and what is.

use std::collections::BTreeMap;

use crate::request::Request;
use crate::world::Rows;

/// How often the records of a request must be in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Demand {
    /// All of them once.
    Once,
    /// All of them once, or none.
    WholeOrNot,
    /// None.
    Never,
}

/// What is demanded of each request, by its number.
pub(crate) type Demands = BTreeMap<u32, (Request, Demand)>;

/// What is wrong with the rows. Also a row of which nothing is demanded is.
pub(crate) fn wrongs(rows: &Rows, demands: &Demands) -> Vec<String> {
    let (mut wrongs, mut expected) = (Vec::new(), 0);
    for (request, demand) in demands.values() {
        let count = |n| rows.get(&(n, request.note())).copied().unwrap_or(0);
        let counts: Vec<u32> = request.numbers().map(count).collect();
        let (is_whole, is_absent) =
            (counts.iter().all(|count| *count == 1), counts.iter().all(|count| *count == 0));
        let is_right = match demand {
            Demand::Once => is_whole,
            Demand::WholeOrNot => is_whole || is_absent,
            Demand::Never => is_absent,
        };
        if !is_right {
            wrongs.push(format!("{request:?}, demanded {demand:?}, is there {counts:?} times"));
        }
        expected += counts.iter().filter(|count| **count > 0).count();
    }
    if rows.len() > expected {
        wrongs.push(format!("rows that nobody sent are among {rows:?}"));
    }
    wrongs
}
