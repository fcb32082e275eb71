//! The folder that files come into, and a copy of everything that was ever in it.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use generator::{Generator, Settings};
use tempfile::TempDir;

use crate::schedule::Change;
use crate::support::folder;

/// Records in a new file.
const RECORDS: u64 = 4000;

/// Where the newest partition of each path stands: the least of all streams that have it.
pub(crate) type Offsets = HashMap<String, u64>;

/// Files as they come and change.
pub(crate) struct Inbox {
    pub(crate) folder: TempDir,
    kept: TempDir,
    generator: Generator,
    /// By name: copies of what stood under it, one after the other. Partition `name#2` is the
    /// second.
    versions: BTreeMap<String, Vec<PathBuf>>,
    /// The names that stand in the folder.
    live: Vec<String>,
    count: usize,
}

/// The partition's name of the file that was the `number`th, from 1, under `name`.
pub(crate) fn partition(name: &str, number: usize) -> String {
    if number == 1 { name.to_owned() } else { format!("{name}#{number}") }
}

impl Inbox {
    pub(crate) fn new(seed: u64) -> Inbox {
        let (folder, kept) = (folder(), folder());
        let settings = Settings {
            rows: RECORDS,
            seed: Some(seed),
            duplicates: 0.02,
            bad: 0.02,
            out: kept.path().to_owned(),
            ..Settings::default()
        };
        let generator = Generator::new(settings).expect("the settings are valid");
        let (versions, live) = (BTreeMap::new(), Vec::new());
        Inbox { folder, kept, generator, versions, live, count: 0 }
    }

    /// All that was ever in the folder: by partition a copy of its file.
    pub(crate) fn partitions(&self) -> impl Iterator<Item = (String, &Path)> {
        self.versions.iter().flat_map(|(name, versions)| {
            let numbered = (1..).zip(versions);
            numbered.map(|(number, path)| (partition(name, number), path.as_path()))
        })
    }

    /// The newest partition of each file in the folder, with its size.
    pub(crate) fn live(&self) -> impl Iterator<Item = (String, u64)> {
        self.live.iter().map(|name| (self.newest(name), len(&self.folder.path().join(name))))
    }

    /// What is left to read, in bytes.
    pub(crate) fn left(&self, offsets: &Offsets) -> u64 {
        let left = |(partition, size): (String, u64)| size - offsets.get(&partition).unwrap_or(&0);
        self.live().map(left).sum()
    }

    /// Makes a change, to file number `pick` of those that it can be made to.
    pub(crate) fn change(&mut self, change: Change, pick: usize, offsets: &Offsets) {
        let offset = |name: &String| *offsets.get(&self.newest(name)).unwrap_or(&0);
        let size = |name: &String| len(&self.folder.path().join(name));
        // Else the next one would not be another partition, but the same one's content.
        let fits = |name: &&String| match change {
            Change::Replace => offset(name) > 0,
            Change::Truncate => offset(name) == size(name),
            _ => true,
        };
        let names: Vec<&String> = self.live.iter().filter(fits).collect();
        let Some(name) = names.get(pick % names.len().max(1)).map(|name| (*name).clone()) else {
            return self.arrive();
        };
        let path = self.folder.path().join(&name);
        match change {
            Change::Arrive => self.arrive(),
            Change::Replace => {
                let content = self.generate();
                self.place(&content, &name);
            }
            Change::Truncate => self.truncate(&name),
            Change::Rename => {
                let new = self.new_name();
                fs::rename(&path, self.folder.path().join(&new)).expect("rename a file");
                let content = self.versions[&name].last().expect("it has one").clone();
                self.versions.insert(new.clone(), vec![content]);
                self.live.retain(|live| *live != name);
                self.live.push(new);
            }
            Change::Copy => {
                let content = self.keep(&fs::read(&path).expect("read a file"));
                let new = self.new_name();
                self.place(&content, &new);
            }
            Change::Remove => {
                fs::remove_file(&path).expect("remove a file");
                self.live.retain(|live| *live != name);
            }
            Change::Grow => self.grow(&name),
        }
    }

    /// Another file comes.
    pub(crate) fn arrive(&mut self) {
        let (content, name) = (self.generate(), self.new_name());
        self.place(&content, &name);
    }

    fn newest(&self, name: &str) -> String {
        partition(name, self.versions[name].len())
    }

    fn new_name(&mut self) -> String {
        self.count += 1;
        format!("user_events_{:04}.csv", self.count)
    }

    fn generate(&mut self) -> PathBuf {
        let written = self.generator.write_file(&mut |_| ControlFlow::Continue(()));
        written.expect("write a file").expect("nothing breaks it off").path
    }

    fn keep(&mut self, bytes: &[u8]) -> PathBuf {
        self.count += 1;
        let path = self.kept.path().join(format!("kept_{}.csv", self.count));
        fs::write(&path, bytes).expect("write a file");
        path
    }

    /// Puts a copy of `content` into the folder, whole at once.
    fn place(&mut self, content: &Path, name: &str) {
        let unfinished = self.folder.path().join("next.tmp");
        fs::copy(content, &unfinished).expect("copy a file");
        fs::rename(&unfinished, self.folder.path().join(name)).expect("rename a file");
        self.versions.entry(name.to_owned()).or_default().push(content.to_owned());
        if !self.live.iter().any(|live| live == name) {
            self.live.push(name.to_owned());
        }
    }

    /// Cuts the second half off, behind a line.
    fn truncate(&mut self, name: &str) {
        let path = self.folder.path().join(name);
        let bytes = fs::read(&path).expect("read a file");
        let half = &bytes[..bytes.len() / 2];
        let end = half.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
        let kept = self.keep(&bytes[..end]);
        let file = OpenOptions::new().write(true).open(&path).expect("open a file");
        file.set_len(u64::try_from(end).unwrap()).expect("truncate a file");
        self.versions.get_mut(name).expect("it is known").push(kept);
    }

    /// Appends records, in two pieces with a torn line between them.
    fn grow(&mut self, name: &str) {
        let more = fs::read(self.generate()).expect("read a file");
        let header = more.iter().position(|&b| b == b'\n').expect("it has a header") + 1;
        // Under a former name it grows too.
        let kept = self.versions[name].last().expect("it has one").clone();
        for path in [kept, self.folder.path().join(name)] {
            let mut file = OpenOptions::new().append(true).open(path).expect("open a file");
            for piece in more[header..].chunks(more.len() / 2) {
                file.write_all(piece).expect("append to a file");
            }
        }
    }
}

fn len(path: &Path) -> u64 {
    path.metadata().expect("the file is there").len()
}
