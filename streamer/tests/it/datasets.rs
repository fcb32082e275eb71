//! Every dataset of the generator into its table, by the streams that this repository ships.

use std::ops::ControlFlow;
use std::path::PathBuf;

use generator::{Advertising, Banking, Counts, Dataset, Generator, Settings};

use crate::support::{Ended, TestDb, folder, streamer};

fn datasets() -> [Dataset; 7] {
    [
        Dataset::UserEvents,
        Dataset::AdEvents(Advertising::default()),
        Dataset::Transfers(Banking { people: true, ..Banking::default() }),
        Dataset::Gps,
        Dataset::Pos,
        Dataset::Emoji,
        Dataset::Simulator,
    ]
}

/// A file of each dataset: its table, its path, what it holds. The settings say of what kind.
fn files(settings: &Settings) -> Vec<(&'static str, PathBuf, Counts)> {
    let file = |dataset: Dataset| {
        let table = dataset.name();
        let mut generator = Generator::new(Settings { dataset, ..settings.clone() }).unwrap();
        let written = generator.write_file(&mut |_| ControlFlow::Continue(())).unwrap().unwrap();
        (table, written.path, written.counts)
    };
    datasets().into_iter().map(file).collect()
}

/// PostgreSQL itself reads each file beside the streamer.
#[tokio::test]
async fn every_record_of_every_dataset_is_a_row() {
    let (db, folder) = (TestDb::create().await, folder());
    let out = folder.path().to_owned();
    let files = files(&Settings { rows: 3_000, seed: Some(1), out, ..Settings::default() });
    let run = ["run", "--available-now", "--max-rows", "1000"];
    Ended::of(streamer(folder.path(), &run).env("DATABASE_URL", db.url())).expect(0);
    for (table, path, _) in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let header = text.lines().next().unwrap();
        // "time" is a word of SQL, unless quoted.
        let columns = format!("\"{}\"", header.replace(',', "\",\""));
        db.execute(&format!(
            "create table expected_{table} (like {table} including generated);
             copy expected_{table} ({columns}) from '{}' with (format csv, header)",
            path.display()
        ))
        .await;
        let differing = format!(
            "select count(*) from (
                (select {columns} from {table} except all select {columns} from expected_{table})
                union all
                (select {columns} from expected_{table} except all select {columns} from {table})
             ) as differing"
        );
        assert_eq!(db.number(&differing).await, 0, "{table}");
        assert_eq!(db.number(&format!("select count(*) from {table}")).await, 3_000, "{table}");
    }
    assert_eq!(db.number("select count(*) from streamer.dead_letter").await, 0);
    let derived = "select count(*) from ad_events
        where event_time_ns / 1000 <> extract(epoch from event_time) * 1000000";
    assert_eq!(db.number(derived).await, 0);
}

#[tokio::test]
async fn of_every_dataset_repeated_records_are_duplicates_and_broken_ones_dead_letters() {
    let (db, folder) = (TestDb::create().await, folder());
    let out = folder.path().to_owned();
    let mixed = Settings { duplicates: 0.05, bad: 0.05, seed: Some(1), out, ..Settings::default() };
    let files = files(&Settings { rows: 1_000, ..mixed });
    let run = ["run", "--available-now"];
    Ended::of(streamer(folder.path(), &run).env("DATABASE_URL", db.url())).expect(3);
    for (table, _, counts) in files {
        let Counts { rows, duplicates, bad } = counts;
        let told = format!(
            "select sum(rows), sum(duplicates), sum(dead_letters) from streamer.micro_batch
              where stream = '{table}'"
        );
        let expected = format!("{}|{duplicates}|{bad}", rows - duplicates - bad);
        assert_eq!(db.rows(&told).await, [expected], "{table}");
    }
}
