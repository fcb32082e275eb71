//! The floors of the house, as ARCHITECTURE.md lists them.

use std::cmp::Ordering;
use std::collections::BTreeMap;

/// Behind this line stands the block that lists the floors.
const HEADING: &str = "## The house";

/// Which module stands on which floor. Floors are counted from 1, the lowest.
#[derive(Debug)]
pub(crate) struct Floors {
    by_module: BTreeMap<String, usize>,
    /// The modules of each floor as they are listed, the lowest floor first.
    listed: Vec<String>,
}

impl Floors {
    /// Reads the fenced block of the section: a floor a line, from the top down, its modules
    /// separated by commas.
    ///
    /// # Errors
    /// Where there is no such block, or a module stands on two floors.
    pub(crate) fn read(document: &str) -> Result<Floors, String> {
        let lines = document.lines().skip_while(|line| *line != HEADING);
        let lines = lines.skip_while(|line| !line.starts_with("```")).skip(1);
        let mut listed: Vec<String> =
            lines.take_while(|line| !line.starts_with("```")).map(str::to_owned).collect();
        listed.reverse();
        if listed.is_empty() {
            return Err(format!("no block of floors is below the line `{HEADING}`"));
        }
        let mut by_module = BTreeMap::new();
        for (floor, line) in (1..).zip(&listed) {
            for module in line.split(',').map(str::trim) {
                if by_module.insert(module.to_owned(), floor).is_some() {
                    return Err(format!("`{module}` stands on two floors"));
                }
            }
        }
        Ok(Floors { by_module, listed })
    }

    pub(crate) fn floor_of(&self, module: &str) -> Option<usize> {
        self.by_module.get(module).copied()
    }

    pub(crate) fn modules(&self) -> impl Iterator<Item = &str> {
        self.by_module.keys().map(String::as_str)
    }

    /// Why a file of `importer` must not import `imported`; none if it may.
    pub(crate) fn objection(&self, importer: &str, imported: &str) -> Option<String> {
        let of = |module| self.floor_of(module).ok_or(format!("`{module}` stands on no floor"));
        let (from, to) = match (of(importer), of(imported)) {
            (Ok(from), Ok(to)) => (from, to),
            (Err(unknown), _) | (_, Err(unknown)) => return Some(unknown),
        };
        let (from_name, to_name) = (self.name(from), self.name(to));
        match to.cmp(&from) {
            Ordering::Equal if importer != imported => Some(format!("both are on {from_name}")),
            Ordering::Greater => Some(format!("{to_name} is above {from_name}")),
            Ordering::Equal | Ordering::Less => None,
        }
    }

    /// A floor as messages call it: its number and its modules.
    fn name(&self, floor: usize) -> String {
        format!("floor {floor} ({})", self.listed[floor - 1])
    }
}
