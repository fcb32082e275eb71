//! How JSON objects fit a table: keys matched to columns, and which layout each object has.
//!
//! A column that an object lacks gets its default, which COPY gives only to columns that are not
//! sent. So objects with different sets of keys may need different layouts; one that has no default
//! is sent as NULL, and makes no difference.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::header::{ambiguous, left_out};
use super::kept::Kept;
use super::names::{Named, Names};
use super::node::Node;
use super::object::{Object, reason_of};
use super::reason::{NOT_UTF8, shown};
use super::{HeaderError, Layout, Reason, RowEnds};
use crate::config::{Extra, Fitting};
use crate::encode::Refusal;
use crate::format::json::NotAnObject;
use crate::schema::{Column, Table};

/// Different layouts that are remembered, besides those that micro-batches in hand have.
const LAYOUTS_MAX: usize = 1000;

/// Keys or columns that a refusal lists.
const NAMES_SHOWN: usize = 5;

/// The fit of JSON objects to one table.
#[derive(Debug)]
pub struct Keys {
    table: Arc<Table>,
    /// Where the keys lead.
    root: Node,
    /// Of each of the table's columns, which bit tells whether an object has it; none where that
    /// makes no difference.
    bits: Vec<Option<usize>>,
    extra: Extra,
    /// The column that [`Extra::Keep`] fills.
    extra_column: Option<String>,
    /// The name of the stream's time zone.
    zone: String,
    /// Whether one of the table's columns has no binary form. Rows of all layouts are then sent as
    /// text, so that their keys can be compared.
    is_text: bool,
    names: Names,
    /// Whether it was told that values of generated columns are left out.
    is_told: AtomicBool,
    layouts: Mutex<Layouts>,
}

/// The layouts that were made, by the columns that matter.
#[derive(Debug)]
struct Layouts {
    made: HashMap<Vec<u64>, Arc<Layout>>,
    /// With so many, those that nobody has in hand are forgotten.
    full_at: usize,
}

impl Default for Layouts {
    fn default() -> Layouts {
        Layouts { made: HashMap::new(), full_at: LAYOUTS_MAX }
    }
}

impl Layouts {
    fn insert(&mut self, present: Vec<u64>, layout: Arc<Layout>) {
        if self.made.len() >= self.full_at {
            // One that is made anew is another one: rows of one micro-batch would need a COPY more.
            self.made.retain(|_, layout| Arc::strong_count(layout) > 1);
            self.full_at = LAYOUTS_MAX.max(2 * self.made.len());
        }
        self.made.insert(present, layout);
    }
}

impl Keys {
    /// Matches keys to the columns of `table`: by the paths of `fitting`, else by name. A key that
    /// a path names means nothing else.
    pub fn new(table: Arc<Table>, fitting: &Fitting) -> Keys {
        let mut root = Node::default();
        let columns = || table.columns.iter().enumerate();
        for (at, column) in columns().filter(|(_, c)| !fitting.paths.contains_key(&c.name)) {
            root.at(std::slice::from_ref(&column.name)).column = Some(at);
        }
        for (at, column) in columns() {
            if let Some(path) = fitting.paths.get(&column.name) {
                root.at(path).column = Some(at);
            }
        }
        let mut count = 0;
        let mut bit = |column: &Column| {
            let in_key = table.keys.iter().any(|key| key.columns.contains(&column.name));
            let matters = column.has_default || (in_key && !column.not_null);
            (matters && !table.fills(column)).then(|| {
                count += 1;
                count - 1
            })
        };
        let bits = table.columns.iter().map(&mut bit).collect();
        let extra_column = (fitting.extra == Extra::Keep).then(|| fitting.extra_column.clone());
        let (names, zone) = (Names::new(&table), fitting.zone.name().to_owned());
        let is_text = table.columns.iter().any(|column| column.encoding.is_opaque());
        let (extra, layouts, is_told) = (fitting.extra, Mutex::default(), AtomicBool::new(false));
        Keys { table, root, bits, extra, extra_column, zone, is_text, names, is_told, layouts }
    }

    /// Appends the row of the object that `raw` is to `out`, as [`Layout::encode`] does; what it
    /// appended is of no use when there are reasons. Returns the row's layout too.
    pub fn encode(
        &self,
        raw: &[u8],
        out: &mut Vec<u8>,
        reasons: &mut Vec<Reason>,
    ) -> Option<(Arc<Layout>, RowEnds)> {
        let (sqlstate, reason) = match NotAnObject::text_of(raw) {
            Err(_) => NOT_UTF8,
            Ok(text) => match Object::read(text, self.table.columns.len(), |key| self.find(key)) {
                Ok(object) => return self.encode_object(&object, out, reasons),
                Err(error) => ("22P02", error.to_string().into()),
            },
        };
        reasons.push(Reason::of_record(sqlstate, reason));
        None
    }

    fn encode_object(
        &self,
        object: &Object<'_>,
        out: &mut Vec<u8>,
        reasons: &mut Vec<Reason>,
    ) -> Option<(Arc<Layout>, RowEnds)> {
        if object.values.iter().all(Option::is_none) && object.misfits.is_empty() {
            let columns = self.table.columns.iter().map(|c| c.name.as_str());
            let expected = columns.collect::<Vec<_>>().join(", ");
            let reason = format!("has none of the table's columns ({expected})");
            reasons.push(Reason::of_record("42703", reason));
            return None;
        }
        self.judge(object, reasons);
        let mut present = vec![0_u64; self.bits.len().div_ceil(64)];
        for (value, bit) in object.values.iter().zip(&self.bits) {
            if let (Some(_), Some(bit)) = (value, bit) {
                present[bit / 64] |= 1 << (bit % 64);
            }
        }
        match self.layout(present) {
            Ok(layout) => {
                let ends = layout.encode_object(object, out, reasons);
                Some((layout, ends))
            }
            Err(error) => {
                reasons.push(match error {
                    HeaderError::Lacks(column) => {
                        let reason = "missing, but the column must have a value";
                        Reason::of_column(&column, "23502", reason.into())
                    }
                    other => Reason::of_record("22P02", other.to_string()),
                });
                None
            }
        }
    }

    /// Notes what is wrong with an object's keys.
    fn judge(&self, object: &Object<'_>, reasons: &mut Vec<Reason>) {
        reasons.extend(object.twice().into_iter().take(NAMES_SHOWN).map(|name| {
            let reason = format!("key {} comes twice", shown(name.as_bytes()));
            Reason::of_record("42701", reason)
        }));
        for (name, value) in object.misfits.iter().take(NAMES_SHOWN) {
            let reason = "not an object, which the paths of this stream expect here";
            let refusal = Refusal { sqlstate: "22P02", reason: reason.into() };
            reasons.push(reason_of(name, value, refusal));
        }
        let extras = object.extras.iter();
        let judged =
            extras.filter_map(|(name, value)| Some((name, value, self.judge_extra(name)?)));
        for (name, value, reason) in judged.take(NAMES_SHOWN) {
            let refusal = Refusal { sqlstate: "42703", reason: reason.into() };
            reasons.push(reason_of(name, value, refusal));
        }
        for (column, value) in self.table.columns.iter().zip(&object.values) {
            let Some(value) = value else { continue };
            if self.is_kept(column) {
                let reason = "the column that keeps what the table lacks; rename the key, or name \
                              another extra_column for this stream in streams.toml";
                let refusal = Refusal { sqlstate: "0A000", reason: reason.into() };
                reasons.push(reason_of(&column.name, value, refusal));
            }
        }
    }

    /// The layout of objects that have the columns with these bits.
    fn layout(&self, present: Vec<u64>) -> Result<Arc<Layout>, HeaderError> {
        let mut layouts = self.layouts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(layout) = layouts.made.get(&present) {
            return Ok(layout.clone());
        }
        let has = |bit: usize| present[bit / 64] >> (bit % 64) & 1 == 1;
        let columns = self.table.columns.iter().enumerate().zip(&self.bits);
        let sent = columns.filter(|((_, column), bit)| {
            let is_ours = self.table.fills(column) || self.is_kept(column);
            !is_ours && bit.is_none_or(has)
        });
        let fields = sent.map(|((at, column), _)| (column.name.as_str(), at)).collect();
        let kept = self.extra_column.as_ref().map(|column| Kept::new(column, &fields, &[]));
        let layout = Arc::new(Layout::of(
            &fields,
            kept.transpose()?,
            &self.table,
            &self.zone,
            self.is_text,
        )?);
        layouts.insert(present, layout.clone());
        Ok(layout)
    }

    fn is_kept(&self, column: &Column) -> bool {
        self.extra_column.as_ref() == Some(&column.name)
    }

    /// What a key of the record itself means, as in a CSV header.
    fn find(&self, key: &str) -> Option<&Node> {
        let key = key.trim();
        self.root.children.get(key).or_else(|| {
            let Named::Column(at) = self.names.find(key) else { return None };
            // Where a path leads to the column, its name has no meaning of its own.
            let node = self.root.children.get(&self.table.columns[at].name);
            node.filter(|node| node.column == Some(at))
        })
    }

    /// What is wrong with a key that is no column.
    fn judge_extra(&self, name: &str) -> Option<String> {
        let reason = match self.names.find(name.trim()) {
            Named::Ambiguous(columns) => ambiguous(&columns),
            Named::Generated => {
                if !self.is_told.swap(true, Ordering::Relaxed) {
                    tracing::info!("{}", left_out(name, &self.table));
                }
                return None;
            }
            _ if self.extra == Extra::Reject => {
                "the table has no such column; add it, or set extra = \"ignore\" or \"keep\" for this \
                 stream in streams.toml"
                    .to_owned()
            }
            _ => return None,
        };
        Some(reason)
    }

    /// The full name of the table, quoted.
    pub fn table_name(&self) -> &str {
        &self.table.quoted_name
    }
}
