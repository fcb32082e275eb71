//! What the stream's settings make of values: NULL, times without a zone, columns that the table
//! lacks.

use std::fs;

use crate::support::{Ended, TestDb, folder, streamer};

/// A stream `t` with further settings.
fn settings(more: &str) -> String {
    format!("[stream.t]\nfiles = '*.csv'\n{more}\n")
}

#[tokio::test]
async fn what_the_stream_says_is_null_is_null_unless_it_is_quoted() {
    let (db, folder) = (TestDb::create().await, folder());
    db.execute("create table t (id int primary key, word text, number int, must text not null)")
        .await;
    fs::write(folder.path().join("streams.toml"), settings("null = ['NA', 'n/a']")).unwrap();
    let text = "id,word,number,must\n1,NA,n/a,a\n2,\"NA\",,a\n3,\"\",NA,na\n4,na,,\"NA\"\n\
                5,NA ,,a\n6,,\"NA\",a\n7,,,NA\n8,\"x\",\"\",a\n";
    fs::write(folder.path().join("1.csv"), text).unwrap();
    Ended::of(streamer(folder.path(), &["run", "--available-now"]).env("DATABASE_URL", db.url()))
        .expect(3);
    assert_eq!(
        db.rows("select * from t order by id").await,
        ["1|∅|∅|a", "2|NA|∅|a", "3||∅|na", "4|na|∅|NA", "5|NA |∅|a", "8|x|∅|a"]
    );
    let letters = "select line, reasons->0->>'column', reasons->0->>'sqlstate'
                     from streamer.dead_letter order by line";
    assert_eq!(db.rows(letters).await, ["7|number|22P02", "8|must|23502"]);
}

#[tokio::test]
async fn times_without_a_zone_are_in_the_streams_time_zone() {
    let (db, folder) = (TestDb::create().await, folder());
    db.execute("create table t (id int primary key, at timestamptz, plain timestamp)").await;
    fs::write(folder.path().join("streams.toml"), settings("timezone = 'Europe/Berlin'")).unwrap();
    let text = "id,at,plain\n1,2026-01-02 12:00,2026-01-02 12:00\n2,2026-07-02 12:00,\n\
                3,2026-07-02 12:00Z,\n4,2026-10-25 02:30,\n5,2026-03-29 02:30,\n\
                6,,2026-03-29 02:30\n";
    fs::write(folder.path().join("1.csv"), text).unwrap();
    Ended::of(streamer(folder.path(), &["run", "--available-now"]).env("DATABASE_URL", db.url()))
        .expect(3);
    assert_eq!(
        db.rows("select id, at at time zone 'UTC', plain from t order by id").await,
        [
            "1|2026-01-02 11:00:00|2026-01-02 12:00:00",
            "2|2026-07-02 10:00:00|∅",
            "3|2026-07-02 12:00:00|∅",
            "4|2026-10-25 01:30:00|∅",
            "6|∅|2026-03-29 02:30:00"
        ]
    );
    let letter = "select line, reasons->0->>'column', reasons->0->>'sqlstate',
                         reasons->0->>'reason' from streamer.dead_letter";
    assert_eq!(db.rows(letter).await, ["6|at|22008|is left out by the clocks of Europe/Berlin"]);
}

#[tokio::test]
async fn columns_that_the_table_lacks_are_kept_as_json() {
    let (db, folder) = (TestDb::create().await, folder());
    db.execute("create table t (id int primary key, word text, more jsonb not null)").await;
    let keep = settings("extra = 'keep'\nextra_column = 'more'\nnull = ['NA']");
    fs::write(folder.path().join("streams.toml"), keep).unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    let bytes = [
        "Colour,id,\"a \"\"b\"\"\",word,ö\n",
        "red,1,,x,\"\"\n",
        "\"NA\",2,NA,y,\"1\n2 \\ \"\"q\"\" \u{1}\"\n",
        "a\0b,3,,z,\n",
    ];
    write("1.csv", &[bytes.concat().as_bytes(), b"\xff,4,,z,\n"].concat());
    write("2.csv", b"id,word\n5,v\n");
    write("3.csv", b"id,Size,Size\n6,1,2\n");
    write("4.csv", b"id,more\n7,{}\n");
    let ended = Ended::of(
        streamer(folder.path(), &["run", "--available-now"]).env("DATABASE_URL", db.url()),
    )
    .expect(1);
    let rows = r#"select id, word, more->>'Colour', more->>'a "b"', more->>'ö', more ? 'ö'
                    from t order by id"#;
    assert_eq!(
        db.rows(rows).await,
        ["1|x|red|∅||t", "2|y|NA|∅|1\n2 \\ \"q\" \u{1}|t", "5|v|∅|∅|∅|f"]
    );
    let letters =
        "select line, reasons->0->>'column', reasons->0->>'value', reasons->0->>'sqlstate'
                     from streamer.dead_letter order by line";
    assert_eq!(db.rows(letters).await, ["5|Colour|a\\u{0}b|22021", "6|Colour|\\xff|22021"]);
    for reason in
        ["3.csv: line 1 names column Size twice", "4.csv: line 1 names more, the column that keeps"]
    {
        assert!(ended.stdout.contains(reason), "{}", ended.stdout);
    }
    // By another column than the table has, nothing is loaded.
    fs::write(folder.path().join("streams.toml"), settings("extra = 'keep'")).unwrap();
    let ended = Ended::of(
        streamer(folder.path(), &["run", "--available-now"]).env("DATABASE_URL", db.url()),
    )
    .expect(1);
    assert!(ended.stderr.contains("table t has no column extra of type jsonb"), "{}", ended.stderr);
}
