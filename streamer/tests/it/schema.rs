//! What is made in a database: what streams name, and nothing else; the user's tables are left as
//! they are.

use std::fs;
use std::path::Path;

use crate::support::{Ended, TestDb, folder, generate, streamer};

/// Everything outside of the streamer's own schema.
const PUBLIC: &str =
    "select (select count(*) from pg_class where relnamespace = 'public'::regnamespace)
          + (select count(*) from pg_proc where pronamespace = 'public'::regnamespace)
          + (select count(*) from pg_namespace where nspname !~ '^pg_' and nspname not in
                ('public', 'streamer', 'information_schema'))";

const TABLES: &str = "select relname from pg_class
    where relnamespace = 'public'::regnamespace and relkind in ('r', 'v') order by relname";

fn run(db: &TestDb, folder: &Path, args: &[&str]) -> Ended {
    Ended::of(streamer(folder, args).env("DATABASE_URL", db.url()))
}

fn streams(folder: &Path, settings: &str) {
    fs::write(folder.join("streams.toml"), settings).unwrap();
}

const ADS: &str = "[stream.ads]\nfiles = 'ads_*'\ndataset = 'ad_events'\n";

#[tokio::test]
async fn without_a_dataset_nothing_is_made_outside_of_the_own_schema() {
    let (db, folder) = (TestDb::empty().await, folder());
    let untouched = db.number(PUBLIC).await;
    streams(folder.path(), "[stream.orders]\nfiles = 'orders_*.csv'\n");
    let told = run(&db, folder.path(), &["status"]).expect(1).stderr;
    assert!(
        told.contains("V1__ledger of core is missing); run `streamer migrate` first"),
        "{told}"
    );
    let told = run(&db, folder.path(), &["migrate"]).expect(0).stdout;
    assert!(told.starts_with("applied V1__ledger of core\n") && !told.contains("events"), "{told}");
    assert_eq!(db.number(PUBLIC).await, untouched);
    let told = run(&db, folder.path(), &["migrate"]).expect(0).stdout;
    assert_eq!(told, "nothing to do: all migrations are applied\n");
}

#[tokio::test]
async fn a_dataset_is_installed_when_a_stream_names_it_and_views_are_of_those_that_are_there() {
    let (db, folder) = (TestDb::empty().await, folder());
    streams(folder.path(), "[stream.where]\nfiles = '*.csv'\ndataset = 'gps_positions'\n");
    run(&db, folder.path(), &["run", "--available-now"]).expect(0);
    assert_eq!(db.rows(TABLES).await, ["gps_positions", "latency_per_window"]);
    let settings = "[stream.emoji]\nfiles = '*.csv'\ndataset = 'emoji_reactions'\n";
    streams(folder.path(), settings);
    let told = run(&db, folder.path(), &["migrate"]).expect(0).stdout;
    assert_eq!(told, "applied V1__emoji_reactions of emoji_reactions\n");
    let made = ["emoji_reactions", "emoji_reactions_per_minute", "events_per_second"];
    assert_eq!(
        db.rows(TABLES).await,
        [&made[..], &["gps_positions", "latency_per_window"]].concat()
    );
    db.execute(
        "insert into emoji_reactions (user_id, emoji_type, timestamp)
         select i, 'joy', '2026-01-01 00:00Z' from generate_series(1, 120) i;
         insert into gps_positions values (1, '2026-01-01 00:00Z', 1, 1)",
    )
    .await;
    let rates = "select dataset, events, per_second from events_per_second";
    assert_eq!(db.rows(rates).await, ["emoji_reactions|120|2.000"]);
    let latencies = "select dataset, events from latency_per_window order by 1";
    assert_eq!(db.rows(latencies).await, ["emoji_reactions|120", "gps_positions|1"]);
}

#[tokio::test]
async fn a_table_of_the_users_that_is_called_like_a_dataset_is_loaded_as_it_is() {
    let (db, folder) = (TestDb::empty().await, folder());
    db.execute("create table user_events (id int primary key, note text, at timestamptz)").await;
    let untouched = db.number(PUBLIC).await;
    let file = |n: u32| {
        let path = folder.path().join(format!("user_events_{n}.csv"));
        fs::write(path, format!("id,note,at\n{n},hello,2026-01-01T00:00:00Z\n")).unwrap();
    };
    file(1);
    let own = "[stream.user_events]\nfiles = 'user_events_*.csv'\n";
    streams(folder.path(), own);
    run(&db, folder.path(), &["run", "--available-now"]).expect(0);
    // It stays the user's, also where the dataset is named.
    streams(folder.path(), &format!("{own}dataset = 'user_events'\n"));
    file(2);
    let says = "table user_events was there before and is not the dataset's: it is used as it is";
    for command in ["check", "migrate"] {
        let told = run(&db, folder.path(), &[command]).expect(0).stdout;
        assert!(told.contains(says), "{command}: {told}");
    }
    run(&db, folder.path(), &["run", "--available-now"]).expect(0);
    assert_eq!(
        db.rows("select id, note from user_events order by id").await,
        ["1|hello", "2|hello"]
    );
    assert_eq!(db.number(PUBLIC).await, untouched);
    let history = "select count(*) from pg_class where relname like 'history%'";
    assert_eq!(db.number(history).await, 0);
    let triggers = "select count(*) from pg_trigger where tgrelid = 'user_events'::regclass";
    assert_eq!(db.number(triggers).await, 0);
}

#[tokio::test]
async fn a_view_of_the_users_that_is_called_like_one_of_a_dataset_stays() {
    let (db, folder) = (TestDb::empty().await, folder());
    let mine = ["purchase_funnel", "events_per_second", "latency_per_window"];
    for view in mine {
        db.execute(&format!("create view public.{view} as select 'mine' as whose")).await;
    }
    let events = "[stream.events]\nfiles = 'events_*'\ndataset = 'user_events'\n";
    streams(folder.path(), events);
    let told = run(&db, folder.path(), &["migrate"]).expect(0).stdout;
    for view in mine {
        assert!(told.contains(&format!("left public.{view} as it is: ")), "{told}");
        assert_eq!(db.rows(&format!("select * from {view}")).await, ["mine"]);
    }
    assert_eq!(db.rows("select * from user_events_per_hour").await, [""; 0]);
    let told = run(&db, folder.path(), &["migrate"]).expect(0).stdout;
    assert_eq!(told, "nothing to do: all migrations are applied\n");
}

#[tokio::test]
async fn ads_are_taken_as_their_makers_send_them_and_share_one_window() {
    let (db, folder) = (TestDb::empty().await, folder());
    let event = |n: u32, seconds: u64, more: &str| {
        let id = format!("00000000-0000-4000-8000-0000000000{n:02}");
        format!(
            "{{\"user_id\":\"{id}\",\"page_id\":\"{id}\",\"ad_id\":\"{id}\",\"ad_type\":\"image\",\
             \"event_type\":\"view\",\"event_time_ns\":{seconds}000000007,\"campaign_id\":5{more}}}\n"
        )
    };
    let start = 1_767_225_600;
    let sent = format!(",\"window_id\":7,\"produce_time\":{}250", start + 10);
    let events = event(1, start, "") + &event(2, start + 10, &sent) + &event(3, start + 30, "");
    fs::write(folder.path().join("ads_1.ndjson"), events).unwrap();
    streams(folder.path(), ADS);
    run(&db, folder.path(), &["run", "--available-now"]).expect(0);
    let rows = "select campaign_id, window_id, event_time_ns, produce_time from ad_events order by user_id";
    assert_eq!(
        db.rows(rows).await,
        [
            format!("5|∅|{start}000000007|∅"),
            format!("5|7|{}000000007|{}250", start + 10, start + 10),
            format!("5|∅|{}000000007|∅", start + 30),
        ]
    );
    let windows = "select window_id, campaign_id, views from campaign_windows";
    let latencies = "select window_start, events from latency_per_window order by 1";
    let rates = "select window_start, events, per_second from events_per_second";
    let report = ["report", "latency", "ads", "--csv"];
    // Windows after the first, and their events.
    let (tens, thirties) = ([(0, 1), (1, 1), (3, 1)], [(0, 2), (1, 1)]);
    for (seconds, expected) in [(10, &tens[..]), (30, &thirties), (10, &tens)] {
        streams(folder.path(), &format!("{ADS}window = '{seconds}s'\n"));
        run(&db, folder.path(), &["migrate"]).expect(0);
        let counted =
            |(after, events): &(u64, u32)| format!("{}|5|{events}", start / seconds + after);
        let ids: Vec<String> = expected.iter().map(counted).collect();
        assert_eq!(db.rows(windows).await, ids, "{seconds} s");
        let sizes: Vec<String> = expected.iter().map(|(_, events)| events.to_string()).collect();
        for view in [latencies, rates] {
            let rows = db.rows(view).await;
            let events: Vec<&str> = rows.iter().map(|row| row.split('|').nth(1).unwrap()).collect();
            assert_eq!(events, sizes, "{view}, {seconds} s");
        }
        let each = format!(
            "select per_second = round({} / {seconds}.0, 3) from events_per_second limit 1",
            expected[0].1
        );
        assert_eq!(db.rows(&each).await, ["t"], "{seconds} s");
        let told = run(&db, folder.path(), &report).expect(0).stdout;
        // A header, the windows, and all.
        assert_eq!(told.lines().count(), expected.len() + 2, "{told}");
    }
}

#[tokio::test]
async fn the_window_is_brought_to_what_the_setting_says_by_whoever_may() {
    let (db, folder) = (TestDb::create().await, folder());
    let role = format!("ads_{}", std::process::id());
    db.execute(&format!(
        "create role {role} login; grant usage on schema streamer to {role};
         grant insert, select on ad_events to {role};
         grant select on all tables in schema streamer to {role};
         grant insert, update on streamer.checkpoint, streamer.micro_batch to {role};
         grant usage on all sequences in schema streamer to {role}"
    ))
    .await;
    let size =
        "select window_size from streamer.rollup where rollup = 'ad_events_per_window'::regclass";
    let loader = |args: &[&str]| {
        let url = db.url().replace("streamer@", &format!("{role}@"));
        Ended::of(streamer(folder.path(), args).env("DATABASE_URL", url))
    };
    streams(folder.path(), ADS);
    loader(&["run", "--available-now"]).expect(0);
    streams(folder.path(), &format!("{ADS}window = '1m'\n"));
    let told = loader(&["run", "--available-now"]).expect(1).stderr;
    let says = "give public.ad_events_per_window windows of 1m, as the stream's setting says: ";
    assert!(told.contains(says) && told.contains("`streamer migrate`"), "{told}");
    assert_eq!(db.rows(size).await, ["00:00:10"]);
    let told = run(&db, folder.path(), &["check"]).expect(0).stdout;
    assert!(told.contains("windows of 1m, as the stream's setting says, once"), "{told}");
    let told = run(&db, folder.path(), &["migrate"]).expect(0).stdout;
    assert!(told.contains("public.ad_events_per_window has windows of 1m"), "{told}");
    assert_eq!(db.rows(size).await, ["00:01:00"]);
    loader(&["run", "--available-now"]).expect(0);
}

/// Events of a minute, of which the first half is gone, as with `keep`.
const HALF_GONE: &str =
    "insert into ad_events (user_id, page_id, ad_id, ad_type, event_type, event_time_ns, campaign_id)
     select md5(i::text)::uuid, md5('p')::uuid, md5('a')::uuid, 'image', 'view',
            1767225600000000000 + i * 1000000000::bigint, 1 from generate_series(0, 59) i;
     begin;
     set local streamer.keep_rollups = on;
     delete from ad_events where event_time < '2026-01-01 00:00:30Z';
     commit";

#[tokio::test]
async fn windows_whose_rows_are_gone_are_not_counted_anew_by_a_setting() {
    let (db, folder) = (TestDb::create().await, folder());
    db.execute("select streamer.change_rollup('ad_events_per_window', '30 seconds')").await;
    db.execute(HALF_GONE).await;
    let windows = "select (window_start at time zone 'UTC')::time, events from ad_events_per_window order by 1";
    let before = ["00:00:00|30", "00:00:30|30"];
    assert_eq!(db.rows(windows).await, before);
    streams(folder.path(), ADS);
    let told = run(&db, folder.path(), &["migrate"]).expect(0).stdout;
    assert_eq!(told, "nothing to do: all migrations are applied\n");
    for window in ["10s", "1m"] {
        streams(folder.path(), &format!("{ADS}window = '{window}'\n"));
        for command in [&["migrate"][..], &["run", "--available-now"]] {
            let told = run(&db, folder.path(), command).expect(1).stderr;
            assert!(told.contains("it tells of rows that are gone"), "{told}");
            assert!(told.contains("streamer.change_rollup('public.ad_events_per"), "{told}");
        }
        assert_eq!(db.rows(windows).await, before, "{window}");
    }
    db.execute("select streamer.change_rollup('public.ad_events_per_window', '60 seconds')").await;
    run(&db, folder.path(), &["migrate"]).expect(0);
    assert_eq!(db.rows(windows).await, ["00:00:00|30"]);
}

/// Has the first statement that makes a table end as `DOES` says; the second try is left in peace.
const TROUBLE: &str = "
    create sequence public.tries;
    create function public.trouble() returns event_trigger language plpgsql as $$
    begin
        if nextval('public.tries') = 1 then
            DOES;
        end if;
    end $$;
    create event trigger trouble on ddl_command_end when tag in ('CREATE TABLE')
        execute function public.trouble()";

#[tokio::test]
async fn a_passing_fault_while_migrating_is_tried_again() {
    for does in [
        "perform pg_terminate_backend(pg_backend_pid())",
        "raise exception 'a deadlock' using errcode = 'deadlock_detected'",
    ] {
        let (db, folder) = (TestDb::empty().await, folder());
        db.execute(&TROUBLE.replace("DOES", does)).await;
        streams(folder.path(), ADS);
        run(&db, folder.path(), &["run", "--available-now"]).expect(0);
        assert!(db.number("select last_value from public.tries").await > 1, "{does}");
        assert_eq!(db.number("select count(*) from streamer.history_ad_events").await, 2);
    }
}

#[tokio::test]
async fn a_role_that_loads_can_not_write_a_history() {
    let db = TestDb::create().await;
    let readme = include_str!("../../../README.md");
    let grants = readme.split("```sql\n").nth(1).and_then(|rest| rest.split("```").next());
    let role = format!("forger_{}", std::process::id());
    db.execute(&format!("create role {role}; {}", grants.unwrap().replace("loader", &role))).await;
    let writable = format!(
        "select relname from pg_class where relnamespace = 'streamer'::regnamespace and relkind = 'r'
            and has_any_column_privilege('{role}', oid, 'insert, update') order by relname"
    );
    let writable = db.rows(&writable).await.join(" ");
    assert_eq!(
        writable,
        "checkpoint compaction dead_letter idempotency_key instance micro_batch micro_batch_old"
    );
}

#[tokio::test]
async fn a_data_folder_that_is_not_there_is_told_and_not_made() {
    let (db, folder) = (TestDb::create().await, folder());
    let data = folder.path().join("nowhere");
    let run = |args: &[&str]| {
        let mut command = streamer(folder.path(), args);
        Ended::of(command.env("DATABASE_URL", db.url()).env("STREAMER_DATA", &data))
    };
    for args in [&["run", "--available-now"][..], &["check"]] {
        let told = run(args).expect(1).stderr;
        let says = format!("there is no data folder {}; make it, or name another", data.display());
        assert!(told.contains(&says), "{told}");
    }
    assert!(!data.exists());
}

#[tokio::test]
async fn without_a_file_of_streams_it_is_said_which_there_are() {
    let (db, folder) = (TestDb::create().await, folder());
    generate(folder.path(), 1, 10, 5);
    let built_in = "there is no streams.toml in this folder: loading what is built in, \
                    ad_events_*.csv into ad_events, ";
    let told = run(&db, folder.path(), &["run", "--available-now"]).stderr;
    assert_eq!(told.matches(built_in).count(), 1, "{told}");
    streams(folder.path(), "[stream.user_events]\nfiles = 'user_events_*.csv'\n");
    let told = run(&db, folder.path(), &["run", "--available-now"]).stderr;
    assert!(!told.contains("built in"), "{told}");
}
