//! Files into user_events: every record becomes a row, a counted duplicate or a dead letter.

use std::fs;

use crate::support::{Ended, TestDb, folder, generate, judge, streamer};

/// What the micro-batches say in all, per file: `partition|records|rows|duplicates|dead letters`.
const PER_FILE: &str =
    "select partition, sum(records), sum(rows), sum(duplicates), sum(dead_letters)
   from streamer.micro_batch group by partition order by partition";

#[tokio::test]
async fn the_table_holds_what_an_independent_reading_finds() {
    let (db, folder) = (TestDb::create().await, folder());
    let files = generate(folder.path(), 3, 2000, 7);
    let verdict = judge(&files);
    assert!(verdict.duplicates > 20 && verdict.bad.len() > 20, "{verdict:?}");
    let run = ["run", "--available-now", "--max-rows", "500"];
    let ended = Ended::of(streamer(folder.path(), &run).env("DATABASE_URL", db.url())).expect(3);
    assert!(ended.stdout.contains("dead-letters list"), "{}", ended.stdout);
    db.agrees_with(&verdict).await;
    let sums = "select sum(records)::bigint from streamer.micro_batch";
    assert_eq!(db.number(sums).await, verdict.records);
    let checkpoint = "select sum(records)::bigint from streamer.checkpoint where state = 'done'";
    assert_eq!(db.number(checkpoint).await, verdict.records);
    // Once more: nothing is left to do.
    let ended = Ended::of(streamer(folder.path(), &run).env("DATABASE_URL", db.url())).expect(0);
    assert_eq!(ended.stdout, "nothing new to load\n");
    db.agrees_with(&verdict).await;
}

#[tokio::test]
async fn every_row_leads_back_to_its_file_and_offsets() {
    let (db, folder) = (TestDb::create().await, folder());
    generate(folder.path(), 2, 1500, 1);
    Ended::of(streamer(folder.path(), &["run", "--available-now"]).env("DATABASE_URL", db.url()))
        .expect(3);
    let strays = "select count(*) from user_events e
        left join streamer.micro_batch b using (batch_id)
       where b.batch_id is null or e.ingested_at is null or e.ingested_at <> b.started_at";
    assert_eq!(db.number(strays).await, 0);
    let miscounted = "select count(*) from streamer.micro_batch b
       where rows <> (select count(*) from user_events e where e.batch_id = b.batch_id)";
    assert_eq!(db.number(miscounted).await, 0);
    let gaps = "select count(*) from (
            select start_offset, lag(end_offset, 1, 0::bigint)
                   over (partition by stream, partition order by start_offset) as expected
              from streamer.micro_batch) b
       where start_offset <> expected";
    assert_eq!(db.number(gaps).await, 0, "the offsets join up without gap or overlap");
}

#[tokio::test]
async fn columns_are_matched_by_name_in_any_order_and_case() {
    let (db, folder) = (TestDb::create().await, folder());
    fs::write(
        folder.path().join("user_events_1.csv"),
        "\u{feff}Price, product_id,EVENT_TIME,event_id,user_id,event_type\r\n\
         1.5,7,2026-01-02 03:04:05+02:00,0190a5f0-0000-7000-8000-000000000001,8,view\r\n\
         ,-7,2026-01-02T03:04:05.123456Z,0190A5F0000070008000000000000002,9,\"a \"\"b\"\"\ncsv\"\r\n",
    )
    .unwrap();
    Ended::of(streamer(folder.path(), &["run", "--available-now"]).env("DATABASE_URL", db.url()))
        .expect(0);
    let rows = "select right(event_id::text, 1), user_id, product_id, event_type,
                       event_time at time zone 'UTC', price, category
                  from user_events order by 1";
    assert_eq!(
        db.rows(rows).await,
        [
            "1|8|7|view|2026-01-02 01:04:05|1.50|∅",
            "2|9|-7|a \"b\"\ncsv|2026-01-02 03:04:05.123456|∅|∅"
        ]
    );
}

#[tokio::test]
async fn duplicates_are_counted_within_a_micro_batch_across_files_and_across_runs() {
    let (db, folder) = (TestDb::create().await, folder());
    let header = "event_id,user_id,product_id,event_type,event_time\n";
    let line = |n: u8| {
        format!("0190a5f0-0000-7000-8000-0000000000{n:02x},1,1,view,2026-01-01T00:00:00Z\n")
    };
    let write = |name: &str, lines: &[u8]| {
        let lines: String = lines.iter().map(|&n| line(n)).collect();
        fs::write(folder.path().join(name), format!("{header}{lines}")).unwrap();
    };
    let run = || {
        // Of several writers it is open which reads a key first.
        let args = ["run", "--available-now", "--writers", "1"];
        let mut command = streamer(folder.path(), &args);
        Ended::of(command.env("DATABASE_URL", db.url())).expect(0);
    };
    write("user_events_1.csv", &[1, 2, 1, 1]);
    write("user_events_2.csv", &[2, 3]);
    run();
    write("user_events_3.csv", &[3, 4, 4]);
    run();
    assert_eq!(
        db.rows(PER_FILE).await,
        ["user_events_1.csv|4|2|2|0", "user_events_2.csv|2|1|1|0", "user_events_3.csv|3|1|2|0"]
    );
    assert_eq!(db.number("select count(*) from user_events").await, 4);
}

#[tokio::test]
async fn a_dead_letter_tells_file_line_offset_raw_record_column_and_reason() {
    let (db, folder) = (TestDb::create().await, folder());
    let header = b"event_id,user_id,product_id,event_type,event_time,price\n";
    let bad = b"0190a5f0-0000-7000-8000-000000000001,\xff\0,2,view,today,1.234\r\n";
    let quote = b"0190a5f0-0000-7000-8000-000000000002,1,2,\"vi\"ew,2026-01-01T00:00:00Z,1\n";
    let good = b"0190a5f0-0000-7000-8000-000000000003,1,2,view,2026-01-01T00:00:00Z,1\n";
    let bytes = [&header[..], good, bad, quote].concat();
    fs::write(folder.path().join("user_events_1.csv"), &bytes).unwrap();
    Ended::of(streamer(folder.path(), &["run", "--available-now"]).env("DATABASE_URL", db.url()))
        .expect(3);
    let start = header.len() + good.len();
    let place = "select partition, line, start_offset, end_offset, encode(raw, 'hex'), columns[2]
                   from streamer.dead_letter order by line";
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let letter = |line: usize, start: usize, raw: &[u8]| {
        let end = start + raw.len();
        format!("user_events_1.csv|{line}|{start}|{end}|{}|user_id", hex(raw))
    };
    let raw = &bad[..bad.len() - 2];
    let quoted = &quote[..quote.len() - 1];
    assert_eq!(db.rows(place).await, [letter(3, start, raw), letter(4, start + bad.len(), quoted)]);
    let reasons = "select r->>'column', r->>'value', r->>'sqlstate'
                     from streamer.dead_letter, jsonb_array_elements(reasons) r order by line, 1";
    assert_eq!(
        db.rows(reasons).await,
        ["event_time|today|22007", "price|1.234|22003", "user_id|\\xff\\u{0}|22021", "∅|∅|22P04"]
    );
}

#[tokio::test]
async fn what_postgresql_itself_refuses_costs_only_the_offending_rows() {
    let (db, folder) = (TestDb::create().await, folder());
    db.execute(
        "create table shop (id bigint primary key);
         insert into shop values (1), (2);
         alter table user_events add constraint sold_for_something check (event_type <> 'buy' or price > 0);
         alter table user_events add shop bigint references shop deferrable initially deferred;
         create unique index one_device on user_events (user_device);
         create function refuse() returns trigger language plpgsql as
             $$ begin raise exception 'user % is banned', new.user_id; end $$;
         create trigger ban before insert on user_events for each row when (new.user_id = 13)
             execute function refuse();",
    )
    .await;
    let header = "event_id,user_id,product_id,event_type,event_time,price,user_device,shop\n";
    let line = |n: u32, user: u32, kind: &str, price: &str, device: &str, shop: u32| {
        format!(
            "0190a5f0-0000-7000-8000-0000000{n:05},{user},1,{kind},2026-01-01T00:00:00Z,{price},{device},{shop}\n"
        )
    };
    let mut text = header.to_owned();
    for n in 0..200 {
        text += &match n {
            20 => line(n, 1, "buy", "0", "", 1),         // CHECK
            21 => line(20, 1, "buy", "5", "", 1),        // the same key, and valid: it is the row
            50 => line(n, 1, "view", "1", "", 3),        // foreign key, deferred
            70 => line(n, 13, "view", "1", "", 1),       // a trigger that raises
            90 | 91 => line(n, 1, "view", "1", "tv", 1), // a unique index other than the key
            99 => line(3, 1, "view", "1", "", 1),        // an ordinary duplicate
            _ => line(n, 1, "view", "1", "", 2),
        };
    }
    fs::write(folder.path().join("user_events_1.csv"), text).unwrap();
    Ended::of(streamer(folder.path(), &["run", "--available-now"]).env("DATABASE_URL", db.url()))
        .expect(3);
    assert_eq!(db.rows(PER_FILE).await, ["user_events_1.csv|200|195|1|4"]);
    assert_eq!(
        db.rows("select line, reasons->0->>'sqlstate' from streamer.dead_letter order by line")
            .await,
        ["22|23514", "52|23503", "72|P0001", "93|23505"]
    );
    assert_eq!(
        db.number("select price::bigint from user_events where event_type = 'buy'").await,
        5
    );
    assert_eq!(db.rows("select distinct path from streamer.micro_batch").await, ["careful"]);
}

#[tokio::test]
async fn postgresql_is_told_to_write_about_a_thousand_rows_of_a_heap_one_by_one() {
    let (db, folder) = (TestDb::create().await, folder());
    db.execute(
        "create table heap (id integer primary key);
         create table parts (id integer primary key) partition by range (id);
         create table part partition of parts for values from (0) to (10000);
         create table noted (name text, rows bigint, is_one_by_one boolean);
         create function note() returns trigger language plpgsql as $$ begin
             insert into noted select tg_table_name, count(*), current_query() like '% where pg_catalog.random() %'
                                 from new_rows;
             return null;
         end $$;
         create trigger noted after insert on heap referencing new table as new_rows
             for each statement execute function note();
         create trigger noted after insert on parts referencing new table as new_rows
             for each statement execute function note()",
    )
    .await;
    let streams =
        ["heap", "parts"].map(|name| format!("[stream.{name}]\nfiles = '{name}_*.csv'\n"));
    fs::write(folder.path().join("streams.toml"), streams.concat()).unwrap();
    let mut first = 0;
    for rows in [1, 599, 600, 1000, 1400, 1401] {
        let ids: String = (first..first + rows).map(|id| format!("{id}\n")).collect();
        first += rows;
        for name in ["heap", "parts"] {
            fs::write(folder.path().join(format!("{name}_{rows}.csv")), format!("id\n{ids}"))
                .unwrap();
        }
        let run = ["run", "--available-now", "--max-rows", "5000"];
        Ended::of(streamer(folder.path(), &run).env("DATABASE_URL", db.url())).expect(0);
    }
    let noted =
        |name| format!("select rows, is_one_by_one from noted where name = '{name}' order by rows");
    let told = ["1|f", "599|f", "600|t", "1000|t", "1400|t", "1401|f"];
    assert_eq!(db.rows(&noted("heap")).await, told);
    assert_eq!(db.rows(&noted("parts")).await, told.map(|told| told.replace('t', "f")));
}
