-- What a rollup's definition means: its window, its keys and its aggregates as columns and
-- expressions.

-- The start of the tumbling window that a time lies in, as an expression. Windows are counted from
-- a Monday, so that weeks begin on Mondays; in UTC, whatever the session's time zone is.
create function streamer.window_expression(column_name text, column_type regtype, size interval) returns text
    language plpgsql stable
    set search_path = pg_catalog, pg_temp set datestyle = iso set intervalstyle = postgres as $body$
declare
    seconds numeric := extract(epoch from size);
    kind    text    := case column_type when 'timestamptz'::regtype then 'timestamptz' else 'timestamp' end;
    time    text    := format('s.%I', column_name) || case column_type when 'date'::regtype then '::timestamp' else '' end;
    origin  text    := case kind when 'timestamptz' then '2000-01-03 00:00:00+00' else '2000-01-03 00:00:00' end;
    start   text;
begin
    if column_type not in ('timestamptz'::regtype, 'timestamp'::regtype, 'date'::regtype) then
        raise exception 'column % is a %, not a time', column_name, column_type using errcode = 'wrong_object_type';
    elsif size <= interval '0' or extract(year from size) <> 0 or extract(month from size) <> 0 then
        raise exception 'a window is longer than nothing, and of no months or years: their lengths differ'
            using errcode = 'invalid_parameter_value';
    end if;
    if current_setting('server_version_num')::int >= 140000 then
        start := format('date_bin(%L, %s, %L)', size, time, origin);
    else
        -- Times that are not finite stay what they are.
        start := format('to_timestamp(floor((extract(epoch from %s) - 946857600) / %s) * %2$s + 946857600)%s',
            time, seconds, case kind when 'timestamp' then ' at time zone ''UTC''' else '' end);
    end if;
    if 86400 % seconds <> 0 then
        -- The first window of all would start before the first time that PostgreSQL knows, and fail.
        start := format('case when %s >= %L::%s then %s else ''-infinity'' end',
            time, ('4714-11-24 BC'::timestamp + size)::text || case kind when 'timestamptz' then ' UTC' else '' end,
            kind, start);
    end if;
    return start;
end $body$;

-- Whether each parenthesis is closed by its own: of 'a) / (b' none is.
create function streamer.is_balanced(expression text) returns boolean
    language plpgsql immutable set search_path = pg_catalog, pg_temp as $body$
declare
    depth  int := 0;
    letter text;
begin
    foreach letter in array string_to_array(expression, null) loop
        depth := depth + case letter when '(' then 1 when ')' then -1 else 0 end;
        if depth < 0 then
            return false;
        end if;
    end loop;
    return depth = 0;
end $body$;

-- A type as SQL spells it, with its collation, of an expression over the rows of a table.
create function streamer.type_of(expression text, source regclass) returns text
    language plpgsql stable set search_path = pg_catalog, pg_temp as $body$
declare
    type           regtype;
    collation_name text;
begin
    execute format('select pg_typeof((select %s from %s s where false))', expression, source) into type;
    if (select typcollation <> 0 from pg_type where oid = type) then
        execute format('select pg_collation_for((select %s from %s s where false))', expression, source)
            into collation_name;
    end if;
    return type::text || coalesce(' collate ' || nullif(collation_name, '"default"'), '');
end $body$;

-- The columns that one aggregate of a definition takes. Roles: total (added up), least, greatest,
-- derived (an expression over the others, whose type is not known yet).
create function streamer.aggregate_columns(source regclass, aggregate text)
    returns table (role text, name text, expression text, type text)
    language plpgsql stable set search_path = pg_catalog, pg_temp as $body$
declare
    parts     text[] := regexp_match(aggregate, '^\s*("(?:[^"]|"")+"|[[:alpha:]_][\w$]*)\s*=\s*(\S.*?)\s*$');
    filtered  text[] := regexp_match(parts[2], '^(.*?\))\s+where\s+(.+)$', 'i');
    call      text[] := regexp_match(coalesce(filtered[1], parts[2]), '^(count|sum|min|max|avg)\s*\((.*)\)$', 'i');
    condition text   := coalesce(' filter (where ' || filtered[2] || ')', '');
    argument  text   := call[2];
begin
    if parts is null then
        raise exception 'an aggregate is written as name = sum(column), perhaps with where condition, not as %',
            aggregate using errcode = 'syntax_error';
    end if;
    name := (parse_ident(parts[1]))[1];
    if call is null or not streamer.is_balanced(argument) then
        if filtered is not null then
            raise exception 'a condition stands behind count, sum, min, max or avg, not as in %', aggregate
                using errcode = 'syntax_error';
        end if;
        role := 'derived';
        expression := parts[2];
        return next;
        return;
    elsif argument ~* '^\s*distinct\M' then
        raise exception 'how many are distinct can''t be added up: %', aggregate
            using errcode = 'feature_not_supported';
    end if;
    if lower(call[1]) in ('sum', 'avg') then
        type := streamer.type_of(format('(%s)', argument), source);
        if type in ('real', 'double precision') then
            -- Else the sum would depend on the order of the rows, and could overflow.
            argument := format('(%s)::numeric', argument);
        elsif type not in ('smallint', 'integer', 'bigint', 'numeric') then
            raise exception 'numbers can be added up, not %: %', type, aggregate using errcode = 'wrong_object_type';
        end if;
    end if;
    case lower(call[1])
        when 'avg' then
            return query
                select * from streamer.aggregate_columns(source, format('%I = sum(%s)%s', name || '_sum', argument,
                    ' where ' || filtered[2]))
                union all
                select * from streamer.aggregate_columns(source, format('%I = count(%s)%s', name || '_count', argument,
                    ' where ' || filtered[2]));
            role := 'derived';
            expression := format('%I::numeric / nullif(%I, 0)', name || '_sum', name || '_count');
            type := null;
        when 'count' then
            role := 'total';
            expression := format('count(%s)%s', argument, condition);
            type := 'bigint';
        when 'sum' then
            role := 'total';
            expression := format('coalesce(sum(%s)%s, 0)', argument, condition);
            type := streamer.type_of(expression, source);
        else
            role := case lower(call[1]) when 'min' then 'least' else 'greatest' end;
            expression := format('%s(%s)%s', lower(call[1]), argument, condition);
            type := streamer.type_of(expression, source);
    end case;
    return next;
end $body$;

-- All columns of a rollup, in their order; besides the roles of aggregates: window and key. What
-- is_boxed is compared in an array of one: there NULL equals NULL, and equal is what the type takes
-- for equal, whatever the search path. From PostgreSQL 15 on an index can take NULLs for equal by
-- itself, and does so faster: index_column is what it has.
create function streamer.rollup_columns(definition jsonb)
    returns table (place bigint, role text, name text, expression text, type text, is_boxed boolean, index_column text)
    language sql stable set search_path = pg_catalog, pg_temp as $body$
    with asked as (
        select 0 as place, 'window' as role, definition ->> 'time' as attname where definition ->> 'size' is not null
        union all
        select k.place, 'key', k.name
          from jsonb_array_elements_text(definition -> 'keys') with ordinality k (name, place)
    ), columns as (
        select k.place, 0 as part, k.role, a.*
          from asked k
         cross join lateral (
            select case k.role when 'window' then 'window_start' else a.attname end,
                   case k.role when 'window' then
                       streamer.window_expression(a.attname, a.atttypid, (definition ->> 'size')::interval)
                   else format('s.%I', a.attname) end,
                   case when k.role = 'key' then
                       format_type(a.atttypid, a.atttypmod)
                       || coalesce(' collate ' || quote_ident(n.nspname) || '.' || quote_ident(c.collname), '')
                   when a.atttypid = 'timestamptz'::regtype then 'timestamp with time zone'
                   else 'timestamp without time zone' end,
                   not a.attnotnull or t.typnamespace <> 'pg_catalog'::regnamespace,
                   t.typnamespace <> 'pg_catalog'::regnamespace
                   or not a.attnotnull and current_setting('server_version_num')::int < 150000
              from pg_attribute a
              join pg_type t on t.oid = a.atttypid
              left join pg_collation c on c.oid = a.attcollation and a.attcollation <> t.typcollation
              left join pg_namespace n on n.oid = c.collnamespace
             where a.attrelid = (definition ->> 'source')::regclass and a.attname = k.attname
               and a.attnum > 0 and not a.attisdropped) a (name, expression, type, is_boxed, is_indexed_boxed)
        union all
        select 1000 + a.place, c.part, c.role, c.name, c.expression, c.type, false, false
          from jsonb_array_elements_text(definition -> 'aggregates') with ordinality a (word, place)
         cross join lateral streamer.aggregate_columns((definition ->> 'source')::regclass, a.word)
               with ordinality c (role, name, expression, type, part)
    )
    select row_number() over (order by c.place, c.part), c.role, c.name, c.expression, c.type, c.is_boxed,
           format(case when c.is_indexed_boxed then '(array[%I])' else '%I' end, c.name)
      from columns c
$body$;
