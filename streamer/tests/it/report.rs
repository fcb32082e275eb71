//! `streamer report`: what it prints and writes is what the views hold.

use std::fs;

use crate::rollups::{generate, load};
use crate::support::{Ended, TestDb, folder, streamer};

fn report(db: &TestDb, folder: &std::path::Path, args: &[&str]) -> Ended {
    let args = [&["report"], args].concat();
    Ended::of(streamer(folder, &args).env("DATABASE_URL", db.url()))
}

#[tokio::test]
async fn the_views_of_a_dataset_are_shown_as_tables_csv_and_json() {
    let (db, folder) = (TestDb::create().await, folder());
    generate(folder.path(), 8, 12);
    load(&db, folder.path());
    let text = report(&db, folder.path(), &["transfers"]).expect(0).stdout;
    for shown in [
        "traffic_by_region: Regions by the number of their transfers",
        "top_regions_by_average",
        "highest_volume",
        "events_per_second",
        "latency_per_window",
        "transfers_per_minute: ",
    ] {
        assert!(text.contains(shown), "{shown}: {text}");
    }
    assert!(!text.contains("user_events_per") && !text.contains("ad_events"), "{text}");
    assert!(text.contains("North American Trade Zone"), "{text}");
    let unshown =
        report(&db, folder.path(), &["transfers", "--view", "transfers_per_minute", "--rows", "2"]);
    assert_eq!(unshown.expect(0).stdout.lines().count(), 1 + 2 + 2);

    let args = ["transfers", "--view", "traffic_by_region", "--csv"];
    let csv = report(&db, folder.path(), &args).expect(0).stdout;
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let rows: Vec<String> =
        reader.records().map(|r| r.unwrap().iter().collect::<Vec<_>>().join("|")).collect();
    assert_eq!(rows, db.rows("select * from traffic_by_region").await);

    let json = report(&db, folder.path(), &["emoji", "--json"]).expect(0).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let per_minute = json["emoji_reactions_per_minute"].as_array().unwrap();
    let windows = db.number("select count(*) from emoji_reactions_per_minute").await;
    assert_eq!(i64::try_from(per_minute.len()).unwrap(), windows, "all of them");
    let reactions: i64 = per_minute.iter().map(|row| row["reactions"].as_i64().unwrap()).sum();
    assert_eq!(reactions, db.number("select count(*) from emoji_reactions").await);

    let out = folder.path().join("reports/");
    let into = ["user_events", "--csv", "--out", "reports/"];
    report(&db, folder.path(), &into).expect(0);
    report(&db, folder.path(), &into).expect(0);
    let funnel = fs::read_to_string(out.join("purchase_funnel.csv")).unwrap();
    assert!(funnel.starts_with("category,views,carts,purchases,"), "{funnel}");
    assert_eq!(
        i64::try_from(funnel.lines().count() - 1).unwrap(),
        db.number("select count(*) from purchase_funnel").await
    );
    let wrong = report(&db, folder.path(), &["user_events", "--view", "nothing"]).expect(1).stderr;
    assert!(wrong.contains("there are purchase_funnel, "), "{wrong}");
    let wrong = report(&db, folder.path(), &["nothing"]).expect(1).stderr;
    assert!(wrong.contains("there is no stream \"nothing\"; there are ad_events"), "{wrong}");
    let wrong = report(&db, folder.path(), &["user_events", "--out", "reports/"]).expect(1).stderr;
    assert!(wrong.contains("a folder"), "{wrong}");
}

#[tokio::test]
async fn latency_is_told_per_window_and_over_all() {
    let (db, folder) = (TestDb::create().await, folder());
    // Ten events in each of three windows, which take 1 to 10 times as many milliseconds as their
    // window's number.
    db.execute(
        "insert into user_events (event_id, user_id, product_id, event_type, event_time, ingested_at)
         select gen_random_uuid(), 1, 1, 'view', at, at + interval '1 millisecond' * w * n
           from generate_series(1, 3) w, generate_series(1, 10) n,
                lateral (select timestamptz '2026-01-01 00:00Z' + interval '10 seconds' * w) t (at);
         insert into ad_events (user_id, page_id, ad_id, ad_type, event_type, event_time_ns, campaign_id,
                                produce_time, ingested_at)
         select gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'image', 'view', 1767225600000000000,
                5, 1767225605000, to_timestamp(1767225605.25)",
    )
    .await;
    let text = report(&db, folder.path(), &["latency", "user_events"]).expect(0).stdout;
    assert!(
        text.contains(" 2026-01-01 00:00:20+00       10         11.0     11.0     18.2"),
        "{text}"
    );
    let last = "30 events in 3 windows: average 11.0 ms, P50 9.0 ms, P90 21.3 ms, P99 29.1 ms, max 30.0 ms\n";
    assert!(text.ends_with(last), "{text}");
    let text =
        report(&db, folder.path(), &["latency", "user-events", "--window", "1m"]).expect(0).stdout;
    assert!(text.contains("30 events in 1 windows: "), "{text}");
    let csv = report(&db, folder.path(), &["latency", "user_events", "--csv"]).expect(0).stdout;
    assert_eq!(csv.lines().nth(1), Some("2026-01-01 00:00:10+00,10,5.5,5.5,9.1,9.9,10.0"));
    assert_eq!(csv.lines().last(), Some(",30,11.0,9.0,21.3,29.1,30.0"));
    // From when it was sent, where that is known.
    let view = "select average_ms, events from latency_per_window where dataset = 'ad_events'";
    assert_eq!(db.rows(view).await, ["250.0|1"]);
    let empty = report(&db, folder.path(), &["latency", "transfers"]).expect(0).stdout;
    assert!(empty.contains("nothing yet"), "{empty}");
}
