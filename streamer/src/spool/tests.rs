use super::*;
use crate::format::Format;

const HEADER: &[u8] = b"a,b";

fn append(text: &str) -> Append {
    Append {
        content: Content { format: Format::Csv, header: Some(HEADER.into()) },
        bytes: text.as_bytes().to_vec(),
        records: text.lines().count() as u64,
        is_alone: false,
        key: None,
        waits: false,
    }
}

fn keyed(text: &str, key: &str) -> Append {
    Append { key: Some(Key::new(key.as_bytes(), text.as_bytes())), ..append(text) }
}

/// All that is in the segments, one behind the other.
fn text(data: &Path) -> String {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(data.join("spool/s"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending != "keys"));
    paths.sort();
    paths.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

/// Both handles on a spool.
fn spool(data: &Path) -> (SpoolWriter, SpoolReader) {
    let inner = Arc::new(Inner::new(&data.join("spool"), "s", 1000, 100));
    (SpoolWriter(inner.clone()), SpoolReader(inner))
}

#[tokio::test]
async fn requests_share_a_segment_and_another_header_begins_another() {
    let data = tempfile::tempdir().unwrap();
    let (spool, reader) = spool(data.path());
    assert!(reader.survey().is_empty() && !data.path().join("spool").exists());
    let both = tokio::join!(spool.append(append("1,2\n")), spool.append(append("3,4\n5,6\n")));
    assert_eq!((both.0.unwrap().records, both.1.unwrap().records), (1, 2));
    assert_eq!(text(data.path()), "a,b\n1,2\n3,4\n5,6\n");
    let json = Content { format: Format::Ndjson, header: None };
    spool.append(Append { content: json, ..append("{}\n") }).await.unwrap();
    spool.append(Append { is_alone: true, ..append("\"x\n") }).await.unwrap();
    spool.append(append("7,8\n")).await.unwrap();
    let mut names: Vec<Name> = reader.survey().into_iter().map(|found| found.name).collect();
    assert_eq!(names.len(), 3);
    names.retain(|name| reader.is_sealed(name));
    assert!(names.len() == 1 && names[0].as_str().ends_with(".malformed.csv"), "{names:?}");
    // Another process has no part in them, but takes up what is left behind.
    let (_, other) = self::spool(data.path());
    assert!(other.survey().is_empty());
}

#[tokio::test]
async fn what_is_committed_makes_room_and_is_deleted_once_sealed() {
    let data = tempfile::tempdir().unwrap();
    let (spool, reader) = spool(data.path());
    spool.append(append(&"1,2\n".repeat(30))).await.unwrap();
    assert!(matches!(spool.check_room(), Err(SpoolError::Full)));
    assert_eq!(spool.backlog_bytes(), 124);
    let offered = reader.offer(|_| false);
    assert!(offered.len() == 1 && reader.offer(|_| false).is_empty(), "it is offered once");
    let name = &offered[0].name;
    assert_eq!(reader.limit(name).unwrap().load(Ordering::Acquire), 124);
    reader.note_committed(name, 124);
    assert!(spool.check_room().is_ok() && !reader.has_finished());
    spool.seal().await;
    assert!(reader.has_finished());
    reader.tidy();
    assert!(reader.survey().is_empty() && text(data.path()).is_empty());
}

#[tokio::test]
async fn a_key_is_stored_once_also_after_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let (one, _) = spool(data.path());
    let (first, again) =
        tokio::join!(one.append(keyed("1,2\n", "k")), one.append(keyed("1,2\n", "k")));
    assert_eq!((first.unwrap().is_repeated, again.unwrap().is_repeated), (false, true));
    let other = one.append(keyed("3,4\n", "k")).await;
    assert!(matches!(other, Err(SpoolError::KeyReused)));
    one.append(keyed("3,4\n", "l")).await.unwrap();
    let (two, _) = spool(data.path());
    let receipt = two.append(keyed("1,2\n", "k")).await.unwrap();
    assert!(receipt.is_repeated && receipt.records == 1);
    assert_eq!(text(data.path()), "a,b\n1,2\n3,4\n");
}
