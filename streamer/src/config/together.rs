//! What the streams must agree on, and what each knows of the others.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use globset::GlobMatcher;

use super::{ConfigError, OnDone, Stream};

/// Lets each stream know of the others' files and of all archives.
///
/// # Errors
/// When files would be read from an archive, or one stream would remove the rows of another.
pub(super) fn introduced(mut streams: Vec<Stream>, path: &str) -> Result<Vec<Stream>, ConfigError> {
    let archive = |stream: &Stream| match &stream.when_done.on_done {
        OnDone::Archive(folder) => Some(folder.clone()),
        OnDone::Keep | OnDone::Delete => None,
    };
    let wrong = |stream: &Stream, setting, message| {
        let (path, stream) = (path.to_owned(), stream.name.clone());
        ConfigError::Value { path, stream, setting, message }
    };
    for one in &streams {
        let parts = |other: &&Stream| {
            other.table == one.table && other.when_done.keep != one.when_done.keep
        };
        if let Some(other) = streams.iter().find(parts) {
            let message = format!("must be that of stream {}: the table is the same", other.name);
            return Err(wrong(one, "keep", message));
        }
        let parts = |other: &&Stream| {
            let windows = other.window.zip(one.window);
            other.dataset == one.dataset && windows.is_some_and(|(other, one)| other != one)
        };
        if let Some(other) = streams.iter().find(parts) {
            let message = format!("must be that of stream {}: the dataset is the same", other.name);
            return Err(wrong(one, "window", message));
        }
    }
    let archives: Vec<PathBuf> = streams.iter().filter_map(archive).collect();
    let is_any_moved = streams.iter().any(|stream| stream.when_done.on_done != OnDone::Keep);
    let files = streams.iter().filter(|_| is_any_moved);
    let matcher = |one: &Stream| (one.name.clone(), one.reading.files.compile_matcher());
    let files: Arc<[(String, GlobMatcher)]> = files.map(matcher).collect();
    for stream in &mut streams {
        stream.reading.archives.clone_from(&archives);
        stream.when_done.of_all = files.clone();
        let folder = Path::new(stream.reading.files.glob()).parent().unwrap_or(Path::new(""));
        if let Some(archive) = archives.iter().find(|archive| folder.starts_with(archive)) {
            let message = format!("must not be in {}, which is an archive", archive.display());
            return Err(wrong(stream, "files", message));
        }
    }
    Ok(streams)
}
