//! What the keys of JSON objects mean.

use std::collections::HashMap;

/// What a key means.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// Which of the table's columns takes its value.
    pub(super) column: Option<usize>,
    /// What the keys of the object in it mean.
    pub(super) children: HashMap<String, Node>,
}

impl Node {
    /// The node that these keys lead to, from the outermost on; made where it is missing.
    pub(super) fn at(&mut self, path: &[String]) -> &mut Node {
        path.iter().fold(self, |node, key| node.children.entry(key.clone()).or_default())
    }
}
