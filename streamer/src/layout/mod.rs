//! How the records of a file fit a table: header names matched to columns, records encoded as rows.

mod fit;
mod header;
mod kept;
mod keys;
mod node;
mod object;
mod reason;

use std::collections::HashMap;

pub use fit::{Fit, Fits};
pub use header::HeaderError;
use header::{Matched, match_names};
use kept::Kept;
pub use keys::Keys;
pub use reason::{BAD_COPY_FILE_FORMAT, Reason, escaped};
use reason::{NOT_UTF8, ValueRefusal};

use crate::config::{Extra, Fitting};
use crate::encode::{Refusal, Type};
use crate::format::Fields;
use crate::schema::{BATCH_ID, BIGINT_OID, Column, INGESTED_AT, Key, Table};
use crate::sql::quote;

/// The fit of one header, or of one set of JSON keys, to one table.
#[derive(Debug)]
pub struct Layout {
    /// The header, as read; empty where there is none.
    pub header: Vec<String>,
    /// The table's full name, quoted.
    pub table: String,
    /// The columns that are sent, in their order.
    pub columns: Vec<SentColumn>,
    /// The statement that takes the rows.
    pub copy_statement: String,
    /// See [`Table::is_one_heap`].
    pub is_one_heap: bool,
    /// The key that tells duplicates, where the file has all its columns.
    pub key: Option<LayoutKey>,
    /// What each row ends with, filled at the commit.
    pub filled: Vec<Filled>,
    /// Where in a row it stands when the event was created, if it does.
    pub event_time: Option<EventTime>,
    /// The columns read from the file, in the order they are sent: the key's first.
    targets: Vec<Target>,
    /// The columns that the table lacks, if they are kept. They are sent behind the others.
    kept: Option<Kept>,
    /// What is NULL where it stands unquoted, besides the empty field.
    null: Vec<String>,
}

/// A column that is sent, as the table had it when the layout was made.
#[derive(Debug)]
pub struct SentColumn {
    /// The name as the catalog spells it.
    pub name: String,
    /// The type as SQL spells it.
    pub type_name: String,
    /// The type's number in pg_type.
    pub type_oid: u32,
}

/// The unique key of a layout. Its columns are the first ones of each row.
#[derive(Debug)]
pub struct LayoutKey {
    /// The key's columns.
    pub columns: Vec<KeyColumn>,
    /// The table's full name, quoted.
    pub table: String,
    /// The index's name: which of the table's keys it is.
    pub name: String,
}

/// A column of the key, as a lookup of existing keys needs it.
#[derive(Debug)]
pub struct KeyColumn {
    /// The quoted name.
    pub quoted_name: String,
    /// The type's number in pg_type.
    pub type_oid: u32,
    /// The number of the array type over it.
    pub array_oid: u32,
}

/// A column that the streamer fills itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filled {
    /// `batch_id bigint`.
    BatchId,
    /// `ingested_at timestamptz`: when the transaction began.
    IngestedAt,
}

/// The column that tells when an event was created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventTime {
    /// Which of a row's columns it is.
    pub place: usize,
    /// Whether it counts from 1970, in a unit that the size of the number tells; else it is a
    /// timestamp.
    pub is_number: bool,
}

#[derive(Debug)]
struct Target {
    /// Which field of the record.
    field: usize,
    name: String,
    not_null: bool,
    encoding: Type,
}

impl Layout {
    /// Matches `header` to `table`: exact names first, then whatever the case.
    ///
    /// # Errors
    /// [`HeaderError`] when records under this header can't become rows.
    pub fn new(
        header: Vec<String>,
        table: &Table,
        fitting: &Fitting,
    ) -> Result<Layout, HeaderError> {
        let Matched { fields, extras } = match_names(&header, table)?;
        let kept = match fitting.extra {
            Extra::Keep => Some(Kept::new(&fitting.extra_column, &fields, &extras)?),
            Extra::Reject if !extras.is_empty() => return Err(HeaderError::extra(&extras)),
            Extra::Reject | Extra::Ignore => None,
        };
        let null = fitting.null.clone();
        Ok(Layout { header, null, ..Layout::of(&fields, kept, table)? })
    }

    /// The layout of records whose `fields` are columns of `table`, by their names.
    fn of(
        fields: &HashMap<&str, usize>,
        kept: Option<Kept>,
        table: &Table,
    ) -> Result<Layout, HeaderError> {
        let is_kept =
            |column: &Column| kept.as_ref().is_some_and(|kept| kept.column == column.name);
        let is_whole = |key: &&Key| key.columns.iter().all(|c| is_usable(c, table, fields));
        let key = table.keys.iter().find(is_whole);
        let key_columns: &[String] = key.map_or(&[], |key| &key.columns);
        let is_key = |column: &&Column| key_columns.contains(&column.name);
        let in_key = key_columns.iter().filter_map(|name| table.column(name));
        let beside = table.columns.iter().filter(|column| !is_key(column));
        let mut targets = Vec::new();
        for column in in_key.chain(beside) {
            match fields.get(column.name.as_str()) {
                Some(&field) => targets.push(Target::new(field, column)?),
                None if Table::fills(column) || is_kept(column) => {}
                None if column.has_default || !column.not_null => {}
                None => return Err(HeaderError::Lacks(column.name.clone())),
            }
        }
        let event_time = table.event_time.as_deref().and_then(|name| {
            let place = targets.iter().position(|target| target.name == name)?;
            let is_number = table.column(name)?.type_oid == BIGINT_OID;
            Some(EventTime { place, is_number })
        });
        let filled = filled_columns(table);
        let names = targets.iter().map(|t| t.name.as_str());
        let names = names.chain(kept.iter().map(|kept| kept.column.as_str()));
        let names = names.chain(filled.iter().map(|f| f.name()));
        let columns = names.filter_map(|name| table.column(name)).map(|column| SentColumn {
            name: column.name.clone(),
            type_name: column.type_name.clone(),
            type_oid: column.type_oid,
        });
        let columns: Vec<SentColumn> = columns.collect();
        let names = columns.iter().map(|column| quote(&column.name));
        let names = names.collect::<Vec<String>>().join(", ");
        let copy_statement =
            format!("copy {} ({names}) from stdin (format binary)", table.quoted_name);
        let key = key.map(|key| LayoutKey::new(key, table));
        let (header, null) = (Vec::new(), Vec::new());
        let (table, is_one_heap) = (table.quoted_name.clone(), table.is_one_heap);
        Ok(Layout {
            header,
            table,
            columns,
            copy_statement,
            is_one_heap,
            key,
            filled,
            event_time,
            targets,
            kept,
            null,
        })
    }

    /// The name of the key, which tells it from the table's others.
    pub fn key_name(&self) -> Option<&str> {
        self.key.as_ref().map(|key| key.name.as_str())
    }

    /// How many of a row's first columns are the key.
    pub fn key_len(&self) -> usize {
        self.key.as_ref().map_or(0, |key| key.columns.len())
    }

    /// Appends a record's row to `out`, in the binary COPY format, without the filled columns; what
    /// it appended is of no use when there are reasons. Returns where the key ends in `out`.
    ///
    /// Source: PostgreSQL, COPY, "Binary Format": a count of columns, then each with its length, -1
    /// for NULL.
    pub fn encode(
        &self,
        record: &Fields<'_>,
        out: &mut Vec<u8>,
        reasons: &mut Vec<Reason>,
    ) -> usize {
        if record.count() != self.header.len() {
            self.note_wrong_count(record, reasons);
            return out.len();
        }
        self.put_count(out);
        let mut key_end = out.len();
        for (index, target) in self.targets.iter().enumerate() {
            let quoted = || record.is_quoted(target.field);
            let result = match record.text(target.field) {
                None => Err(NOT_UTF8),
                Some("") if !(target.encoding.takes_empty() && quoted()) => {
                    target.put_null("", out)
                }
                Some(value) if self.is_null(value) && !quoted() => target.put_null(value, out),
                Some(value) => target.put(value, out),
            };
            if let Err(refusal) = result {
                reasons.push(Reason::of_value(&target.name, record.bytes(target.field), refusal));
            }
            if index + 1 == self.key_len() {
                key_end = out.len();
            }
        }
        if let Some(kept) = &self.kept {
            kept.put(record, |value| value.is_empty() || self.is_null(value), out, reasons);
        }
        key_end
    }

    /// Appends what a row begins with: how many columns it has.
    fn put_count(&self, out: &mut Vec<u8>) {
        let columns = self.targets.len() + usize::from(self.kept.is_some()) + self.filled.len();
        let columns = u16::try_from(columns).expect("a table has at most 1,600 columns");
        out.extend(columns.to_be_bytes());
    }

    /// Which field belongs to which column can't be told; that a field is no text can.
    fn note_wrong_count(&self, record: &Fields<'_>, reasons: &mut Vec<Reason>) {
        let (fields, names) = (record.count(), self.header.len());
        let reason = format!("{fields} fields where the header has {names}");
        reasons.push(Reason::of_record(BAD_COPY_FILE_FORMAT, reason));
        if (0..fields).any(|field| record.text(field).is_none()) {
            let (sqlstate, reason) = NOT_UTF8;
            reasons.push(Reason::of_record(sqlstate, reason));
        }
    }

    /// Whether an unquoted text is one of those that the stream says are NULL.
    fn is_null(&self, value: &str) -> bool {
        self.null.iter().any(|null| null == value)
    }
}

impl LayoutKey {
    fn new(key: &Key, table: &Table) -> LayoutKey {
        let columns = key.columns.iter().filter_map(|name| table.column(name)).map(|c| KeyColumn {
            quoted_name: quote(&c.name),
            type_oid: c.type_oid,
            array_oid: c.array_oid,
        });
        let (table, name) = (table.quoted_name.clone(), key.name.clone());
        LayoutKey { columns: columns.collect(), table, name }
    }
}

impl Target {
    fn new(field: usize, column: &Column) -> Result<Target, HeaderError> {
        let Some(encoding) = column.encoding.clone() else {
            return Err(HeaderError::UnsupportedType {
                column: column.name.clone(),
                type_name: column.type_name.clone(),
            });
        };
        Ok(Target { field, name: column.name.clone(), not_null: column.not_null, encoding })
    }

    /// Appends NULL, which `text` stands for.
    fn put_null(&self, text: &str, out: &mut Vec<u8>) -> Result<(), ValueRefusal> {
        if self.not_null {
            let what = if text.is_empty() { "empty" } else { "NULL by the stream's setting" };
            return Err(("23502", format!("{what}, but the column must have a value").into()));
        }
        out.extend((-1_i32).to_be_bytes());
        Ok(())
    }

    fn put(&self, text: &str, out: &mut Vec<u8>) -> Result<(), ValueRefusal> {
        put_value(out, |out| self.encoding.encode(text, out))
    }
}

/// Appends what `encode` appends, with its length in front.
fn put_value(
    out: &mut Vec<u8>,
    encode: impl FnOnce(&mut Vec<u8>) -> Result<(), Refusal>,
) -> Result<(), ValueRefusal> {
    let at = out.len();
    out.extend([0; 4]);
    encode(out).map_err(|refusal| (refusal.sqlstate, refusal.reason))?;
    let len = i32::try_from(out.len() - at - 4)
        .map_err(|_| ("54000", "the value is longer than 2 GiB".into()))?;
    out[at..at + 4].copy_from_slice(&len.to_be_bytes());
    Ok(())
}

impl Filled {
    fn name(self) -> &'static str {
        match self {
            Filled::BatchId => BATCH_ID.0,
            Filled::IngestedAt => INGESTED_AT.0,
        }
    }
}

/// Whether a key's column can be looked up: it is in the file and its type has an array type.
fn is_usable(name: &str, table: &Table, fields: &HashMap<&str, usize>) -> bool {
    fields.contains_key(name) && table.column(name).is_some_and(|c| c.array_oid != 0)
}

fn filled_columns(table: &Table) -> Vec<Filled> {
    let filled = table.columns.iter().filter(|column| Table::fills(column));
    filled
        .map(|c| if c.name == BATCH_ID.0 { Filled::BatchId } else { Filled::IngestedAt })
        .collect()
}
