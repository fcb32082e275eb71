-- How long events took, from when they came to be until the transaction that brought their rows
-- began.

-- The column that tells when an event came to be: one of the usual names, or the only time that
-- there is.
create or replace function streamer.time_column(source regclass) returns name
    language sql stable set search_path = pg_catalog, pg_temp as $body$
    with times as (
        select a.attname, array_position('{event_time,timestamp,time}', a.attname::text) as place
          from pg_attribute a
         where a.attrelid = source and a.attnum > 0 and not a.attisdropped and a.attname <> 'ingested_at'
           and a.atttypid in ('timestamptz'::regtype, 'timestamp'::regtype, 'date'::regtype)
    )
    select t.attname from times t where t.place is not null or (select count(*) = 1 from times) order by t.place limit 1
$body$;
comment on function streamer.time_column is 'The column of a table that tells when an event came to be: event_time, timestamp, time, or the only time that there is besides ingested_at.';

-- The windows that the events of a table are reported in: those of its rollup that is called
-- ..._per_window.
create or replace function streamer.report_window(source regclass) returns interval
    language sql stable set search_path = pg_catalog, pg_temp as $body$
    select coalesce(
        (select r.window_size
           from pg_class c
           join pg_namespace n on n.oid = c.relnamespace
           join streamer.rollup r on r.rollup = to_regclass(format('%I.%I', n.nspname, c.relname || '_per_window'))
          where c.oid = $1 and to_regclass(r.source) = $1),
        '10 seconds')
$body$;
comment on function streamer.report_window is 'How long the windows are that the events of a table are reported in: those of the table''s rollup that is called like it with _per_window behind, else ten seconds.';

create or replace function streamer.latency(source regclass, size interval default null, time_column name default null)
    returns table (window_start timestamptz, events bigint, average_ms numeric, p50_ms numeric, p90_ms numeric,
                   p99_ms numeric, max_ms numeric)
    language plpgsql stable set search_path = pg_catalog, pg_temp set timezone = 'UTC' as $body$
declare
    time_name name    := coalesce($3, streamer.time_column($1));
    time_type regtype := (select a.atttypid from pg_attribute a where a.attrelid = $1 and a.attname = time_name
                             and a.attnum > 0 and not a.attisdropped);
    created   text    := format('s.%I::timestamptz', time_name);
begin
    if time_name is null then
        raise exception 'which column of % is the time of the event?', $1 using errcode = 'undefined_column';
    elsif time_type is null then
        raise exception 'table % has no column %', $1, time_name using errcode = 'undefined_column';
    elsif not exists (select from pg_attribute a where a.attrelid = $1 and a.attname = 'ingested_at'
                         and a.atttypid = 'timestamptz'::regtype and not a.attisdropped) then
        raise exception 'table % has no column ingested_at timestamptz, which tells when a row came', $1
            using errcode = 'undefined_column';
    end if;
    if exists (select from pg_attribute a where a.attrelid = $1 and a.attname = 'produce_time'
                  and a.atttypid = 'bigint'::regtype and not a.attisdropped) then
        created := format('case when s.produce_time between 0 and 253402300799999
                           then to_timestamp(s.produce_time / 1000.0) else %s end', created);
    end if;
    return query execute format($text$
        select l.start, count(*), round(avg(l.ms)::numeric, 1),
               round(percentile_cont(0.5) within group (order by l.ms)::numeric, 1),
               round(percentile_cont(0.9) within group (order by l.ms)::numeric, 1),
               round(percentile_cont(0.99) within group (order by l.ms)::numeric, 1), round(max(l.ms)::numeric, 1)
          from (select %s::timestamptz as start,
                       extract(epoch from s.ingested_at - c.created)::double precision * 1000 as ms
                  from %s s
                 cross join lateral (select %s) c (created)
                 where c.created between '0001-01-01' and '9999-12-31' and isfinite(s.%I) and isfinite(s.ingested_at)) l
         group by grouping sets ((l.start), ())
        having count(*) > 0
         order by l.start nulls last$text$,
        streamer.window_expression(time_name, time_type, coalesce($2, streamer.report_window($1))), $1, created,
        time_name);
end $body$;
comment on function streamer.latency is 'How long the events of each window took until ingested_at, from produce_time (milliseconds since 1970) where the table has it, else from the time of the event; the last row, whose window_start is NULL, is of all. It reads all rows. Windows are those of streamer.report_window, unless their size is named. Of records that came from old files it tells how old they were.';
