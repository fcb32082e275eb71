//! How the records of files fit a table: by a header each, or by the keys of their objects.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{HeaderError, Keys, Layout};
use crate::config::Fitting;
use crate::schema::Table;

/// Different headers that are remembered.
const HEADERS_MAX: usize = 100;

/// How the records of a file fit the table.
#[derive(Debug, Clone)]
pub enum Fit {
    /// By the header that stands above them.
    Header(Arc<Layout>),
    /// Each by the keys in it.
    Keys(Arc<Keys>),
}

/// How files fit the table of a stream. Files with the very same fit can share micro-batches, so
/// each header has one fit, and all files without have one. Clones share them.
#[derive(Debug, Clone)]
pub struct Fits(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    table: Arc<Table>,
    fitting: Fitting,
    made: Mutex<Made>,
}

#[derive(Debug, Default)]
struct Made {
    /// Those of the headers seen last.
    by_header: HashMap<Vec<String>, Arc<Layout>>,
    keys: Option<Arc<Keys>>,
}

impl Fit {
    /// Whether it is the very same.
    pub fn is(&self, other: &Fit) -> bool {
        match (self, other) {
            (Fit::Header(one), Fit::Header(other)) => Arc::ptr_eq(one, other),
            (Fit::Keys(one), Fit::Keys(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}

impl Fits {
    /// The fits of files to `table`, as `fitting` says.
    pub fn new(table: Arc<Table>, fitting: &Fitting) -> Fits {
        Fits(Arc::new(Inner { table, fitting: fitting.clone(), made: Mutex::default() }))
    }

    /// The fit of files whose records are JSON objects.
    pub fn of_objects(&self) -> Fit {
        let made = || Arc::new(Keys::new(self.0.table.clone(), &self.0.fitting));
        Fit::Keys(self.lock().keys.get_or_insert_with(made).clone())
    }

    /// The fit of files with this header.
    ///
    /// # Errors
    /// When the header does not fit the table.
    pub fn of_header(&self, header: Vec<String>) -> Result<Fit, HeaderError> {
        let mut made = self.lock();
        if let Some(layout) = made.by_header.get(&header) {
            return Ok(Fit::Header(layout.clone()));
        }
        if made.by_header.len() >= HEADERS_MAX {
            made.by_header.clear();
        }
        let layout = Arc::new(Layout::new(header.clone(), &self.0.table, &self.0.fitting)?);
        made.by_header.insert(header, layout.clone());
        Ok(Fit::Header(layout))
    }

    fn lock(&self) -> MutexGuard<'_, Made> {
        self.0.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
