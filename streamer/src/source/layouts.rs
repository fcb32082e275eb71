//! One layout a header: files with the same header share it, and so can share micro-batches.

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::Stream;
use crate::layout::{HeaderError, Layout};
use crate::schema::Table;

/// Different headers that are remembered.
const LAYOUTS_MAX: usize = 100;

/// The layouts of the headers seen last.
#[derive(Debug)]
pub(super) struct Layouts {
    table: Arc<Table>,
    layouts: HashMap<Vec<String>, Arc<Layout>>,
}

impl Layouts {
    pub(super) fn new(table: Arc<Table>) -> Layouts {
        Layouts { table, layouts: HashMap::new() }
    }

    /// The layout of files with this header.
    ///
    /// # Errors
    /// When the header does not fit the table.
    pub(super) fn of(
        &mut self,
        header: Vec<String>,
        stream: &Stream,
    ) -> Result<Arc<Layout>, HeaderError> {
        if let Some(layout) = self.layouts.get(&header) {
            return Ok(layout.clone());
        }
        if self.layouts.len() >= LAYOUTS_MAX {
            self.layouts.clear();
        }
        let layout = Arc::new(Layout::new(header.clone(), &self.table, stream)?);
        self.layouts.insert(header, layout.clone());
        Ok(layout)
    }
}
