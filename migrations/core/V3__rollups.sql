-- Rollups: aggregates per tumbling window and keys, kept by triggers in the transaction that
-- changes the rows.
--
-- A rollup is a table, one trigger function, and four statement-level triggers on its source. What
-- was inserted is aggregated by itself and added. What a delete or an update touched is locked and
-- counted anew from the rows, because least and greatest values can't be subtracted; so is what is
-- inserted next in such a transaction. Whoever changes rows locks the rollup's rows in key order.
--
-- The function belongs to whoever made the rollup and runs with their rights: a role that may
-- insert into the source needs no right on the rollup. A rollup's definition is the comment on its
-- function, so that only its owner can change it, and dumps keep it.

-- The body of a rollup's trigger function.
create function streamer.rollup_body(rollup text, definition jsonb) returns text
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
begin
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
        recounted[1], recounted[2], recounted[3]);
end $body$;

-- Gives a rollup's table the columns, the index and the triggers of a definition, and counts all
-- rows. `former` is the definition that it had.
create function streamer.shape_rollup(rollup regclass, definition jsonb, former jsonb default null) returns void
    language plpgsql set search_path = pg_catalog, pg_temp set timezone = 'UTC' as $body$
declare
    source   regclass := definition ->> 'source';
    schema   name;
    name     name;
    function text;
    missing  text;
    c        record;
    type     text;
    what     record;
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
    select n.nspname, t.relname, format('%I.%I', n.nspname, t.relname || '_rollup') into schema, name, function
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
                        else n.expression = o.expression and n.role = 'derived' end as stays
              from pg_attribute a
              left join streamer.rollup_columns(definition) n on n.name = a.attname
              left join streamer.rollup_columns(coalesce(former, definition)) o on o.name = a.attname
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
        select * from (values
            ('insert', 'referencing new table as new_rows', ''),
            ('update', 'referencing old table as old_rows new table as new_rows', ''),
            ('delete', 'referencing old table as old_rows',
                       $text$when (current_setting('streamer.keep_rollups', true) is distinct from 'on')$text$),
            ('truncate', '', '')) w (event, tables, condition)
    loop
        if exists (select from pg_trigger where tgrelid = source and tgname = name || '_' || what.event) then
            execute format('drop trigger %I on %s', name || '_' || what.event, source);
        end if;
        execute format('create trigger %I after %s on %s %s for each statement %s execute function %s()',
            name || '_' || what.event, what.event, source, what.tables, what.condition, function);
    end loop;
    execute (select format('insert into %s (%s) select %s from %s s group by %s', rollup,
                    string_agg(format('%I', d.name), ', ' order by d.place),
                    string_agg(d.expression, ', ' order by d.place), source,
                    string_agg(d.place::text, ', ' order by d.place) filter (where d.role in ('window', 'key')))
               from (select row_number() over (order by d.place) as place, d.name, d.expression, d.role
                       from streamer.rollup_columns(definition) d where d.role <> 'derived') d);
    execute format('analyze %s', rollup);
end $body$;

-- What a rollup was made with.
create function streamer.rollup_definition(rollup regclass) returns jsonb
    language plpgsql stable set search_path = pg_catalog, pg_temp as $body$
declare
    definition text := (
        select d.description
          from pg_class c
          join pg_proc p on p.pronamespace = c.relnamespace and p.proname = c.relname || '_rollup' and p.pronargs = 0
          join pg_description d on d.objoid = p.oid and d.classoid = 'pg_proc'::regclass
         where c.oid = rollup and p.proowner = c.relowner);
begin
    if definition is null then
        raise exception '% is not a rollup', rollup using errcode = 'wrong_object_type';
    end if;
    return definition;
end $body$;

create function streamer.create_rollup(
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
    return full_name::regclass;
end $body$;

create function streamer.change_rollup(
    rollup regclass, size interval default null, keys text[] default null, variadic aggregates text[] default '{}')
    returns void
    language plpgsql set search_path = pg_catalog, pg_temp as $body$
declare
    definition jsonb := streamer.rollup_definition(rollup);
begin
    perform streamer.shape_rollup(rollup, definition || jsonb_strip_nulls(jsonb_build_object(
        'size', size, 'keys', keys, 'aggregates', nullif(aggregates, '{}'))), definition);
end $body$;

create function streamer.drop_rollup(rollup regclass) returns void
    language plpgsql set search_path = pg_catalog, pg_temp as $body$
declare
    source   regclass := streamer.rollup_definition(rollup) ->> 'source';
    function text;
    name     name;
begin
    select c.relname, format('%I.%I()', n.nspname, c.relname || '_rollup') into name, function
      from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = rollup;
    execute format('drop table %s', rollup);
    for name in select t.tgname from pg_trigger t where t.tgrelid = source and t.tgfoid = function::regprocedure loop
        execute format('drop trigger %I on %s', name, source);
    end loop;
    execute format('drop function %s', function);
end $body$;

comment on function streamer.create_rollup is 'Makes a rollup of a table and counts its rows: per tumbling window of a time (of all times, where time_column and size are NULL) and per keys. Aggregates are written as name = sum(column) or name = sum(column) where condition, with count, sum, min, max or avg; any other name = expression is derived from the rollup''s other columns. Columns and conditions are SQL and run with the rights of whoever makes the rollup; functions and types other than PostgreSQL''s own need their schema.';
comment on function streamer.change_rollup is 'Gives a rollup another window, other keys or other aggregates, and counts all rows anew. What is not named stays.';
comment on function streamer.drop_rollup is 'Removes a rollup; its source stays as it is.';

create view streamer.rollup as
select r.rollup, r.definition ->> 'source' as source, r.definition ->> 'time' as time_column,
       (r.definition ->> 'size')::interval as window_size,
       array(select jsonb_array_elements_text(r.definition -> 'keys')) as keys,
       array(select jsonb_array_elements_text(r.definition -> 'aggregates')) as aggregates
  from (select c.oid::regclass as rollup, case when d.description like '{%' then d.description::jsonb end as definition
          from pg_catalog.pg_class c
          join pg_catalog.pg_proc p on p.pronamespace = c.relnamespace and p.proname = c.relname || '_rollup'
                                   and p.proowner = c.relowner and p.pronargs = 0
                                   and p.prorettype = 'pg_catalog.trigger'::pg_catalog.regtype
          join pg_catalog.pg_description d on d.objoid = p.oid and d.classoid = 'pg_catalog.pg_proc'::pg_catalog.regclass
         where c.relkind = 'r') r
 where r.definition is not null;

comment on view streamer.rollup is 'The rollups that there are, and what they were made with.';
