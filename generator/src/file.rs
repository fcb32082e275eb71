//! The files of a run. One thread makes the records, because each depends on the one before; other
//! threads write and sync the files, several at a time.

use crate::draft::{Draft, failed, sync_folder};
use crate::events::{Counts, Generator, Progress};
use std::collections::VecDeque;
use std::fs;
use std::io::{self, ErrorKind};
use std::mem;
use std::ops::ControlFlow;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread::{self, ScopedJoinHandle};

/// Files that are written at a time. More are not faster: while one waits for the disk, the next is
/// written.
const FILES_AT_A_TIME: usize = 3;

/// Chunks that may wait to be written to a file: with the file's two that are being made and
/// written, and as many for each file at a time, it bounds the memory.
const CHUNKS_WAITING: usize = 4;

/// A file that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Where it is: the folder of the settings and the name of the file.
    pub path: PathBuf,
    /// What it holds.
    pub counts: Counts,
}

impl Generator {
    /// Writes the next file of the run, such as `user_events_YYYYMMDD_HHMMSS.csv`, into the folder
    /// of the settings; where that name is taken, with `_1`, `_2` and so on before the dot. `None`
    /// if `progress` broke off; the folder is then as if this was never called.
    ///
    /// # Errors
    /// Whatever kept the file from being made. It names the path and says what to do, and nothing
    /// is left of the file unless syncing the folder, the last step, was what failed.
    pub fn write_file(&mut self, progress: &mut Progress) -> anyhow::Result<Option<Written>> {
        let mut written = None;
        let mut keep = |file| {
            written = Some(file);
            ControlFlow::Continue(())
        };
        // Breaking off is the only other end, and then nothing was kept.
        let _ = self.write_files(1, progress, &mut keep)?;
        Ok(written)
    }

    /// Writes the next `count` files of the run, as [`Generator::write_file`] does, several at a
    /// time. They get their names in their order, and `tell` is given each once it has its own.
    /// `progress` is told the records of all these files together. Files that are whole when it
    /// breaks off are kept; where `tell` breaks off, only those told.
    ///
    /// # Errors
    /// Those of [`Generator::write_file`]; the files before the one that failed are kept and told.
    pub fn write_files(
        &mut self,
        count: u32,
        progress: &mut Progress,
        tell: &mut dyn FnMut(Written) -> ControlFlow<()>,
    ) -> anyhow::Result<ControlFlow<()>> {
        let folder = self.settings().out.clone();
        let (rows, dataset) = (self.settings().rows, self.settings().dataset.name());
        fs::create_dir_all(&folder).map_err(failed("make folder", &folder))?;
        thread::scope(|scope| {
            let mut writing = VecDeque::with_capacity(FILES_AT_A_TIME);
            let mut end = Ok(ControlFlow::Continue(()));
            for file in 0..u64::from(count) {
                if writing.len() == FILES_AT_A_TIME
                    && let Some(oldest) = writing.pop_front()
                    && tell(publish(oldest, &folder)?).is_break()
                {
                    return Ok(ControlFlow::Break(()));
                }
                let draft = match Draft::create(&folder, dataset) {
                    Ok(draft) => draft,
                    Err(error) => {
                        end = Err(failed("make a file in", &folder)(error));
                        break;
                    }
                };
                let (chunks, waiting) = mpsc::sync_channel(CHUNKS_WAITING);
                let writer = scope.spawn(|| fill(draft, waiting));
                let made_before = rows.saturating_mul(file);
                let mut progress = |made: u64| progress(made_before.saturating_add(made));
                match self.make_file(&mut progress, &mut |chunk| hand_over(chunk, &chunks)) {
                    Ok(Some(counts)) => writing.push_back(Writing { writer, counts }),
                    Ok(None) => {
                        end = Ok(ControlFlow::Break(()));
                        break;
                    }
                    // The writer has hung up; why, comes out when its file is to be published.
                    Err(_) => {
                        writing.push_back(Writing { writer, counts: Counts::default() });
                        break;
                    }
                }
            }
            for next in writing {
                if tell(publish(next, &folder)?).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            end
        })
    }
}

/// A file that is being written. Dropped, the file is removed once its writer has ended.
struct Writing<'scope> {
    writer: ScopedJoinHandle<'scope, anyhow::Result<Draft>>,
    counts: Counts,
}

/// Sends `chunk` to the writer of its file, and leaves an empty one. The only error is that the
/// writer has ended.
fn hand_over(chunk: &mut Vec<u8>, chunks: &SyncSender<Vec<u8>>) -> io::Result<()> {
    let next = Vec::with_capacity(chunk.capacity());
    chunks.send(mem::replace(chunk, next)).map_err(|_| io::Error::from(ErrorKind::BrokenPipe))
}

/// The work of a writer: the whole file, synced.
fn fill(mut draft: Draft, chunks: Receiver<Vec<u8>>) -> anyhow::Result<Draft> {
    draft.fill(chunks).map_err(failed("write", &draft.path()))?;
    Ok(draft)
}

/// Waits until the file is written, and gives it its name.
fn publish(file: Writing<'_>, folder: &Path) -> anyhow::Result<Written> {
    let draft = file.writer.join().unwrap_or_else(|panic| resume_unwind(panic))?;
    let path = draft.path();
    let path = draft.publish().map_err(failed("name", &path))?;
    sync_folder(folder).map_err(failed("sync folder", folder))?;
    Ok(Written { path, counts: file.counts })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;
    use std::ops::ControlFlow;

    fn generator(folder: &Path, rows: u64) -> Generator {
        let settings = Settings { rows, out: folder.to_owned(), ..Settings::default() };
        Generator::new(settings).unwrap()
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_file_is_there_under_its_name_only_once_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let mut seen = Vec::new();
        let mut look = |_| {
            seen.extend(names(folder.path()));
            ControlFlow::Continue(())
        };
        let written = generator(folder.path(), 10).write_file(&mut look).unwrap().unwrap();
        assert!(!seen.is_empty());
        assert!(seen.iter().all(|name| name.starts_with('.') && name.ends_with(".part")));
        assert_eq!(names(folder.path()), [written.path.file_name().unwrap().to_str().unwrap()]);
    }

    #[test]
    fn nothing_is_left_when_progress_breaks_off() {
        let folder = tempfile::tempdir().unwrap();
        let mut stop_later = |made| match made {
            0 => ControlFlow::Continue(()),
            _ => ControlFlow::Break(()),
        };
        let written = generator(folder.path(), 5_000).write_file(&mut stop_later).unwrap();
        assert_eq!(written, None);
        assert_eq!(names(folder.path()), Vec::<String>::new());
    }

    #[test]
    fn files_written_at_the_same_time_are_those_written_one_by_one() {
        let content = |file: &Written| fs::read(&file.path).unwrap();
        let seeded = |folder: &Path| {
            let settings = Settings {
                rows: 5_000,
                files: 7,
                seed: Some(1),
                ..generator(folder, 0).settings().clone()
            };
            Generator::new(settings).unwrap()
        };
        let folder = tempfile::tempdir().unwrap();
        let mut together = Vec::new();
        let mut seen = 0;
        let mut progress = |made| {
            assert!(made >= seen);
            seen = made;
            ControlFlow::Continue(())
        };
        let mut tell = |file| {
            together.push(file);
            ControlFlow::Continue(())
        };
        let end = seeded(folder.path()).write_files(7, &mut progress, &mut tell).unwrap();
        assert!(end.is_continue());
        assert_eq!((seen, together.len()), (35_000, 7));
        assert_eq!(names(folder.path()).len(), 7);
        let alone = tempfile::tempdir().unwrap();
        let mut one_by_one = seeded(alone.path());
        for file in &together {
            let other = one_by_one.write_file(&mut |_| ControlFlow::Continue(())).unwrap().unwrap();
            assert!(content(file) == content(&other));
        }
    }

    #[test]
    fn files_that_are_whole_when_progress_breaks_off_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let mut stop_in_the_third = |made| match made {
            0..12_000 => ControlFlow::Continue(()),
            _ => ControlFlow::Break(()),
        };
        let mut told = 0;
        let mut tell = |_| {
            told += 1;
            ControlFlow::Continue(())
        };
        let mut generator = generator(folder.path(), 5_000);
        let end = generator.write_files(9, &mut stop_in_the_third, &mut tell).unwrap();
        assert!(end.is_break());
        assert_eq!((told, names(folder.path()).len()), (2, 2));
    }

    #[test]
    fn only_files_that_were_told_are_kept_when_nobody_listens_any_more() {
        let folder = tempfile::tempdir().unwrap();
        let mut go_on = |_| ControlFlow::Continue(());
        let mut generator = generator(folder.path(), 10);
        let end = generator.write_files(9, &mut go_on, &mut |_| ControlFlow::Break(())).unwrap();
        assert!(end.is_break());
        assert_eq!(names(folder.path()).len(), 1);
    }
}
