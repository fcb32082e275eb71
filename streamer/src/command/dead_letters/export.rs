//! Dead letters as files again: the header and the records as they stood, byte for byte.

use std::fs::{File, Permissions};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sqlx::{Connection, PgConnection};

use super::meant;
use crate::cli::ExportArgs;
use crate::command::Exit;
use crate::command::table::counted;
use crate::ledger::dead_letter::Which;
use crate::ledger::export::{self, Group};

/// How many records of dead letters are read at a time.
const RECORDS_MAX: i64 = 500;

/// Writes what `args` choose to stdout, a file, or one file a group into a folder.
pub(super) async fn export(conn: &mut PgConnection, args: &ExportArgs) -> Result<(String, Exit)> {
    // One view of the table, however long it takes.
    let mut tx = conn.begin_with("begin isolation level repeatable read read only").await?;
    let which = meant(&args.which);
    let groups = export::groups(&mut tx, which).await.context("read the dead letters")?;
    let whole: Vec<&Group> = groups.iter().filter(|group| group.whole > 0).collect();
    let mut text = String::new();
    match &args.out {
        Some(out) if out.is_dir() || out.as_os_str().as_encoded_bytes().ends_with(b"/") => {
            std::fs::create_dir_all(out)
                .with_context(|| format!("make the folder {}", out.display()))?;
            for (path, group) in paths(out, &whole).iter().zip(&whole) {
                text += &to_file(&mut tx, which, group, path).await?;
            }
        }
        _ if whole.len() > 1 => bail!(too_many(&whole)),
        Some(out) => {
            for group in &whole {
                text += &to_file(&mut tx, which, group, out).await?;
            }
        }
        None => {
            for group in &whole {
                let mut out = BufWriter::new(io::stdout().lock());
                match write(&mut tx, which, group, &mut out).await {
                    // A reader that has gone away is no failure.
                    Err(error) if is_broken_pipe(&error) => drop(out.into_parts()),
                    written => written?,
                }
            }
        }
    }
    tx.rollback().await?;
    if groups.is_empty() {
        tell("no dead letters");
    }
    let cut: i64 = groups.iter().map(|group| group.cut).sum();
    if cut > 0 {
        tell(&format!(
            "left out: {} longer than 64 KiB, kept only in part; `streamer dead-letters show` says \
             where the whole stands",
            counted_records(cut)
        ));
    }
    Ok((text, if cut > 0 { Exit::Failed } else { Exit::Done }))
}

/// Writes a group to a file that is not there yet, and says so. The same content is left as it is.
async fn to_file(
    conn: &mut PgConnection,
    which: Which<'_>,
    group: &Group,
    path: &Path,
) -> Result<String> {
    let context = || format!("write {}", path.display());
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    // Hidden until it is whole: it may lie in the data folder.
    let unfinished = tempfile::Builder::new()
        .prefix(".")
        .suffix(".part")
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)
        .with_context(context)?;
    let mut out = BufWriter::new(unfinished);
    write(conn, which, group, &mut out).await.with_context(context)?;
    let unfinished =
        out.into_inner().map_err(io::IntoInnerError::into_error).with_context(context)?;
    let done = format!("{}: {}\n", path.display(), counted_records(group.whole));
    match unfinished.persist_noclobber(path) {
        Ok(_) => Ok(done),
        Err(refused) if refused.error.kind() == io::ErrorKind::AlreadyExists => {
            if is_same(refused.file.path(), path).with_context(context)? {
                return Ok(done);
            }
            bail!("{} is there already, with other content; name another place", path.display())
        }
        Err(refused) => Err(refused.error).with_context(context),
    }
}

/// Writes the header, if there is one, and the records, each with a line end.
async fn write(
    conn: &mut PgConnection,
    which: Which<'_>,
    group: &Group,
    out: &mut impl Write,
) -> Result<()> {
    if let Some(header) = group.header_line() {
        out.write_all(&header)?;
        out.write_all(b"\n")?;
    }
    let mut after = (String::new(), -1_i64);
    loop {
        let records = export::next_records(conn, which, group, &after, RECORDS_MAX).await;
        let records = records.context("read the dead letters")?;
        let Some((partition, offset, _)) = records.last() else { break };
        after = (partition.clone(), *offset);
        for (_, _, raw) in &records {
            out.write_all(raw)?;
            out.write_all(b"\n")?;
        }
    }
    Ok(out.flush()?)
}

fn too_many(groups: &[&Group]) -> String {
    let mut text = String::from(
        "these dead letters have different headers, formats or streams, and a file has one; name a \
         folder with --out FOLDER/ for one file each, or choose with --stream or --file:",
    );
    for Group { stream, whole, file, files, .. } in groups {
        let more = if *files > 1 { format!(" and {} more", files - 1) } else { String::new() };
        text += &format!("\n  stream {stream:?}, file {file}{more}: {}", counted_records(*whole));
    }
    text
}

/// Where each group goes.
fn paths(folder: &Path, groups: &[&Group]) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for group in groups {
        let numbered = |number: usize| folder.join(group.file_name(number));
        let free = (1..).map(numbered).find(|path| !paths.contains(path));
        paths.extend(free);
    }
    paths
}

/// Whether two files have the same content.
fn is_same(one: &Path, other: &Path) -> io::Result<bool> {
    let (mut one, mut other) =
        (BufReader::new(File::open(one)?), BufReader::new(File::open(other)?));
    loop {
        let (a, b) = (one.fill_buf()?, other.fill_buf()?);
        let len = a.len().min(b.len());
        if a[..len] != b[..len] || a.is_empty() != b.is_empty() {
            return Ok(false);
        }
        if len == 0 {
            return Ok(true);
        }
        one.consume(len);
        other.consume(len);
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
}

fn counted_records(count: i64) -> String {
    counted(usize::try_from(count).unwrap_or(usize::MAX), "record")
}

/// Tells on stderr, beside what goes to stdout. Without stderr there is nobody to tell.
fn tell(line: &str) {
    drop(writeln!(io::stderr(), "{line}"));
}
