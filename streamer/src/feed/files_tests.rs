use std::fs;
use std::time::{Duration, SystemTime};

use super::*;
use crate::config::{Overrides, Settings, Stream};
use crate::feed::{Feed, lanes};
use crate::layout::Fits;
use crate::memory::Memory;
use crate::partition::fingerprint::Fingerprint;
use crate::partition::{Checkpoint, Partition};
use crate::schema::Table;

/// A folder of files of four bytes, each last written a minute after the one before it; and the
/// stream.
fn files_of(names: &[&str]) -> (tempfile::TempDir, Stream, Places) {
    let data = tempfile::tempdir().unwrap();
    let mut time = SystemTime::UNIX_EPOCH;
    for name in names {
        time += Duration::from_secs(60);
        fs::write(data.path().join(name), "1234").unwrap();
        let file = fs::File::options().write(true).open(data.path().join(name)).unwrap();
        file.set_modified(time).unwrap();
    }
    let mut stream = Settings::shipped(Overrides::default()).unwrap().streams.remove(0);
    stream.reading.files = globset::Glob::new("*").unwrap();
    let places = Places::new(data.path().to_owned(), &stream.reading, None);
    (data, stream, places)
}

/// A reader of these files, which go into a table without columns.
fn feed(stream: &Stream, places: &Places, files: &Files) -> Feed {
    let fits = Fits::new(Arc::new(Table::empty()), &stream.fitting);
    let (reading, pace, memory) = (&stream.reading, &stream.pace, &Memory::unlimited());
    Feed::new(reading, pace, places.clone(), fits, files.clone(), lanes::FILES, memory)
}

fn take(feed: &mut Feed) -> Vec<String> {
    feed.request(usize::MAX, None)
        .wanted
        .into_iter()
        .map(|wanted| wanted.name.to_string())
        .collect()
}

#[test]
fn a_listing_takes_down_the_oldest_that_nobody_has_in_hand() {
    let (_data, stream, places) = files_of(&["c", "a", "b"]);
    let files = Files::new(&stream.reading, Standing::default());
    let feed = || feed(&stream, &places, &files);
    let (mut first, mut second) = (feed(), feed());
    assert!(files.needs_listing() && !files.is_idle(), "nothing was listed yet");
    files.list(&places, 2).unwrap();
    assert_eq!(files.state().left(0, true).0, 12, "all of them count");
    assert_eq!(take(&mut first), ["c", "a"]);
    assert!(files.needs_listing() && !files.is_idle(), "there is one more");
    files.list(&places, 2).unwrap();
    assert!(!files.needs_listing() && !files.is_idle());
    assert_eq!(take(&mut second), ["b"]);
    assert!(take(&mut second).is_empty() && files.is_any_in_hand(), "the first is still at work");
    assert!(take(&mut first).is_empty() && files.is_idle());
}

#[test]
fn there_is_something_left_to_read_while_a_reader_goes_back_to_the_checkpoints() {
    let (_data, stream, places) = files_of(&["a"]);
    let files = Files::new(&stream.reading, Standing::default());
    let mut feed = feed(&stream, &places, &files);
    files.list(&places, LISTED_MAX).unwrap();
    assert_eq!(take(&mut feed), ["a"]);
    files.begin_rewind();
    feed.reset();
    assert!(!files.is_idle(), "it has put the file down, and nobody has listed it again");
    files.reload(Standing::default());
    assert!(files.needs_listing() && !files.is_idle());
    files.list(&places, LISTED_MAX).unwrap();
    assert_eq!(take(&mut feed), ["a"]);
    assert!(take(&mut feed).is_empty() && files.is_idle());
}

#[test]
fn a_finished_file_needs_no_look_until_it_looks_different() {
    let (data, stream, places) = files_of(&["a", "b"]);
    let look = |name: &str| Stat::of(&fs::metadata(data.path().join(name)).unwrap());
    let done = |stat: Stat, next_offset: u64| {
        let fingerprint = Some(Fingerprint::of_nothing(stat));
        Checkpoint { next_offset, next_line: Some(1), fingerprint, is_done: true }
    };
    let survey = places.survey();
    let mut standing = Standing::default();
    standing.take(&survey, &Partition::parse("a"), &done(look("a"), 4));
    // The second file under its path, which has grown since.
    standing.take(&survey, &Partition::parse("b#2"), &done(look("a"), 3));
    standing.take(&survey, &Partition::parse("b"), &done(look("a"), 1));
    standing.take(&survey, &Partition::parse("gone"), &done(look("a"), 4));
    let files = Files::new(&stream.reading, standing);
    files.list(&places, LISTED_MAX).unwrap();
    assert_eq!(files.state().left(0, true).0, 1);
    let mut feed = feed(&stream, &places, &files);
    let wanted = feed.request(usize::MAX, None).wanted;
    let partitions: Vec<String> =
        wanted.iter().flat_map(|file| &file.partitions).map(ToString::to_string).collect();
    assert_eq!(partitions, ["b#2", "b#3"]);
}

#[test]
fn of_very_many_files_a_listing_knows_each_by_its_name() {
    let names: Vec<String> = (0..=2 * ENTRIES_MAX).map(|number| number.to_string()).collect();
    let (_data, stream, places) = files_of(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let files = Files::new(&stream.reading, Standing::default());
    files.list(&places, LISTED_MAX).unwrap();
    assert_eq!(take(&mut feed(&stream, &places, &files)), names);
}
