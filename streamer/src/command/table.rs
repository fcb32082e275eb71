//! Tables, and numbers with what they count, as a person likes to read them.

use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};

pub(super) use crate::number::grouped;

/// A table with these headings; columns from `numbers_from` on hold numbers.
pub(super) fn table(headings: &[&str], numbers_from: usize) -> Table {
    let mut table = Table::new();
    table.load_style(TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─')));
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(headings.iter().copied());
    for column in table.column_iter_mut().skip(numbers_from) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// `1 file`, `2 files`.
pub(super) fn counted(number: usize, thing: &str) -> String {
    let number = u64::try_from(number).unwrap_or(u64::MAX);
    format!("{} {thing}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// Where a record is: `a.csv:12`, where its log has lines.
pub(super) fn placed(partition: &str, line: Option<u64>) -> String {
    match line {
        Some(line) => format!("{partition}:{line}"),
        None => partition.to_owned(),
    }
}

/// Bytes as `1.5 MiB`.
pub(super) fn bytes(count: u64) -> String {
    bytesize::ByteSize::b(count).display().iec().to_string()
}
