//! Rows that PostgreSQL itself refuses: each costs only itself, with PostgreSQL's own words.

use std::fs;

use sqlx::postgres::PgDatabaseError;

use crate::support::{Ended, TestDb, folder, streamer};

/// A table that refuses in every way that a table can.
const TABLE: &str = "
    create table rooms (room integer primary key);
    insert into rooms values (1), (2);
    create table bookings (
        id integer primary key,
        room integer references rooms,
        guests integer constraint some_guests check (guests > 0),
        nights int4range,
        note text not null,
        code text unique,
        constraint no_overlap exclude using gist (nights with &&)
    );
";

/// A trigger that raises in every way that PL/pgSQL can.
const JUDGE: &str = "
    create function judge() returns trigger language plpgsql as $$
    declare
        one integer;
    begin
        case new.note
            when 'null' then new.note := null;
            when 'raise' then raise exception 'booking % is not wanted', new.id;
            when 'own code' then
                raise exception using errcode = 'BK001', message = 'no such guest', detail = 'ask';
            when 'denied' then raise insufficient_privilege using message = 'not for you';
            when 'assert' then assert false, 'never so';
            when 'strict' then select 1 into strict one where false;
            when 'case' then case new.guests when 0 then null; end case;
            when 'divide' then one := 1 / (new.guests - new.guests);
            else null;
        end case;
        return new;
    end $$;
    create trigger judge before insert on bookings for each row execute function judge();
";

/// What PostgreSQL says, in whatever language, of a COPY of this line: message, column and detail.
async fn words_of_postgresql(db: &TestDb, line: &str) -> String {
    let mut conn = db.connect().await;
    let copy = "copy bookings (id, room, guests, nights, note) from stdin with (format csv)";
    let mut copy = conn.copy_in_raw(copy).await.unwrap();
    copy.send(line.as_bytes()).await.unwrap();
    let error = copy.finish().await.unwrap_err().into_database_error().unwrap();
    let error = error.downcast_ref::<PgDatabaseError>();
    let or_null = |text: Option<&str>| text.unwrap_or("∅").to_owned();
    format!("{}|{}|{}", error.message(), or_null(error.column()), or_null(error.detail()))
}

#[tokio::test]
async fn every_kind_of_refusal_costs_only_its_row_and_keeps_postgresqls_words() {
    let (db, folder) = (TestDb::create().await, folder());
    db.execute(TABLE).await;
    db.execute(JUDGE).await;
    fs::write(folder.path().join("streams.toml"), "[stream.bookings]\nfiles = '*.csv'\n").unwrap();
    let refused = [
        ("9,1,,fine", "23503"),
        ("1,0,,fine", "23514"),
        ("1,1,\"[5,8)\",fine", "23P01"),
        ("1,1,,null", "23502"),
        ("1,1,,raise", "P0001"),
        ("1,1,,own code", "BK001"),
        ("1,1,,denied", "42501"),
        ("1,1,,assert", "P0004"),
        ("1,1,,strict", "P0002"),
        ("1,1,,case", "20000"),
        ("1,1,,divide", "22012"),
    ];
    let mut text = String::from("id,room,guests,nights,note\n1,1,1,\"[1,6)\",fine\n");
    for (id, (rest, ..)) in (2..).zip(&refused) {
        text += &format!("{id},{rest}\n{},2,1,\"[{id}0,{id}1)\",good\n", id + 100);
    }
    fs::write(folder.path().join("b.csv"), text).unwrap();
    let run =
        |args: &[&str]| Ended::of(streamer(folder.path(), args).env("DATABASE_URL", db.url()));
    run(&["run", "--available-now"]).expect(3);
    let rows = i64::try_from(refused.len()).unwrap() + 1;
    assert_eq!(db.number("select count(*) from bookings").await, rows, "all others are rows");
    let letters = db
        .rows(
            "select line, reasons->0->>'sqlstate', reasons->0->>'reason', reasons->0->>'column',
                    reasons->0->>'detail'
               from streamer.dead_letter order by line",
        )
        .await;
    assert_eq!(letters.len(), refused.len(), "{letters:#?}");
    for (at, (rest, sqlstate)) in refused.iter().enumerate() {
        let words = words_of_postgresql(&db, &format!("{},{rest}\n", at + 2)).await;
        assert_eq!(letters[at], format!("{}|{sqlstate}|{words}", 2 * at + 3));
    }
    for (at, more) in
        [(0, "(room)=(9)"), (2, "(nights)=([5,8))"), (3, "|note|"), (4, "booking 6 is")]
    {
        assert!(letters[at].contains(more), "{}", letters[at]);
    }
    // Without the trigger and the overlap, what it refused goes in.
    db.execute("drop trigger judge on bookings; alter table bookings drop constraint no_overlap")
        .await;
    let retried = run(&["dead-letters", "retry", "--all"]).expect(3).stdout;
    assert_eq!(retried, "9 rows loaded, 0 duplicates, 2 still refused\n");
}

/// A table whose constraints refuse rows in different moments: while a row is read, when it goes
/// into the table, behind the last row of the statement. PostgreSQL's line for `code` is wrong: its
/// name ends with another one.
const MOMENTS: &str = "
    create domain evil as integer check (value <> 666);
    create table hotels (hotel integer primary key);
    insert into hotels values (1);
    create table stays (
        id integer primary key,
        hotel integer references hotels,
        guests integer constraint some_guests check (guests > 0),
        room integer unique,
        \"code, line 1\" evil
    );
";

#[tokio::test]
async fn many_refused_rows_among_good_ones_are_told_apart_whenever_they_are_refused() {
    let (db, folder) = (TestDb::create().await, folder());
    db.execute(MOMENTS).await;
    fs::write(folder.path().join("streams.toml"), "[stream.stays]\nfiles = '*.csv'\n").unwrap();
    let mut text = String::from("id,hotel,guests,room,\"code, line 1\"\n");
    let mut expected = Vec::new();
    for id in 1..=2000 {
        let (hotel, guests, room, code, refused) = match id {
            // The first, neighbours, and one in a hundred.
            1 | 500 | 501 | 502 => (1, 0, id, 0, Some("23514")),
            _ if id % 100 == 7 => (1, 0, id, 0, Some("23514")),
            900 | 1300 | 2000 => (2, 1, id, 0, Some("23503")),
            1003 | 1600 => (1, 1, id - 2, 0, Some("23505")),
            150 | 1700 | 1702 => (1, 1, id, 666, Some("23514")),
            _ => (1, 1, id, 0, None),
        };
        text += &format!("{id},{hotel},{guests},{room},{code}\n");
        expected.extend(refused.map(|sqlstate| format!("{}|{sqlstate}", id + 1)));
        // Its key again: good where the first one was not.
        if id % 500 == 7 {
            text += &format!("{id},1,1,{},0\n", id + 10_000);
        }
    }
    fs::write(folder.path().join("s.csv"), text).unwrap();
    let run =
        |args: &[&str]| Ended::of(streamer(folder.path(), args).env("DATABASE_URL", db.url()));
    run(&["run", "--available-now"]).expect(3);
    let letters = "select (raw_id + 1)::text || '|' || sqlstate from (
         select split_part(convert_from(raw, 'UTF8'), ',', 1)::int raw_id, reasons->0->>'sqlstate' sqlstate
           from streamer.dead_letter) l order by raw_id";
    assert_eq!(db.rows(letters).await, expected);
    let rows = i64::try_from(2000 - expected.len()).unwrap() + 4;
    assert_eq!(db.number("select count(*) from stays").await, rows, "all others are rows");
    let good = "select count(*) from stays where id % 500 = 7 and room = id + 10000";
    assert_eq!(db.number(good).await, 4, "a repeated key takes its turn");
    assert_eq!(db.rows("select distinct path from streamer.micro_batch").await, ["careful"]);
}
