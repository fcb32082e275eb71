//! How the records of a file fit a table: header names matched to columns, records encoded as rows.

mod fit;
mod header;
mod kept;
mod keys;
mod names;
mod node;
mod object;
mod reason;
mod target;

use std::collections::HashMap;
use std::sync::Arc;

pub use fit::{Fit, Fits};
pub use header::HeaderError;
use header::{Matched, match_names};
use kept::Kept;
pub use keys::Keys;
pub use reason::{BAD_COPY_FILE_FORMAT, Reason, escaped};
use reason::{NOT_UTF8, ValueRefusal};
use target::{Given, Target, set_length};

use crate::config::{Extra, Fitting, Provenance};
use crate::format::Fields;
use crate::schema::{BIGINT_OID, Column, Key, KeyPart, Table};
use crate::sql::quote;

/// The fit of one header, or of one set of JSON keys, to one table.
#[derive(Debug)]
pub struct Layout {
    /// The header, as read; empty where there is none.
    pub header: Arc<[String]>,
    /// The table's full name, quoted.
    pub table: String,
    /// The columns that are sent, in their order.
    pub columns: Vec<SentColumn>,
    /// The statement that takes the rows.
    pub copy_statement: String,
    /// Whether rows are sent as text, because one of the columns has no binary form here.
    pub is_text: bool,
    /// The name of the stream's time zone, which texts without one are read by.
    pub zone: String,
    /// See [`Table::is_one_heap`].
    pub is_one_heap: bool,
    /// The key that tells duplicates, where the file has all its columns.
    pub key: Option<LayoutKey>,
    /// What each row ends with, filled at the commit.
    pub filled: Vec<Provenance>,
    /// Where it stands when the event was created, if a row tells.
    pub event_time: Option<EventTime>,
    /// The columns read from the file, in the order they are sent: the key's first.
    targets: Vec<Target>,
    /// The columns that the table lacks, if they are kept. They are sent behind the others.
    kept: Option<Kept>,
    /// What is NULL where it stands unquoted, besides the empty field.
    null: Vec<String>,
    /// What a person should know of how the header was understood.
    notices: Vec<String>,
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
    /// See [`Column::has_default`].
    pub has_default: bool,
}

/// The unique key of a layout. Its columns are the first ones of each row.
#[derive(Debug)]
pub struct LayoutKey {
    /// The columns that the key is of.
    pub columns: Vec<KeyColumn>,
    /// See [`Key::parts`].
    pub parts: Vec<KeyPart>,
    /// See [`Key::nulls_are_distinct`].
    pub nulls_are_distinct: bool,
    /// Whether keys are equal if and only if their bytes are. Else a row has the texts of its key,
    /// and PostgreSQL compares them.
    pub is_by_bytes: bool,
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
    /// See [`Column::cast`].
    pub cast: String,
    /// The type's number in pg_type.
    pub type_oid: u32,
    /// The number of the array type over it.
    pub array_oid: u32,
}

/// The column that tells when an event was created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventTime {
    /// Which of a row's columns it is; of rows that are sent as text, it stands behind the row.
    pub place: usize,
    /// Whether it counts from 1970, in a unit that the size of the number tells; else it is a
    /// timestamp.
    pub is_number: bool,
}

/// Where an encoded row and its parts end in the bytes that it was appended to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowEnds {
    /// Where its key ends.
    pub key: usize,
    /// Where what is sent of it ends. Behind that may stand the texts of its key, or its time.
    pub row: usize,
}

impl Layout {
    /// Matches `header` to `table`: exact names first, then whatever the case.
    ///
    /// # Errors
    /// [`HeaderError`] when records under this header can't become rows.
    pub fn new(
        header: Arc<[String]>,
        table: &Table,
        fitting: &Fitting,
    ) -> Result<Layout, HeaderError> {
        let Matched { fields, extras, notices } = match_names(&header, table)?;
        let kept = match fitting.extra {
            Extra::Keep => Some(Kept::new(&fitting.extra_column, &fields, &extras)?),
            Extra::Reject if !extras.is_empty() => return Err(HeaderError::extra(&extras)),
            Extra::Reject | Extra::Ignore => None,
        };
        let null = fitting.null.clone();
        let zone = fitting.zone.name();
        let layout = Layout::of(&fields, kept, table, zone, false)?;
        Ok(Layout { header, null, notices, ..layout })
    }

    /// The layout of records whose `fields` are columns of `table`, by their names. Rows are sent
    /// as text if `is_text`, or if a column needs it.
    fn of(
        fields: &HashMap<&str, usize>,
        kept: Option<Kept>,
        table: &Table,
        zone: &str,
        is_text: bool,
    ) -> Result<Layout, HeaderError> {
        let is_kept =
            |column: &Column| kept.as_ref().is_some_and(|kept| kept.column == column.name);
        let is_whole = |key: &&Key| key.columns.iter().all(|c| fields.contains_key(c.as_str()));
        let key = table.keys.iter().find(is_whole);
        let key_columns: &[String] = key.map_or(&[], |key| &key.columns);
        let is_key = |column: &&Column| key_columns.contains(&column.name);
        let in_key = key_columns.iter().filter_map(|name| table.column(name));
        let beside = table.columns.iter().filter(|column| !is_key(column));
        let mut targets = Vec::new();
        for column in in_key.chain(beside) {
            match fields.get(column.name.as_str()) {
                Some(&field) => targets.push(Target::new(field, column)),
                None if table.fills(column) || is_kept(column) => {}
                None if column.has_default || !column.not_null => {}
                None => return Err(HeaderError::Lacks(column.name.clone())),
            }
        }
        let event_time = table.event_time.as_deref().and_then(|name| {
            let place = targets.iter().position(|target| target.name == name)?;
            let is_number = table.column(name)?.type_oid == BIGINT_OID;
            Some(EventTime { place, is_number })
        });
        let filled = table.provenance.clone();
        let is_text = is_text || targets.iter().any(|target| target.encoding.is_opaque());
        let names = targets.iter().map(|t| t.name.as_str());
        let names = names.chain(kept.iter().map(|kept| kept.column.as_str()));
        let names = names.chain(filled.iter().map(|f| f.name()));
        let columns = names.filter_map(|name| table.column(name)).map(|column| SentColumn {
            name: column.name.clone(),
            type_name: column.type_name.clone(),
            type_oid: column.type_oid,
            has_default: column.has_default,
        });
        let columns: Vec<SentColumn> = columns.collect();
        let names = columns.iter().map(|column| quote(&column.name));
        let names = names.collect::<Vec<String>>().join(", ");
        let format = if is_text { "" } else { " (format binary)" };
        let copy_statement = format!("copy {} ({names}) from stdin{format}", table.quoted_name);
        let key = key.map(|key| LayoutKey::new(key, table, is_text));
        let (header, null) = (Arc::default(), Vec::new());
        let (table, is_one_heap) = (table.quoted_name.clone(), table.is_one_heap);
        Ok(Layout {
            header,
            table,
            columns,
            copy_statement,
            is_text,
            zone: zone.to_owned(),
            is_one_heap,
            key,
            filled,
            event_time,
            targets,
            kept,
            null,
            notices: Vec::new(),
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

    /// Appends a record's row to `out`, without the filled columns; what it appended is of no use
    /// when there are reasons.
    ///
    /// A row has the form of the binary COPY format, also where its values are texts: a count of
    /// columns, then each with its length, -1 for NULL. Source: PostgreSQL, COPY, "Binary Format".
    pub fn encode(
        &self,
        record: &Fields<'_>,
        out: &mut Vec<u8>,
        reasons: &mut Vec<Reason>,
    ) -> RowEnds {
        if record.count() != self.header.len() {
            self.note_wrong_count(record, reasons);
            return RowEnds { key: out.len(), row: out.len() };
        }
        let given = |target: &Target| self.given(target, record);
        let key = self.put_targets(out, given, |target, refusal| {
            reasons.push(Reason::of_value(&target.name, record.bytes(target.field), refusal));
        });
        if let Some(kept) = &self.kept {
            let at = out.len();
            kept.put(record, |value| value.is_empty() || self.is_null(value), out, reasons);
            self.keep_as_sent(out, at);
        }
        self.end_row(key, out, given, reasons)
    }

    /// What a record has for a column; `None` for NULL.
    fn given<'r>(
        &self,
        target: &Target,
        record: &Fields<'r>,
    ) -> Result<Option<Given<'r>>, ValueRefusal> {
        let quoted = || record.is_quoted(target.field);
        let null = match record.text(target.field) {
            None => return Err(NOT_UTF8),
            Some("") if !(target.encoding.takes_empty() && quoted()) => "empty",
            Some(value) if self.is_null(value) && !quoted() => "NULL by the stream's setting",
            Some(value) => return Ok(Some(Given::Text(value))),
        };
        if target.not_null {
            return Err(("23502", format!("{null}, but the column must have a value").into()));
        }
        Ok(None)
    }

    /// Appends the count of columns, and those that are read from a record. Returns where the key
    /// ends.
    fn put_targets<'r>(
        &self,
        out: &mut Vec<u8>,
        given: impl Fn(&Target) -> Result<Option<Given<'r>>, ValueRefusal>,
        mut refuse: impl FnMut(&Target, ValueRefusal),
    ) -> usize {
        self.put_count(out);
        let mut key_end = out.len();
        for (index, target) in self.targets.iter().enumerate() {
            let put = given(target).and_then(|given| match self.is_text {
                false => target.put(given, out),
                true => target.put_text(given, out),
            });
            if let Err(refusal) = put {
                refuse(target, refusal);
            }
            if index + 1 == self.key_len() {
                key_end = out.len();
            }
        }
        key_end
    }

    /// Ends a row, unless there are reasons against it: appends what is not sent, but needed to
    /// look its key up or to tell its time.
    fn end_row<'r>(
        &self,
        key: usize,
        out: &mut Vec<u8>,
        given: impl Fn(&Target) -> Result<Option<Given<'r>>, ValueRefusal>,
        reasons: &[Reason],
    ) -> RowEnds {
        let ends = RowEnds { key, row: out.len() };
        if !reasons.is_empty() {
            return ends;
        }
        let is_good = "it was put into the row";
        if self.is_text {
            if let Some(EventTime { place, .. }) = self.event_time {
                let target = &self.targets[place];
                target.put(given(target).expect(is_good), out).expect(is_good);
            }
        } else if self.key.as_ref().is_some_and(|key| !key.is_by_bytes) {
            for target in &self.targets[..self.key_len()] {
                target.put_text(given(target).expect(is_good), out).expect(is_good);
            }
        }
        ends
    }

    /// The object of kept columns, appended at `at` as jsonb, in the form in which rows are sent.
    fn keep_as_sent(&self, out: &mut Vec<u8>, at: usize) {
        if self.is_text {
            // The version in front of the text.
            out.remove(at + 4);
            set_length(out, at).expect("it was longer");
        }
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
    /// Whether its parts are columns, none an expression.
    pub fn is_of_columns(&self) -> bool {
        self.parts.iter().all(|part| !part.is_expression)
    }

    /// Rows that are sent as text have no bytes to compare keys by.
    fn new(key: &Key, table: &Table, is_text: bool) -> LayoutKey {
        let columns = key.columns.iter().filter_map(|name| table.column(name)).map(|c| KeyColumn {
            quoted_name: quote(&c.name),
            cast: c.cast.clone(),
            type_oid: c.type_oid,
            array_oid: c.array_oid,
        });
        let Key { parts, nulls_are_distinct, .. } = key.clone();
        let is_by_bytes = key.is_by_bytes && !is_text;
        let (table, name) = (table.quoted_name.clone(), key.name.clone());
        let columns = columns.collect();
        LayoutKey { columns, parts, nulls_are_distinct, is_by_bytes, table, name }
    }
}
