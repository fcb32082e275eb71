//! Files packed with gzip and zstd: whole, in pieces, cut off and damaged.

use std::fs;
use std::io::Write;
use std::path::Path;

use crate::support::{Ended, Running, TestDb, folder, generate, judge, streamer};

const ROWS: &str = "select count(*) from user_events";
const HEADER: &str = "event_id,user_id,product_id,event_type,event_time\n";
const SETTINGS: &str = "[stream.user_events]
files = 'user_events_*.{csv,csv.gz,csv.zst}'
settle = '300ms'
scan_every = '50ms'
";

fn line(n: u32) -> String {
    format!("0190a5f0-0000-7000-8000-0000{n:08},{n},1,view,2026-01-01T00:00:00Z\n")
}

fn lines(numbers: std::ops::Range<u32>) -> String {
    numbers.map(line).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

/// Packs the files, those in even places with gzip, the others with zstd.
fn pack(files: &[std::path::PathBuf]) {
    for (at, path) in files.iter().enumerate() {
        let bytes = fs::read(path).unwrap();
        let (bytes, ending) =
            if at % 2 == 0 { (gzip(&bytes), "csv.gz") } else { (zstd(&bytes), "csv.zst") };
        fs::write(path.with_extension(ending), bytes).unwrap();
        fs::remove_file(path).unwrap();
    }
}

fn run(folder: &Path, db: &TestDb) -> Ended {
    Ended::of(streamer(folder, &["run", "--available-now"]).env("DATABASE_URL", db.url()))
}

#[tokio::test]
async fn packed_files_are_read_like_plain_ones_across_kills() {
    let (db, folder) = (TestDb::create().await, folder());
    fs::write(folder.path().join("streams.toml"), SETTINGS).unwrap();
    let files = generate(folder.path(), 4, 4000, 31);
    let mut verdict = judge(&files);
    pack(&files);
    for (at, (name, _)) in verdict.bad.iter_mut().enumerate() {
        let place = files.iter().position(|path| path.ends_with(&*name));
        let ending = if place.unwrap_or(at) % 2 == 0 { ".gz" } else { ".zst" };
        name.push_str(ending);
    }
    verdict.bad.sort();
    for _ in 0..5 {
        let args = ["run", "--every", "0s", "--max-rows", "100"];
        let running = Running::start(streamer(folder.path(), &args).env("DATABASE_URL", db.url()));
        running.wait_for_log("committed");
        running.kill();
    }
    run(folder.path(), &db).expect(3);
    db.agrees_with(&verdict).await;
    // Once more: nothing is left, and the folder's files are known again.
    assert_eq!(run(folder.path(), &db).expect(0).stdout, "nothing new to load\n");
    let status = Ended::of(streamer(folder.path(), &["status"]).env("DATABASE_URL", db.url()));
    assert!(status.expect(0).stdout.contains("0 B to read"), "no lag is left");
}

#[tokio::test]
async fn members_and_frames_may_follow_each_other_and_be_added() {
    let (db, folder) = (TestDb::create().await, folder());
    fs::write(folder.path().join("streams.toml"), SETTINGS).unwrap();
    let first = format!("{HEADER}{}", lines(0..1000));
    // The cut lies within a line.
    let (one, two) = first.as_bytes().split_at(first.len() - 30);
    for (ending, pack) in [("gz", gzip as fn(&[u8]) -> Vec<u8>), ("zst", zstd)] {
        let name = folder.path().join(format!("user_events_1.csv.{ending}"));
        fs::write(&name, [pack(one), pack(two)].concat()).unwrap();
    }
    run(folder.path(), &db).expect(0);
    assert_eq!(db.number(ROWS).await, 1000);
    for (ending, pack) in [("gz", gzip as fn(&[u8]) -> Vec<u8>), ("zst", zstd)] {
        let name = folder.path().join(format!("user_events_1.csv.{ending}"));
        let mut file = fs::OpenOptions::new().append(true).open(name).unwrap();
        file.write_all(&pack(lines(1000..1010).as_bytes())).unwrap();
    }
    run(folder.path(), &db).expect(0);
    assert_eq!(db.number(ROWS).await, 1010);
    // Packed anew, by the same content it is the same file; with another it is another one.
    let all = [gzip(first.as_bytes()), gzip(lines(1000..1010).as_bytes())].concat();
    fs::write(folder.path().join("user_events_1.csv.gz"), all).unwrap();
    assert_eq!(run(folder.path(), &db).expect(0).stdout, "nothing new to load\n");
    let other = format!("{HEADER}{}", lines(1005..1020));
    fs::write(folder.path().join("user_events_1.csv.gz"), gzip(other.as_bytes())).unwrap();
    run(folder.path(), &db).expect(0);
    assert_eq!(db.number(ROWS).await, 1020);
    let records = "select partition, records from streamer.checkpoint order by 1";
    assert_eq!(
        db.rows(records).await,
        ["user_events_1.csv.gz|1010", "user_events_1.csv.gz#2|15", "user_events_1.csv.zst|1010"]
    );
}

#[tokio::test]
async fn a_packed_file_that_breaks_off_is_told_and_read_on_once_it_is_complete() {
    let (db, folder) = (TestDb::create().await, folder());
    fs::write(folder.path().join("streams.toml"), SETTINGS).unwrap();
    let text = format!("{HEADER}{}", lines(0..5000));
    for (at, (ending, whole)) in
        [("gz", gzip(text.as_bytes())), ("zst", zstd(text.as_bytes()))].into_iter().enumerate()
    {
        let path = folder.path().join(format!("user_events_1.csv.{ending}"));
        fs::write(&path, &whole[..whole.len() - 20]).unwrap();
        let ended = run(folder.path(), &db).expect(1);
        let reason = format!(".{ending}: the {} data break off", ["gzip", "zstd"][at]);
        assert!(ended.stdout.contains(&reason), "{}", ended.stdout);
        let status = Ended::of(streamer(folder.path(), &["status"]).env("DATABASE_URL", db.url()));
        let status = status.expect(0).stdout;
        assert!(status.contains(&reason) && status.contains("refused"), "{status}");
        let loaded = "select records from streamer.checkpoint where state = 'refused'";
        let loaded = db.number(loaded).await;
        assert!((1..5000).contains(&loaded), "{loaded} records stand before the cut");
        fs::write(&path, whole).unwrap();
        run(folder.path(), &db).expect(0);
        let done =
            "select count(*) from streamer.checkpoint where state = 'done' and records = 5000";
        assert_eq!(db.number(done).await, i64::try_from(at).unwrap() + 1);
    }
    assert_eq!(db.number(ROWS).await, 5000);
    assert_eq!(db.number("select count(*) from streamer.dead_letter").await, 0);
}

#[tokio::test]
async fn packed_files_under_a_false_name_are_refused_with_the_reason() {
    let (db, folder) = (TestDb::create().await, folder());
    fs::write(folder.path().join("streams.toml"), SETTINGS).unwrap();
    let text = format!("{HEADER}{}", lines(0..10));
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    write("user_events_1.csv", &gzip(text.as_bytes()));
    write("user_events_2.csv", &zstd(text.as_bytes()));
    write("user_events_3.csv.gz", text.as_bytes());
    let mut damaged = gzip(text.as_bytes());
    let end = damaged.len() - 1;
    damaged[end] ^= 1;
    write("user_events_4.csv.gz", &damaged);
    write("user_events_5.csv.gz", b"");
    let stdout = run(folder.path(), &db).expect(1).stdout;
    for reason in [
        "user_events_1.csv: the file is packed with gzip; end its name in .gz",
        "user_events_2.csv: the file is packed with zstd; end its name in",
        "user_events_3.csv.gz: the gzip data are damaged",
        "user_events_4.csv.gz: the gzip data are damaged",
    ] {
        assert!(stdout.contains(reason), "{reason} is not in\n{stdout}");
    }
    let refused = "select count(*) from streamer.checkpoint where state = 'refused'";
    assert_eq!(db.number(refused).await, 4);
    assert_eq!(db.number(ROWS).await, 10, "what stands before the damage");
}

#[tokio::test]
async fn a_file_that_unpacks_to_gigabytes_takes_bounded_memory() {
    let (db, folder) = (TestDb::create().await, folder());
    fs::write(folder.path().join("streams.toml"), SETTINGS).unwrap();
    // A header, and a line of 2 GiB that packs to some kB.
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.write_all(HEADER.as_bytes()).unwrap();
    let chunk = vec![b'x'; 1 << 20];
    (0..2048).for_each(|_| encoder.write_all(&chunk).unwrap());
    encoder.write_all(format!("\n{}", line(1)).as_bytes()).unwrap();
    let bytes = encoder.finish().unwrap();
    assert!(bytes.len() < 1 << 20);
    fs::write(folder.path().join("user_events_1.csv.zst"), bytes).unwrap();
    let mut command = streamer(folder.path(), &["run"]);
    let running = Running::start(command.env("DATABASE_URL", db.url()));
    db.wait_for(ROWS, 1).await;
    let peak_kb = running.peak_kb();
    assert!(peak_kb < 150_000, "{peak_kb} kB");
    let letter = "select line, end_offset - start_offset, length(raw) from streamer.dead_letter";
    assert_eq!(db.rows(letter).await, [format!("2|{}|65536", 2_u64 << 30)]);
    assert_eq!(running.terminate().0, Some(0));
}
