-- Tables that PostgreSQL divides into partitions: records that no partition takes.

alter table streamer.dead_letter
    add column kind text not null default 'refused',
    add column tried_with text,
    add constraint dead_letter_kind_check check (kind in ('refused', 'no partition'));
comment on column streamer.dead_letter.kind is 'refused, or no partition: the table has no partition for the record; the streamer tries it again by itself once the table has other partitions.';

comment on column streamer.dead_letter.tried_with is 'A hash of the partitions that the table had when the record was tried again by the streamer and still had none.';

-- Looked at again and again while a stream is at work.
create index dead_letter_no_partition_idx on streamer.dead_letter (stream, dead_letter_id)
 where kind = 'no partition' and resolved_at is null;

alter table streamer.checkpoint add column waits_for text;
comment on column streamer.checkpoint.waits_for is 'What the next records of the file wait for: the partition that their table lacks.';

create or replace view streamer.pending_file as
select stream, partition, state, next_offset, (fingerprint -> 'stat' ->> 'size')::bigint - next_offset as lag_bytes,
       records, updated_at, now() - updated_at as since, refusal, waits_for
  from streamer.checkpoint
 where state <> 'done'
 order by stream, partition;
comment on column streamer.pending_file.waits_for is 'What its next records wait for: the partition that their table lacks.';

-- Rollups of such tables. Triggers of a table with transition tables fire only where a statement names it: for writes
-- that name a partition each has its own.

-- What a rollup counts are expressions of its owner's, which run with the rights of whoever has them evaluated.
create function streamer.demand_owner(rollup regclass) returns void
    language plpgsql stable set search_path = pg_catalog, pg_temp as $body$
declare
    owner name := (select pg_get_userbyid(c.relowner) from pg_class c where c.oid = rollup);
begin
    if owner <> current_user then
        raise exception 'permission denied: rollup % belongs to %, whose expressions only that role may have evaluated',
            rollup, owner using errcode = 'insufficient_privilege', hint = format('As a member of it: set role %I.', owner);
    end if;
end $body$;

-- The aggregates of a definition as they are written.
create function streamer.written_aggregates(definition jsonb) returns table (name text, written text)
    language sql stable set search_path = pg_catalog, pg_temp as $body$
    select (parse_ident(a.parts[1]))[1], a.parts[2]
      from jsonb_array_elements_text(definition -> 'aggregates') w (word)
     cross join regexp_match(w.word, '^\s*("(?:[^"]|"")+"|[[:alpha:]_][\w$]*)\s*=\s*(\S.*?)\s*$') a (parts)
$body$;

-- Gives a rollup its trigger function, its source the triggers, and each partition of that those for rows, which have an
-- argument.
create function streamer.tend_rollup(rollup regclass, definition jsonb) returns void
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
        select w.*, t.relid as on_table, t.relid = source as is_source
          from (values
                ('insert', 'referencing new table as new_rows', ''),
                ('update', 'referencing old table as old_rows new table as new_rows', ''),
                ('delete', 'referencing old table as old_rows',
                           $text$when (current_setting('streamer.keep_rollups', true) is distinct from 'on')$text$),
                ('truncate', '', '')) w (event, tables, condition)
         cross join (select source as relid union select p.relid from pg_partition_tree(source) p) t
         where t.relid = source or w.event <> 'truncate'
    loop
        execute format('drop trigger if exists %I on %s', name || '_' || what.event, what.on_table);
        execute format('create trigger %I after %s on %s %s for each statement %s execute function %s(%s)',
            name || '_' || what.event, what.event, what.on_table, what.tables, what.condition, function,
            case when not what.is_source then quote_literal('partition') end);
    end loop;
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
    guard     text := '';
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
    if (select relkind from pg_class where oid = source::regclass) = 'p' then
        guard := (select format($text$
    -- A partition keeps its triggers when it is detached.
    if tg_nargs > 0 and not exists (
            select from pg_partition_ancestors(tg_relid) a join pg_trigger t on t.tgrelid = a.relid
             where a.relid <> tg_relid and t.tgnargs = 0 and t.tgfoid = %L::regprocedure) then
        return null;
    end if;$text$, format('%I.%I()', n.nspname, t.relname || '_rollup'))
                    from pg_class t join pg_namespace n on n.oid = t.relnamespace where t.oid = rollup::regclass);
    end if;
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
begin%10$s
    if tg_op = 'TRUNCATE' then
        truncate %1$s;
        return null;
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
        recounted[1], recounted[2], recounted[3], guard);
end $body$;

create or replace function streamer.shape_rollup(rollup regclass, definition jsonb, former jsonb default null) returns void
    language plpgsql set search_path = pg_catalog, pg_temp set timezone = 'UTC' as $body$
declare
    source   regclass := definition ->> 'source';
    schema   name;
    name     name;
    missing  text;
    c        record;
    type     text;
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'a rollup is made in a transaction of isolation level read committed: it must see all rows'
            using errcode = 'active_sql_transaction';
    end if;
    select w.name into missing
      from (select definition ->> 'time' union all select jsonb_array_elements_text(definition -> 'keys')) w (name)
     where not exists (select from pg_attribute a where a.attrelid = source and a.attname = w.name and a.attnum > 0
                          and not a.attisdropped);
    if missing is not null then
        raise exception 'table % has no column %', source, missing using errcode = 'undefined_column';
    elsif not exists (select from streamer.rollup_columns(definition) d where d.role in ('window', 'key'))
       or not exists (select from streamer.rollup_columns(definition) d where d.role not in ('window', 'key', 'derived')) then
        raise exception 'a rollup has a window, keys or both, and something that is counted'
            using errcode = 'invalid_parameter_value';
    end if;
    select n.nspname, t.relname into schema, name
      from pg_class t join pg_namespace n on n.oid = t.relnamespace where t.oid = rollup;
    -- From here on nobody changes rows until the triggers do their part.
    execute format('lock table %s in share row exclusive mode', source);
    execute format('truncate %s', rollup);
    if to_regclass(format('%I.%I', schema, name || '_key')) is not null then
        execute format('drop index %I.%I', schema, name || '_key');
    end if;
    -- Views may stand on columns that stay as they were. What is derived goes with any of the others, and before them.
    for c in
        with stored as (
            select a.attname, a.attgenerated <> '' as is_derived,
                   case when a.attgenerated = '' then n.name is not null and n.role <> 'derived'
                                                      and n.type = format_type(a.atttypid, a.atttypmod)
                        else n.role = 'derived' and w.written = o.written end as stays
              from pg_attribute a
              left join streamer.rollup_columns(definition) n on n.name = a.attname
              left join streamer.written_aggregates(definition) w on w.name = a.attname
              left join streamer.written_aggregates(coalesce(former, definition)) o on o.name = a.attname
             where a.attrelid = rollup and a.attnum > 0 and not a.attisdropped
        )
        select s.attname from stored s
         where s.stays is not true or s.is_derived and (select bool_or(g.stays is not true and not g.is_derived) from stored g)
         order by not s.is_derived
    loop
        execute format('alter table %s drop column %I', rollup, c.attname);
    end loop;
    for c in select * from streamer.rollup_columns(definition) d order by d.role = 'derived', d.place loop
        continue when exists (select from pg_attribute a where a.attrelid = rollup and a.attname = c.name
                                 and a.attnum > 0 and not a.attisdropped);
        if c.role = 'derived' then
            type := streamer.type_of(c.expression, rollup);
            execute format('alter table %s add column %I %s generated always as (%s) stored',
                rollup, c.name, type, c.expression);
        else
            execute format('alter table %s add column %I %s%s', rollup, c.name, c.type,
                case when c.role = 'total' then ' not null default 0'
                     when c.role in ('window', 'key') and not c.is_boxed then ' not null' else '' end);
        end if;
    end loop;
    execute format('create unique index %I on %s (%s) %s', name || '_key', rollup,
        (select string_agg(d.index_column, ', ' order by d.place)
           from streamer.rollup_columns(definition) d where d.role in ('window', 'key')),
        case when current_setting('server_version_num')::int >= 150000 then 'nulls not distinct' else '' end);
    perform streamer.tend_rollup(rollup, definition);
    execute (select format('insert into %s (%s) select %s from %s s group by %s', rollup,
                    string_agg(format('%I', d.name), ', ' order by d.place),
                    string_agg(d.expression, ', ' order by d.place), source,
                    string_agg(d.place::text, ', ' order by d.place) filter (where d.role in ('window', 'key')))
               from (select row_number() over (order by d.place) as place, d.name, d.expression, d.role
                       from streamer.rollup_columns(definition) d where d.role <> 'derived') d);
    execute format('analyze %s', rollup);
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
    if (select relkind from pg_class where oid = source) = 'p' then
        raise notice '% counts what is written to % and to its partitions of today. It does not count partitions that are truncated, detached, dropped or attached as a whole, nor rows that are written under the name of a partition that is made later: select streamer.recount_rollup(%, from, to) does', full_name, source, quote_literal(full_name);
    end if;
    return full_name::regclass;
end $body$;

create or replace function streamer.change_rollup(
    rollup regclass, size interval default null, keys text[] default null, variadic aggregates text[] default '{}')
    returns void
    language plpgsql set search_path = pg_catalog, pg_temp as $body$
declare
    definition jsonb := streamer.rollup_definition(rollup);
begin
    perform streamer.demand_owner(rollup);
    perform streamer.shape_rollup(rollup, definition || jsonb_strip_nulls(jsonb_build_object(
        'size', size, 'keys', keys, 'aggregates', nullif(aggregates, '{}'))), definition);
end $body$;

create or replace function streamer.outlives_rows(rollup regclass) returns boolean
    language plpgsql set search_path = pg_catalog, pg_temp set timezone = 'UTC' as $body$
declare
    definition jsonb := streamer.rollup_definition(rollup);
    outlives   boolean;
begin
    perform streamer.demand_owner(rollup);
    execute (select format('select exists (select %s from %s except select %s from %s s group by %s)',
                    string_agg(format('%I', d.name), ', ' order by d.place), rollup,
                    string_agg(d.expression, ', ' order by d.place), (definition ->> 'source')::regclass,
                    string_agg(d.place::text, ', ' order by d.place) filter (where d.role in ('window', 'key')))
               from (select row_number() over (order by c.place) as place, c.name, c.expression, c.role
                       from streamer.rollup_columns(definition) c where c.role <> 'derived') d)
       into outlives;
    return outlives;
end $body$;

create or replace function streamer.drop_rollup(rollup regclass) returns void
    language plpgsql set search_path = pg_catalog, pg_temp as $body$
declare
    function text;
    c        record;
begin
    perform streamer.rollup_definition(rollup);
    select format('%I.%I()', n.nspname, t.relname || '_rollup') into function
      from pg_class t join pg_namespace n on n.oid = t.relnamespace where t.oid = rollup;
    execute format('drop table %s', rollup);
    for c in select t.tgname, t.tgrelid::regclass as on_table from pg_trigger t where t.tgfoid = function::regprocedure loop
        execute format('drop trigger %I on %s', c.tgname, c.on_table);
    end loop;
    execute format('drop function %s', function);
end $body$;

-- Counts the rows of a rollup's windows anew: of those that have a part of the time from range_start to range_end, or
-- of all.
create function streamer.recount_rollup(
    rollup regclass, range_start timestamptz default null, range_end timestamptz default null) returns void
    language plpgsql set search_path = pg_catalog, pg_temp set datestyle = iso as $body$
declare
    definition jsonb    := streamer.rollup_definition(rollup);
    source     regclass := definition ->> 'source';
    is_local   boolean  := (select a.atttypid <> 'timestamptz'::regtype from pg_attribute a
                             where a.attrelid = source and a.attname = definition ->> 'time');
    type       text     := case when is_local then 'timestamp' else 'timestamptz' end;
    zone       text     := current_setting('timezone');
    ranges     text     := 'true';
    condition  text;
begin
    perform streamer.demand_owner(rollup);
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'a rollup is counted in a transaction of isolation level read committed: it must see all rows'
            using errcode = 'active_sql_transaction';
    elsif definition ->> 'size' is null and (range_start is not null or range_end is not null) then
        raise exception 'rollup % has no windows; leave the times out', rollup using errcode = 'invalid_parameter_value';
    end if;
    if range_start is not null then
        ranges := format('%%1$s > %L::%s - %L::interval', case when is_local then range_start::timestamp::text
            else range_start::text end, type, definition ->> 'size');
    end if;
    if range_end is not null then
        ranges := ranges || format(' and %%1$s < %L::%s', case when is_local then range_end::timestamp::text
            else range_end::text end, type);
    end if;
    perform set_config('timezone', 'UTC', true);
    -- From here on nobody changes rows, under whatever name.
    execute format('lock table %s in share row exclusive mode', source);
    perform streamer.tend_rollup(rollup, definition);
    execute format('delete from %s r where ' || replace(ranges, '%1$s', 'r.window_start'), rollup);
    condition := coalesce((select replace(ranges, '%1$s', '(' || d.expression || ')')
                             from streamer.rollup_columns(definition) d where d.role = 'window'), 'true');
    execute (select format('insert into %s (%s) select %s from %s s where %s group by %s', rollup,
                    string_agg(format('%I', d.name), ', ' order by d.place),
                    string_agg(d.expression, ', ' order by d.place), source, condition,
                    string_agg(d.place::text, ', ' order by d.place) filter (where d.role in ('window', 'key')))
               from (select row_number() over (order by d.place) as place, d.name, d.expression, d.role
                       from streamer.rollup_columns(definition) d where d.role <> 'derived') d);
    perform set_config('timezone', zone, true);
end $body$;

comment on function streamer.recount_rollup is 'Counts the rows of a rollup''s windows anew: of those that have a part of the time from range_start to range_end, or of all. What the rollup tells of rows that are gone goes with that. Of a table with partitions it counts from then on what is written under the names of those that were made later.';

-- What is new belongs to whoever owns the rest.
do $body$
declare
    owner name := (select pg_get_userbyid(relowner) from pg_class where oid = 'streamer.checkpoint'::regclass);
    made  text;
begin
    if owner <> current_user then
        foreach made in array array['demand_owner(regclass)', 'written_aggregates(jsonb)',
                                    'tend_rollup(regclass, jsonb)',
                                    'recount_rollup(regclass, timestamptz, timestamptz)'] loop
            execute format('alter function streamer.%s owner to %I', made, owner);
        end loop;
    end if;
end $body$;
