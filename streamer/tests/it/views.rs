//! The views: each shows what its rows come to.

use crate::rollups::{generate, load};
use crate::support::{TestDb, folder};

#[tokio::test]
async fn each_view_says_what_it_shows_and_shows_it() {
    let (db, folder) = (TestDb::create().await, folder());
    generate(folder.path(), 6, 12);
    load(&db, folder.path());
    let views =
        "select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
                  where c.relkind = 'v' and n.nspname in ('public', 'streamer')";
    let views = db.rows(views).await;
    assert!(views.len() >= 12, "{views:?}");
    for view in views {
        let silent = format!("select num_nulls(obj_description('{view}'::regclass))::bigint");
        assert_eq!(db.number(&silent).await, 0, "{view} has no comment");
        let rows = db.number(&format!("select count(*) from {view}")).await;
        assert_eq!(rows > 0, view != "streamer.pending_file", "{view} has {rows} rows");
    }
    let top =
        "select account_region, place, share between 0.35 and 0.45 from traffic_by_region limit 1";
    assert_eq!(db.rows(top).await, ["North American Trade Zone|1|t"]);
    let newest =
        "with newest as (select date_trunc('minute', max(event_time)) as minute from transfers)
                  select sum(transfers) = (select count(*) from transfers, newest
                                            where event_time >= minute - interval '1 minute')
                    from volume_by_region(2)";
    assert_eq!(db.rows(newest).await, ["t"]);
    let best = "select account_region from transfers group by 1 order by avg(transaction_value) desc limit 3";
    assert_eq!(
        db.rows("select account_region from top_regions_by_average").await,
        db.rows(best).await
    );
    let funnel = "select count(*) from purchase_funnel f where purchases <>
                    (select count(*) from user_events e
                      where e.category is not distinct from f.category and event_type = 'purchase')";
    assert_eq!(db.number(funnel).await, 0);
    let reasons =
        "select sum(letters) = (select sum(jsonb_array_length(reasons)) from streamer.dead_letter)
                     from streamer.dead_letter_reason";
    assert_eq!(db.rows(reasons).await, ["t"]);
    let sliding = "select count(*) from simulator_events_sliding s where events <>
                     (select count(*) from simulator_events
                       where time < window_end and time >= window_end - interval '1 minute')";
    assert_eq!(db.number(sliding).await, 0);
}
