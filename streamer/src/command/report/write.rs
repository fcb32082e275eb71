//! Results as text, to stdout, a file, or a file each.

use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use comfy_table::CellAlignment;

use super::section::Section;
use crate::cli::Output;
use crate::command::table::table;
use crate::command::{Exit, print};

/// Demands that the form can be written to where it is to go.
///
/// # Errors
/// A folder takes only CSV.
pub(super) fn check(output: &Output) -> Result<()> {
    match &output.out {
        Some(out) if is_folder(out) && !output.csv => {
            bail!("{} is a folder, which takes a file for each view with --csv", out.display())
        }
        _ => Ok(()),
    }
}

/// Writes the sections to where `output` says.
pub(super) fn write(sections: &[Section], output: &Output) -> Result<Exit> {
    let text = match output {
        Output { json: true, .. } => json(sections),
        Output { csv: true, out: Some(folder), .. } if is_folder(folder) => {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("make the folder {}", folder.display()))?;
            for section in sections {
                let name = section.name.replace(['/', ' ', '\0'], "_");
                replace(&folder.join(format!("{name}.csv")), &csv(section))?;
            }
            return Ok(Exit::Done);
        }
        Output { csv: true, .. } if sections.len() == 1 => csv(&sections[0]),
        Output { csv: true, .. } => {
            let named = sections.iter().map(|s| format!("# {}\n{}", s.name, csv(s)));
            named.collect::<Vec<_>>().join("\n")
        }
        _ => sections.iter().map(table_text).collect::<Vec<_>>().join("\n"),
    };
    match &output.out {
        Some(path) => replace(path, &text).map(|()| Exit::Done),
        None => print(&text),
    }
}

fn is_folder(path: &Path) -> bool {
    path.is_dir() || path.as_os_str().as_encoded_bytes().ends_with(b"/")
}

/// Writes a file whole, in the place of the one that is there.
fn replace(path: &Path, text: &str) -> Result<()> {
    let context = || format!("write {}", path.display());
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    // Hidden until it is whole: who reads it meanwhile reads the one before.
    let mut file = tempfile::Builder::new()
        .prefix(".")
        .suffix(".part")
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)
        .with_context(context)?;
    file.write_all(text.as_bytes()).with_context(context)?;
    file.persist(path).map(drop).with_context(context)
}

fn table_text(section: &Section) -> String {
    let mut text = section.name.clone();
    if let Some(comment) = &section.comment {
        text += &format!(": {comment}");
    }
    text.push('\n');
    if section.rows.is_empty() {
        text += "nothing yet\n";
    } else {
        let headings: Vec<&str> = section.columns.iter().map(|c| c.name.as_str()).collect();
        let mut lines = table(&headings, headings.len());
        for (at, _) in section.columns.iter().enumerate().filter(|(_, c)| c.is_number) {
            if let Some(column) = lines.column_mut(at) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        for row in &section.rows {
            lines.add_row(row.iter().map(|cell| cell.as_deref().unwrap_or_default()));
        }
        text += &format!("{lines}\n");
    }
    if let Some(last) = &section.last {
        text += &format!("{last}\n");
    }
    text
}

/// As COPY has it: NULL is an empty field, the empty text is quoted.
fn csv(section: &Section) -> String {
    let line = |cells: Vec<String>| cells.join(",") + "\n";
    let mut text = line(section.columns.iter().map(|c| quoted(&c.name)).collect());
    for row in &section.rows {
        let cells = row.iter().map(|cell| cell.as_deref().map(quoted).unwrap_or_default());
        text += &line(cells.collect());
    }
    text
}

fn quoted(field: &str) -> String {
    if field.is_empty() || field.contains([',', '"', '\n', '\r']) {
        return format!("\"{}\"", field.replace('"', "\"\""));
    }
    field.to_owned()
}

/// An object with an array for each section.
fn json(sections: &[Section]) -> String {
    let arrays = sections.iter().map(|section| {
        let name = serde_json::Value::from(section.name.as_str());
        format!("{name}: [\n  {}\n]", section.objects.join(",\n  "))
    });
    format!("{{{}}}\n", arrays.collect::<Vec<_>>().join(",\n"))
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_field_of_csv_stays_one() {
        for (field, csv) in
            [("a b", "a b"), ("", "\"\""), ("a,b", "\"a,b\""), ("\"\n", "\"\"\"\n\"")]
        {
            assert_eq!(quoted(field), csv);
        }
    }
}
