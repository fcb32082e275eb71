//! How the records of files fit a table: by a header each, or by the keys of their objects.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::{HeaderError, Keys, Layout};
use crate::config::Fitting;
use crate::schema::Table;

/// Different headers that are remembered.
const HEADERS_MAX: usize = 100;

/// One with more names is not: a table has at most 1,600 columns.
const NAMES_MAX: usize = 2000;

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
    fitting: Fitting,
    made: Mutex<Made>,
    /// A header did not fit: the table may have changed.
    misfit: Notify,
}

#[derive(Debug)]
struct Made {
    table: Arc<Table>,
    /// Those of the headers seen last.
    by_header: HashMap<Arc<[String]>, Arc<Layout>>,
    keys: Option<Arc<Keys>>,
    /// How often the table's description was renewed.
    renewals: u64,
}

impl Made {
    fn of(table: Arc<Table>, renewals: u64) -> Made {
        Made { table, by_header: HashMap::new(), keys: None, renewals }
    }
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
        let made = Mutex::new(Made::of(table, 0));
        Fits(Arc::new(Inner { fitting: fitting.clone(), made, misfit: Notify::new() }))
    }

    /// The table is described by `table` now. Files that are read have the fits that they had.
    /// Returns what is new, in words, if anything is.
    pub fn renew(&self, table: Table) -> Option<String> {
        let mut made = self.lock();
        if *made.table == table {
            return None;
        }
        let difference = made.table.difference(&table);
        *made = Made::of(Arc::new(table), made.renewals + 1);
        Some(difference)
    }

    /// How often the table's description was renewed.
    pub fn renewals(&self) -> u64 {
        self.lock().renewals
    }

    /// Waits until a header does not fit.
    pub async fn misfit(&self) {
        self.0.misfit.notified().await;
    }

    /// The fit of files whose records are JSON objects.
    pub fn of_objects(&self) -> Fit {
        let mut made = self.lock();
        let table = made.table.clone();
        let keys = made.keys.get_or_insert_with(|| Arc::new(Keys::new(table, &self.0.fitting)));
        Fit::Keys(keys.clone())
    }

    /// The fit of files with this header.
    ///
    /// # Errors
    /// When the header does not fit the table.
    pub fn of_header(&self, header: Vec<String>) -> Result<Fit, HeaderError> {
        let mut made = self.lock();
        if let Some(layout) = made.by_header.get(header.as_slice()) {
            return Ok(Fit::Header(layout.clone()));
        }
        let header: Arc<[String]> = header.into();
        let layout = Layout::new(header.clone(), &made.table, &self.0.fitting);
        let layout = layout.inspect_err(|_| self.0.misfit.notify_one())?;
        layout.notices.iter().for_each(|notice| tracing::info!("{notice}"));
        let layout = Arc::new(layout);
        if header.len() <= NAMES_MAX {
            if made.by_header.len() >= HEADERS_MAX {
                made.by_header.clear();
            }
            made.by_header.insert(header, layout.clone());
        }
        Ok(Fit::Header(layout))
    }

    fn lock(&self) -> MutexGuard<'_, Made> {
        self.0.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
