//! The names of a table's columns, as headers and objects may write them: exactly, else whatever
//! the case and the Unicode normal form; and longer than PostgreSQL keeps names.

use std::collections::HashMap;

use unicase::UniCase;
use unicode_normalization::UnicodeNormalization;

use crate::schema::Table;

/// Bytes of a name that PostgreSQL keeps. Origin: `NAMEDATALEN` - 1.
const NAME_BYTES_MAX: usize = 63;

/// The names of a table's columns, those that it generates last.
#[derive(Debug)]
pub(super) struct Names {
    names: Vec<String>,
    exact: HashMap<String, usize>,
    folded: HashMap<String, Vec<usize>>,
    /// From here on they are generated.
    generated: usize,
}

/// Which column a name is that of.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// The one at this place among the table's.
    Column(usize),
    /// One that the table generates.
    Generated,
    /// None.
    Unknown,
    /// It may be any of these.
    Ambiguous(Vec<String>),
}

impl Names {
    pub(super) fn new(table: &Table) -> Names {
        let names = table.columns.iter().map(|column| &column.name).chain(&table.generated);
        let names: Vec<String> = names.cloned().collect();
        let mut folded: HashMap<String, Vec<usize>> = HashMap::new();
        for (at, name) in names.iter().enumerate() {
            folded.entry(fold(name)).or_default().push(at);
        }
        let exact = names.iter().cloned().zip(0..).collect();
        Names { names, exact, folded, generated: table.columns.len() }
    }

    /// The column that `name` means.
    pub(super) fn find(&self, name: &str) -> Named {
        let kept = kept(name);
        if let Some(&at) = self.exact.get(name).or_else(|| self.exact.get(kept)) {
            return self.named(at);
        }
        let alike = self.folded.get(&fold(name)).or_else(|| self.folded.get(&fold(kept)));
        match alike.map(Vec::as_slice) {
            None => Named::Unknown,
            Some(&[at]) => self.named(at),
            Some(several) => {
                Named::Ambiguous(several.iter().map(|&at| self.names[at].clone()).collect())
            }
        }
    }

    fn named(&self, at: usize) -> Named {
        if at < self.generated { Named::Column(at) } else { Named::Generated }
    }
}

/// Whether PostgreSQL has cut the name.
pub(super) fn is_cut(name: &str) -> bool {
    name.len() > NAME_BYTES_MAX
}

/// As much of a name as PostgreSQL keeps: whole characters.
fn kept(name: &str) -> &str {
    &name[..name.floor_char_boundary(NAME_BYTES_MAX)]
}

/// What names that differ in case and normal form only have in common.
fn fold(name: &str) -> String {
    if name.is_ascii() {
        return name.to_ascii_lowercase();
    }
    let composed: String = name.nfc().collect();
    UniCase::unicode(composed).to_folded_case().nfc().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Names {
        let table =
            Table { generated: names.iter().map(|&n| n.to_owned()).collect(), ..Table::empty() };
        Names { generated: names.len(), ..Names::new(&table) }
    }

    #[test]
    fn a_name_is_found_in_any_case_normal_form_and_length() {
        let long = "x".repeat(62);
        let columns = names(&["id", "änderung", "straße", "café", &long]);
        for (name, found) in [
            ("id", Named::Column(0)),
            ("ID", Named::Column(0)),
            ("ÄNDERUNG", Named::Column(1)),
            ("STRASSE", Named::Column(2)),
            ("cafe\u{301}", Named::Column(3)),
            ("CAFE\u{301}", Named::Column(3)),
            // The 63rd byte is the first of a character of two.
            (&*format!("{long}éé"), Named::Column(4)),
            (&*format!("{}ÉÉ", long.to_uppercase()), Named::Column(4)),
            ("idd", Named::Unknown),
            ("", Named::Unknown),
        ] {
            assert_eq!(columns.find(name), found, "{name}");
        }
    }

    #[test]
    fn a_name_that_may_be_either_is_neither() {
        let columns = names(&["Name", "name"]);
        let either = Named::Ambiguous(vec!["Name".to_owned(), "name".to_owned()]);
        assert_eq!(columns.find("NAME"), either);
        assert_eq!(
            (columns.find("Name"), columns.find("name")),
            (Named::Column(0), Named::Column(1))
        );
    }
}
