-- What datasets need: views that leave the user's alone, and those over all datasets.

-- Whether a rollup is what it says: made by the owner of its source, and kept by triggers of it.
-- Whoever may make a table can make one that only looks like a rollup, with expressions that nobody
-- else should evaluate.
create function streamer.is_kept(rollup regclass, source regclass) returns boolean
    language sql stable set search_path = pg_catalog, pg_temp as $body$
    select exists (
        select from pg_class c
          join pg_class s on s.oid = $2 and s.relowner = c.relowner
          join pg_proc p on p.pronamespace = c.relnamespace and p.proname = c.relname || '_rollup' and p.pronargs = 0
                        and p.proowner = c.relowner
          join pg_trigger t on t.tgrelid = s.oid and t.tgfoid = p.oid
         where c.oid = $1)
$body$;
comment on function streamer.is_kept is 'Whether a rollup was made by the owner of this table and is kept by its triggers.';

-- Whether a rollup tells of rows that are gone: counted anew it would be another.
create function streamer.outlives_rows(rollup regclass) returns boolean
    language plpgsql set search_path = pg_catalog, pg_temp set timezone = 'UTC' as $body$
declare
    definition jsonb := streamer.rollup_definition(rollup);
    outlives   boolean;
begin
    execute (select format('select exists (select %s from %s except select %s from %s s group by %s)',
                    string_agg(format('%I', d.name), ', ' order by d.place), rollup,
                    string_agg(d.expression, ', ' order by d.place), (definition ->> 'source')::regclass,
                    string_agg(d.place::text, ', ' order by d.place) filter (where d.role in ('window', 'key')))
               from (select row_number() over (order by c.place) as place, c.name, c.expression, c.role
                       from streamer.rollup_columns(definition) c where c.role <> 'derived') d)
       into outlives;
    return outlives;
end $body$;
comment on function streamer.outlives_rows is 'Whether a rollup tells of rows that are gone, as with the streamer''s keep: streamer.change_rollup would lose what it tells of them.';

-- The views of `public` that offer_view has left to the user in this transaction.
create function streamer.left_views() returns text[]
    language sql stable set search_path = pg_catalog, pg_temp as $body$
    select string_to_array(coalesce(current_setting('streamer.left_views', true), ''), ',')
$body$;

-- Makes a view in `public`, or makes it anew where its comment tells that it was made here.
-- Anything else of that name is the user's, and stays. `former` is a comment that it had before.
create function streamer.offer_view(view name, query text, about text, former text default null) returns void
    language plpgsql set search_path = pg_catalog, pg_temp as $body$
declare
    full_name text     := format('public.%I', view);
    found     regclass := to_regclass(full_name);
begin
    if found is not null and coalesce(obj_description(found, 'pg_class') not in (about, coalesce(former, about)), true) then
        if full_name <> all (streamer.left_views()) then
            perform set_config('streamer.left_views', concat_ws(',', nullif(current_setting('streamer.left_views', true), ''),
                full_name), true);
        end if;
        return;
    end if;
    execute format('create or replace view %s as %s', full_name, query);
    execute format('comment on view %s is %L', full_name, about);
end $body$;

-- The views over all datasets that are installed. Each dataset has a history of its own,
-- streamer.history_..., by which it is found, and at most one rollup that counts its events:
-- ..._per_minute or ..._per_window. The migrations of a dataset end with this, so that the views
-- name its table and its rollup.
create function streamer.show_datasets() returns void
    language plpgsql set search_path = pg_catalog, pg_temp as $body$
declare
    latencies text;
    rates     text;
begin
    select string_agg(format('select %L::text as dataset, l.* from streamer.latency(%L::regclass) l'
               ' where l.window_start is not null', d.name, d.source), ' union all ' order by d.name),
           string_agg(format('select %L::text as dataset, c.window_start, sum(c.%I) as events, r.window_size'
               ' from %s c cross join streamer.rollup r where r.rollup = %L::regclass'
               ' group by c.window_start, r.window_size', d.name, r.counted, r.rollup, r.rollup),
               ' union all ' order by d.name) filter (where r.rollup is not null)
      into latencies, rates
      from (select substr(h.relname, length('history_') + 1) as name,
                   to_regclass(format('public.%I', substr(h.relname, length('history_') + 1))) as source
              from pg_class h
             where h.relnamespace = 'streamer'::regnamespace and h.relname like 'history\_%' and h.relkind = 'r') d
      left join lateral (
            select r.rollup, c.name as counted
              from (select r.rollup
                      from streamer.rollup r
                     where r.rollup in (to_regclass(format('public.%I', d.name || '_per_minute')),
                                        to_regclass(format('public.%I', d.name || '_per_window')))
                       and to_regclass(r.source) = d.source and streamer.is_kept(r.rollup, d.source)
                    offset 0) r
             cross join lateral streamer.rollup_columns(streamer.rollup_definition(r.rollup)) c
             where c.expression = 'count(*)'
             limit 1) r on true
     where d.source is not null;
    if latencies is not null then
        perform streamer.offer_view('latency_per_window', latencies,
            'How long events took until ingested_at, in milliseconds, per dataset and window of event time: ten seconds, or as streamer.report_window tells. Other windows, and other tables: select * from streamer.latency(''user_events'', ''1 minute'').',
            'How long events took until ingested_at, in milliseconds, per dataset and ten seconds of event time. Other windows, and other tables: select * from streamer.latency(''user_events'', ''1 minute'').');
    end if;
    if rates is not null then
        perform streamer.offer_view('events_per_second', format(
            'select dataset, window_start, events, round(events / extract(epoch from window_size)::numeric, 3) as per_second'
            ' from (%s) d order by dataset, window_start', rates),
            'How many events happened a second, by their own times, per dataset and window.');
    end if;
end $body$;
