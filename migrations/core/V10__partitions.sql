-- Tables with partitions: what their rollups count, and dead letters that are older than their kind.

-- Of a table with partitions, or with children that inherit from it, truncated ones are counted. What can't be counted is
-- told before a rollup is made, and has to be known.

-- Whether TimescaleDB divides a table. Its chunks, made when rows come, take no triggers with transition tables.
create function streamer.is_hypertable(source regclass) returns boolean
    language plpgsql stable set search_path = pg_catalog, pg_temp as $body$
declare
    is_hypertable boolean := false;
begin
    -- Where it is no superuser's, it may be a trap: what is in a view runs with the rights of whoever asks.
    if exists (select from pg_class c join pg_roles r on r.oid = c.relowner
                where c.oid = to_regclass('_timescaledb_catalog.hypertable') and r.rolsuper) then
        execute 'select exists (select from _timescaledb_catalog.hypertable h
                                  join pg_namespace n on n.nspname = h.schema_name
                                  join pg_class c on c.relnamespace = n.oid and c.relname = h.table_name
                                 where c.oid = $1)' into is_hypertable using source;
    end if;
    return is_hypertable;
end $body$;

-- Whether a table has partitions, chunks, or children that inherit from it.
create function streamer.is_divided(source regclass) returns boolean
    language sql stable set search_path = pg_catalog, pg_temp as $body$
    select c.relkind = 'p' or exists (select from pg_inherits i where i.inhparent = c.oid) or streamer.is_hypertable(source)
      from pg_class c where c.oid = source
$body$;

-- The beginning of the trigger function of a rollup whose source is divided; null, if it is not. What is written by way of
-- the source is told by its triggers, what is written under the name of a partition or child by that one's.
create function streamer.rollup_body_of_partitions(rollup text, definition jsonb) returns text
    language plpgsql stable set search_path = pg_catalog, pg_temp as $body$
declare
    source   regclass := definition ->> 'source';
    p        record;
    function text;
    windows  text     := 'select ''{}''::text[] from %1$s s limit 1';
    ranges   text     := 'true';
    within   text     := '';
begin
    if not streamer.is_divided(source) then
        return null;
    end if;
    select string_agg(format('%I', c.name), ', ' order by c.place) as names,
           string_agg(c.expression, ', ' order by c.place) as expressions,
           string_agg(c.place::text, ', ' order by c.place) filter (where c.role in ('window', 'key')) as key_places,
           min(c.expression) filter (where c.role = 'window') as window_start,
           min(c.type) filter (where c.role = 'window') as type,
           bool_or(c.role = 'window' and not c.is_boxed) as is_bounded
      into p
      from streamer.rollup_columns(definition) c where c.role <> 'derived';
    select format('%I.%I()', n.nspname, t.relname || '_rollup') into function
      from pg_class t join pg_namespace n on n.oid = t.relnamespace where t.oid = rollup::regclass;
    -- Of a partition (%1$s) that is truncated, the first window and the last one are noted before; nothing, where it has
    -- no rows.
    if p.window_start is not null then
        windows := format('select array[(select %1$s from (select min(s.%2$I) as %2$I from %%1$s s) s), '
                          '(select %1$s from (select max(s.%2$I) as %2$I from %%1$s s) s)]::text[] from %%1$s s limit 1',
            replace(p.window_start, '%', '%%'), replace(definition ->> 'time', '%', '%%'));
        ranges := format('(%%1$s between (trigger_of_rollup.touched[1])::%1$s and (trigger_of_rollup.touched[2])::%1$s '
            'or %%1$s is null)', p.type);
    end if;
    if p.is_bounded then
        -- Where there is an index on the time, only the rows between are looked at.
        within := format($text$
               and s.%1$I >= (trigger_of_rollup.touched[1])::%3$s
               and s.%1$I <= case when (trigger_of_rollup.touched[2])::%3$s < '290000-01-01'
                                  then (trigger_of_rollup.touched[2])::%3$s + %2$L::interval else 'infinity' end$text$,
            definition ->> 'time', definition ->> 'size', p.type);
    end if;
    return format($text$<<trigger_of_rollup>>
declare
    touched text[];
begin
    -- A partition keeps its triggers when it is detached.
    if tg_nargs > 0 and not exists (
            with recursive above (relid) as (
                select i.inhparent from pg_inherits i where i.inhrelid = tg_relid
                union
                select i.inhparent from above a join pg_inherits i on i.inhrelid = a.relid
            )
            select from above a join pg_trigger t on t.tgrelid = a.relid
             where t.tgnargs = 0 and t.tgfoid = %1$L::regprocedure) then
        return null;
    elsif tg_op = 'TRUNCATE' and tg_when = 'BEFORE' and tg_nargs = 0 then
        -- Its partitions need not be looked at one by one.
        perform set_config(%2$L, 'all', true);
        return null;
    elsif tg_op = 'TRUNCATE' and tg_when = 'BEFORE' then
        if coalesce(current_setting(%2$L, true), '') = '' then
            execute format(%3$L, tg_relid::regclass) into touched;
        end if;
        perform set_config(%2$L || tg_relid, coalesce(touched::text, ''), true);
        return null;
    elsif tg_op = 'TRUNCATE' and tg_nargs > 0 then
        if current_setting(%2$L || tg_relid, true) <> '' then
            touched := current_setting(%2$L || tg_relid)::text[];
            perform set_config(%2$L || tg_relid, '', true);
            -- From here on nobody adds to what is counted.
            lock table %4$s in share row exclusive mode;
            delete from %5$s r where %6$s;
            insert into %5$s (%7$s)
            select %8$s from %4$s s where %9$s group by %10$s;
        end if;
        return null;
    elsif tg_op = 'TRUNCATE' then
        perform set_config(%2$L, '', true);
        truncate %5$s;
        -- Children of a table that was truncated alone keep their rows.
        insert into %5$s (%7$s)
        select %8$s from %4$s s group by %10$s;
        return null;$text$,
        function, 'streamer.truncated_' || left(md5(rollup), 16) || '_', windows, source, rollup,
        replace(ranges, '%1$s', 'r.window_start'), p.names, p.expressions,
        replace(ranges, '%1$s', '(' || coalesce(p.window_start, '') || ')') || within, p.key_places);
end $body$;

create or replace function streamer.rollup_body(rollup text, definition jsonb) returns text
    language plpgsql stable set search_path = pg_catalog, pg_temp as $body$
declare
    source    text := (definition ->> 'source')::regclass;
    p         record;
    counted   text;
    operation text;
    changed   text;
    bounds    text := '';
    recounted text[];
begin
    select string_agg(format('%I', c.name), ', ' order by c.place) as names,
           string_agg(c.expression || format(' as %I', c.name), ', ' order by c.place) as expressions,
           string_agg(format('%I', c.name), ', ' order by c.place) filter (where c.role in ('window', 'key')) as keys,
           string_agg(c.expression || format(' as %I', c.name), ', ' order by c.place)
               filter (where c.role in ('window', 'key')) as key_expressions,
           string_agg(c.place::text, ', ' order by c.place) filter (where c.role in ('window', 'key')) as key_places,
           string_agg(c.index_column, ', ' order by c.place) filter (where c.role in ('window', 'key')) as unique_keys,
           string_agg(format(case when c.is_boxed then 'array[r.%I]' else 'r.%I' end, c.name), ', ' order by c.place)
               filter (where c.role in ('window', 'key')) as rollup_keys,
           string_agg(format(case when c.is_boxed then 'array[g.%I]' else 'g.%I' end, c.name), ', ' order by c.place)
               filter (where c.role in ('window', 'key')) as changed_keys,
           string_agg(format(case when c.is_boxed then 'array[%s]' else '%s' end, c.expression), ', ' order by c.place)
               filter (where c.role in ('window', 'key')) as source_keys,
           string_agg(format(case c.role
                   when 'total' then '%1$I = r.%1$I + excluded.%1$I'
                   when 'least' then '%1$I = least(r.%1$I, excluded.%1$I)'
                   else '%1$I = greatest(r.%1$I, excluded.%1$I)' end, c.name), ', ' order by c.place)
               filter (where c.role not in ('window', 'key')) as merged,
           string_agg(format('%1$I = r.%1$I', c.name), ', ' order by c.place)
               filter (where c.role not in ('window', 'key')) as kept,
           bool_or(c.role = 'window' and not c.is_boxed) as is_bounded
      into p
      from streamer.rollup_columns(definition) c where c.role <> 'derived';
    -- Grouped first, then ordered: sorting few groups is cheap, sorting all rows by texts is not.
    counted := format('select * from (select %s from new_rows s group by %s offset 0) g order by %s',
        p.expressions, p.key_places, p.key_places);
    foreach operation in array array['INSERT', 'DELETE', 'UPDATE'] loop
        changed := format('with changed as materialized (select distinct %s from %s s',
                       p.key_expressions, case operation when 'INSERT' then 'new_rows' else 'old_rows' end)
            || case operation when 'UPDATE' then format(' union select %s from new_rows s)', p.key_expressions)
               else ')' end;
        if p.is_bounded then
            -- Where there is an index on the time, only the rows between are looked at.
            bounds := format($text$
               and s.%1$I >= (select min(g.window_start) from changed g)
               and s.%1$I <= (select case when max(g.window_start) < '290000-01-01'
                                     then max(g.window_start) + %2$L::interval else 'infinity' end from changed g)$text$,
                definition ->> 'time', definition ->> 'size');
        end if;
        recounted := recounted || format($text$
        %1$s
        insert into %2$s as r (%3$s)
        select * from changed g order by %4$s
            on conflict (%5$s) do update set %6$s;
        %1$s
        delete from %2$s r where (%7$s) in (select %8$s from changed g);
        %1$s
        insert into %2$s (%9$s)
        select %10$s from %11$s s
             where (%12$s) in (select %8$s from changed g)%13$s
             group by %4$s;$text$,
            changed, rollup, p.keys, p.key_places, p.unique_keys, p.kept, p.rollup_keys, p.changed_keys, p.names,
            p.expressions, source, p.source_keys, bounds);
    end loop;
    return format($text$#variable_conflict use_column
%10$s
    elsif tg_op = 'INSERT' and coalesce(current_setting(%6$L, true), '') = '' then
        insert into %1$s as r (%2$s)
        %3$s
            on conflict (%4$s) do update set %5$s;
        return null;
    -- First every row is locked that is counted anew: who adds to it meanwhile waits, or is waited for.
    elsif tg_op = 'INSERT' then%7$s
    elsif tg_op = 'DELETE' then%8$s
    else%9$s
    end if;
    -- A statement may also change rows and then insert some, which by then are counted: its insert counts anew, too.
    perform set_config(%6$L, case when tg_op = 'INSERT' and pg_trigger_depth() = 1 then '' else 'yes' end, true);
    return null;
end$text$,
        rollup, p.names, counted, p.unique_keys, p.merged, 'streamer.recounted_' || left(md5(rollup), 16),
        recounted[1], recounted[2], recounted[3], coalesce(
            streamer.rollup_body_of_partitions(rollup, definition),
            format($text$begin
    if tg_op = 'TRUNCATE' then
        truncate %s;
        return null;$text$, rollup)));
end $body$;

-- Gives a rollup its trigger function, its source the triggers, and each partition or child of that such triggers with an
-- argument.
create or replace function streamer.tend_rollup(rollup regclass, definition jsonb) returns void
    language plpgsql set search_path = pg_catalog, pg_temp as $body$
declare
    source   regclass := definition ->> 'source';
    name     name;
    function text;
    what     record;
begin
    select t.relname, format('%I.%I', n.nspname, t.relname || '_rollup') into name, function
      from pg_class t join pg_namespace n on n.oid = t.relnamespace where t.oid = rollup;
    -- The planner's choice is kept for a session, whatever the number of rows was at first: so it gets no choice
    -- of what is bad for many. What it may not do it takes to be very dear, and worth being compiled: it is not.
    execute format('create or replace function %s() returns trigger language plpgsql security definer '
        'set search_path = pg_catalog, pg_temp set timezone = ''UTC'' '
        'set enable_sort = off set enable_nestloop = off set jit = off as %L',
        function, streamer.rollup_body(rollup::text, definition));
    -- Else others could have it fire on tables of theirs.
    execute format('revoke all on function %s() from public', function);
    execute format('comment on function %s() is %L', function, definition);
    for what in
        with recursive below (relid) as (
            select source
            union
            select i.inhrelid from below b join pg_inherits i on i.inhparent = b.relid
        )
        select w.*, b.relid::regclass as on_table, b.relid = source as is_source
          from below b
          join pg_class c on c.oid = b.relid
         cross join lateral (values
                ('insert', 'after insert', 'referencing new table as new_rows', false),
                ('update', 'after update', 'referencing old table as old_rows new table as new_rows', false),
                ('delete', 'after delete', 'referencing old table as old_rows', true),
                ('truncate', 'after truncate', '', b.relid <> source),
                ('truncating', 'before truncate', '', b.relid <> source)) w (suffix, event, tables, is_keeping)
         where (w.suffix <> 'truncating' or streamer.is_divided(source))
           -- A foreign table can't have them either.
           and (b.relid = source or c.relkind in ('r', 'p') and not streamer.is_hypertable(source))
    loop
        execute format('drop trigger if exists %I on %s', name || '_' || what.suffix, what.on_table);
        execute format('create trigger %I %s on %s %s for each statement %s execute function %s(%s)',
            name || '_' || what.suffix, what.event, what.on_table, what.tables,
            case when what.is_keeping then
                $text$when (current_setting('streamer.keep_rollups', true) is distinct from 'on')$text$ end,
            function, case when not what.is_source then quote_literal('partition') end);
    end loop;
end $body$;

create or replace function streamer.create_rollup(
    rollup text, source regclass, time_column text, size interval, keys text[], variadic aggregates text[])
    returns regclass
    language plpgsql set search_path = pg_catalog, pg_temp as $body$
declare
    parts  text[] := parse_ident(rollup);
    schema text   := (select n.nspname from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = source);
    full_name text;
begin
    if coalesce(nullif(current_setting('streamer.partitions_by_recount', true), ''), 'off')::boolean is false
            and streamer.is_divided(source) then
        raise exception 'a rollup of % would not count partitions that are dropped, detached or attached as a whole, nor rows that are written under the name of a partition that is made later: PostgreSQL tells no trigger of them', source
            using errcode = 'feature_not_supported',
                  hint = 'Where streamer.recount_rollup(rollup, from, to) is called after each such change, or the rollup is to tell of the rows of dropped partitions still: set streamer.partitions_by_recount = on; and make it then. All else counts, truncated partitions, too.';
    end if;
    if array_length(parts, 1) = 2 then
        schema := parts[1];
    end if;
    -- Index, function and triggers are named after it.
    if array_length(parts, 1) > 2 or octet_length(parts[array_upper(parts, 1)]) > 50 then
        raise exception 'a rollup''s name is [schema.]name, of at most 50 bytes, not %', rollup
            using errcode = 'invalid_name';
    end if;
    full_name := format('%I.%I', schema, parts[array_upper(parts, 1)]);
    -- Its rows are changed again and again: room in each page keeps the new versions beside the old.
    execute format('create table %s () with (fillfactor = 50)', full_name);
    perform streamer.shape_rollup(full_name::regclass, jsonb_build_object(
        'source', source::text, 'time', time_column, 'size', size, 'keys', keys, 'aggregates', aggregates));
    return full_name::regclass;
end $body$;

comment on function streamer.create_rollup is 'Makes a rollup of a table and counts its rows: per tumbling window of a time (of all times, where time_column and size are NULL) and per keys. Aggregates are written as name = sum(column) or name = sum(column) where condition, with count, sum, min, max or avg; any other name = expression is derived from the rollup''s other columns. Columns and conditions are SQL and run with the rights of whoever makes the rollup; functions and types other than PostgreSQL''s own need their schema. Of a table with partitions only where streamer.partitions_by_recount is on: partitions that are dropped, detached or attached as a whole are counted by streamer.recount_rollup.';
comment on function streamer.recount_rollup is 'Counts the rows of a rollup''s windows anew: of those that have a part of the time from range_start to range_end, or of all. What the rollup tells of rows that are gone goes with that. Of a table with partitions, or with children that inherit from it, it counts from then on what is written under the names of those that were made later.';

-- Dead letters of records without a partition, from before there was a kind for them. Of the refusals with this SQLSTATE
-- only theirs show a key as (columns) = (values). Whether it is so, their next try tells.
update streamer.dead_letter
   set kind = 'no partition'
 where kind = 'refused' and resolved_at is null
   and exists (select from jsonb_to_recordset(reasons) r (sqlstate text, "column" text, detail text)
                where r.sqlstate = '23514' and r."column" is null and r.detail like '%) = (%');

-- What is new belongs to whoever owns the rest.
do $body$
declare
    owner name := (select pg_get_userbyid(relowner) from pg_class where oid = 'streamer.checkpoint'::regclass);
    made  text;
begin
    if owner <> current_user then
        foreach made in array array['is_hypertable(regclass)', 'is_divided(regclass)',
                                    'rollup_body_of_partitions(text, jsonb)'] loop
            execute format('alter function streamer.%s owner to %I', made, owner);
        end loop;
    end if;
end $body$;
