//! One fit a header, and one for all files without: files with the same fit can share micro-batches.

use std::collections::HashMap;
use std::sync::Arc;

use crate::batch::Fit;
use crate::config::Stream;
use crate::layout::{HeaderError, Keys, Layout};
use crate::schema::Table;

/// Different headers that are remembered.
const LAYOUTS_MAX: usize = 100;

/// The layouts of the headers seen last.
#[derive(Debug)]
pub(super) struct Layouts {
    table: Arc<Table>,
    layouts: HashMap<Vec<String>, Arc<Layout>>,
    keys: Option<Arc<Keys>>,
}

impl Layouts {
    pub(super) fn new(table: Arc<Table>) -> Layouts {
        Layouts { table, layouts: HashMap::new(), keys: None }
    }

    /// The fit of files whose records are JSON objects.
    pub(super) fn of_keys(&mut self, stream: &Stream) -> Fit {
        let made = || Arc::new(Keys::new(self.table.clone(), stream));
        Fit::Keys(self.keys.get_or_insert_with(made).clone())
    }

    /// The fit of files with this header.
    ///
    /// # Errors
    /// When the header does not fit the table.
    pub(super) fn of(&mut self, header: Vec<String>, stream: &Stream) -> Result<Fit, HeaderError> {
        if let Some(layout) = self.layouts.get(&header) {
            return Ok(Fit::Header(layout.clone()));
        }
        if self.layouts.len() >= LAYOUTS_MAX {
            self.layouts.clear();
        }
        let layout = Arc::new(Layout::new(header.clone(), &self.table, stream)?);
        self.layouts.insert(header, layout.clone());
        Ok(Fit::Header(layout))
    }
}
