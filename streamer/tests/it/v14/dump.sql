-- A database that the streamer of V14 has made, while it loaded the files beside it: user_events_2.csv is read in part.
-- By pg_dump --inserts --rows-per-insert=50 --no-owner, without its comments.

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

CREATE SCHEMA streamer;

CREATE FUNCTION public.ad_events_per_window_rollup() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET "TimeZone" TO 'UTC'
    SET enable_sort TO 'off'
    SET enable_nestloop TO 'off'
    SET jit TO 'off'
    AS $$#variable_conflict use_column
begin
    if tg_op = 'TRUNCATE' then
        truncate public.ad_events_per_window;
        return null;
    elsif tg_op = 'INSERT' and coalesce(current_setting('streamer.recounted_519196bba69f1a08', true), '') = '' then
        insert into public.ad_events_per_window as r (window_start, campaign_id, views, clicks, purchases, events, last_produce_time)
        select * from (select date_bin('00:00:10', s.event_time, '2000-01-03 00:00:00+00') as window_start, s.campaign_id as campaign_id, count(*) filter (where event_type = 'view') as views, count(*) filter (where event_type = 'click') as clicks, count(*) filter (where event_type = 'purchase') as purchases, count(*) as events, max(produce_time) as last_produce_time from new_rows s group by 1, 2 offset 0) g order by 1, 2
            on conflict (window_start, campaign_id) do update set views = r.views + excluded.views, clicks = r.clicks + excluded.clicks, purchases = r.purchases + excluded.purchases, events = r.events + excluded.events, last_produce_time = greatest(r.last_produce_time, excluded.last_produce_time);
        return null;
    -- First every row is locked that is counted anew: who adds to it meanwhile waits, or is waited for.
    elsif tg_op = 'INSERT' then
        with changed as materialized (select distinct date_bin('00:00:10', s.event_time, '2000-01-03 00:00:00+00') as window_start, s.campaign_id as campaign_id from new_rows s)
        insert into public.ad_events_per_window as r (window_start, campaign_id)
        select * from changed g order by 1, 2
            on conflict (window_start, campaign_id) do update set views = r.views, clicks = r.clicks, purchases = r.purchases, events = r.events, last_produce_time = r.last_produce_time;
        with changed as materialized (select distinct date_bin('00:00:10', s.event_time, '2000-01-03 00:00:00+00') as window_start, s.campaign_id as campaign_id from new_rows s)
        delete from public.ad_events_per_window r where (r.window_start, r.campaign_id) in (select g.window_start, g.campaign_id from changed g);
        with changed as materialized (select distinct date_bin('00:00:10', s.event_time, '2000-01-03 00:00:00+00') as window_start, s.campaign_id as campaign_id from new_rows s)
        insert into public.ad_events_per_window (window_start, campaign_id, views, clicks, purchases, events, last_produce_time)
        select date_bin('00:00:10', s.event_time, '2000-01-03 00:00:00+00') as window_start, s.campaign_id as campaign_id, count(*) filter (where event_type = 'view') as views, count(*) filter (where event_type = 'click') as clicks, count(*) filter (where event_type = 'purchase') as purchases, count(*) as events, max(produce_time) as last_produce_time from public.ad_events s
             where (date_bin('00:00:10', s.event_time, '2000-01-03 00:00:00+00'), s.campaign_id) in (select g.window_start, g.campaign_id from changed g)
               and s.event_time >= (select min(g.window_start) from changed g)
               and s.event_time <= (select case when max(g.window_start) < '290000-01-01'
                                     then max(g.window_start) + '00:00:10'::interval else 'infinity' end from changed g)
             group by 1, 2;
    elsif tg_op = 'DELETE' then
        with changed as materialized (select distinct date_bin('00:00:10', s.event_time, '2000-01-03 00:00:00+00') as window_start, s.campaign_id as campaign_id from old_rows s)
        insert into public.ad_events_per_window as r (window_start, campaign_id)
        select * from changed g order by 1, 2
            on conflict (window_start, campaign_id) do update set views = r.views, clicks = r.clicks, purchases = r.purchases, events = r.events, last_produce_time = r.last_produce_time;
        with changed as materialized (select distinct date_bin('00:00:10', s.event_time, '2000-01-03 00:00:00+00') as window_start, s.campaign_id as campaign_id from old_rows s)
        delete from public.ad_events_per_window r where (r.window_start, r.campaign_id) in (select g.window_start, g.campaign_id from changed g);
        with changed as materialized (select distinct date_bin('00:00:10', s.event_time, '2000-01-03 00:00:00+00') as window_start, s.campaign_id as campaign_id from old_rows s)
        insert into public.ad_events_per_window (window_start, campaign_id, views, clicks, purchases, events, last_produce_time)
        select date_bin('00:00:10', s.event_time, '2000-01-03 00:00:00+00') as window_start, s.campaign_id as campaign_id, count(*) filter (where event_type = 'view') as views, count(*) filter (where event_type = 'click') as clicks, count(*) filter (where event_type = 'purchase') as purchases, count(*) as events, max(produce_time) as last_produce_time from public.ad_events s
             where (date_bin('00:00:10', s.event_time, '2000-01-03 00:00:00+00'), s.campaign_id) in (select g.window_start, g.campaign_id from changed g)
               and s.event_time >= (select min(g.window_start) from changed g)
               and s.event_time <= (select case when max(g.window_start) < '290000-01-01'
                                     then max(g.window_start) + '00:00:10'::interval else 'infinity' end from changed g)
             group by 1, 2;
    else
        with changed as materialized (select distinct date_bin('00:00:10', s.event_time, '2000-01-03 00:00:00+00') as window_start, s.campaign_id as campaign_id from old_rows s union select date_bin('00:00:10', s.event_time, '2000-01-03 00:00:00+00') as window_start, s.campaign_id as campaign_id from new_rows s)
        insert into public.ad_events_per_window as r (window_start, campaign_id)
        select * from changed g order by 1, 2
            on conflict (window_start, campaign_id) do update set views = r.views, clicks = r.clicks, purchases = r.purchases, events = r.events, last_produce_time = r.last_produce_time;
        with changed as materialized (select distinct date_bin('00:00:10', s.event_time, '2000-01-03 00:00:00+00') as window_start, s.campaign_id as campaign_id from old_rows s union select date_bin('00:00:10', s.event_time, '2000-01-03 00:00:00+00') as window_start, s.campaign_id as campaign_id from new_rows s)
        delete from public.ad_events_per_window r where (r.window_start, r.campaign_id) in (select g.window_start, g.campaign_id from changed g);
        with changed as materialized (select distinct date_bin('00:00:10', s.event_time, '2000-01-03 00:00:00+00') as window_start, s.campaign_id as campaign_id from old_rows s union select date_bin('00:00:10', s.event_time, '2000-01-03 00:00:00+00') as window_start, s.campaign_id as campaign_id from new_rows s)
        insert into public.ad_events_per_window (window_start, campaign_id, views, clicks, purchases, events, last_produce_time)
        select date_bin('00:00:10', s.event_time, '2000-01-03 00:00:00+00') as window_start, s.campaign_id as campaign_id, count(*) filter (where event_type = 'view') as views, count(*) filter (where event_type = 'click') as clicks, count(*) filter (where event_type = 'purchase') as purchases, count(*) as events, max(produce_time) as last_produce_time from public.ad_events s
             where (date_bin('00:00:10', s.event_time, '2000-01-03 00:00:00+00'), s.campaign_id) in (select g.window_start, g.campaign_id from changed g)
               and s.event_time >= (select min(g.window_start) from changed g)
               and s.event_time <= (select case when max(g.window_start) < '290000-01-01'
                                     then max(g.window_start) + '00:00:10'::interval else 'infinity' end from changed g)
             group by 1, 2;
    end if;
    -- A statement may also change rows and then insert some, which by then are counted: its insert counts anew, too.
    perform set_config('streamer.recounted_519196bba69f1a08', case when tg_op = 'INSERT' and pg_trigger_depth() = 1 then '' else 'yes' end, true);
    return null;
end$$;

COMMENT ON FUNCTION public.ad_events_per_window_rollup() IS '{"keys": ["campaign_id"], "size": "00:00:10", "time": "event_time", "source": "public.ad_events", "aggregates": ["views = count(*) where event_type = ''view''", "clicks = count(*) where event_type = ''click''", "purchases = count(*) where event_type = ''purchase''", "events = count(*)", "last_produce_time = max(produce_time)"]}';

CREATE FUNCTION public.credit_flow_rollup() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET "TimeZone" TO 'UTC'
    SET enable_sort TO 'off'
    SET enable_nestloop TO 'off'
    SET jit TO 'off'
    AS $$#variable_conflict use_column
begin
    if tg_op = 'TRUNCATE' then
        truncate public.credit_flow;
        return null;
    elsif tg_op = 'INSERT' and coalesce(current_setting('streamer.recounted_f08ec3e18ff1e4b2', true), '') = '' then
        insert into public.credit_flow as r (account_region, transfers, total)
        select * from (select s.account_region as account_region, count(*) as transfers, coalesce(sum(transaction_value), 0) as total from new_rows s group by 1 offset 0) g order by 1
            on conflict (account_region) do update set transfers = r.transfers + excluded.transfers, total = r.total + excluded.total;
        return null;
    -- First every row is locked that is counted anew: who adds to it meanwhile waits, or is waited for.
    elsif tg_op = 'INSERT' then
        with changed as materialized (select distinct s.account_region as account_region from new_rows s)
        insert into public.credit_flow as r (account_region)
        select * from changed g order by 1
            on conflict (account_region) do update set transfers = r.transfers, total = r.total;
        with changed as materialized (select distinct s.account_region as account_region from new_rows s)
        delete from public.credit_flow r where (r.account_region) in (select g.account_region from changed g);
        with changed as materialized (select distinct s.account_region as account_region from new_rows s)
        insert into public.credit_flow (account_region, transfers, total)
        select s.account_region as account_region, count(*) as transfers, coalesce(sum(transaction_value), 0) as total from public.transfers s
             where (s.account_region) in (select g.account_region from changed g)
             group by 1;
    elsif tg_op = 'DELETE' then
        with changed as materialized (select distinct s.account_region as account_region from old_rows s)
        insert into public.credit_flow as r (account_region)
        select * from changed g order by 1
            on conflict (account_region) do update set transfers = r.transfers, total = r.total;
        with changed as materialized (select distinct s.account_region as account_region from old_rows s)
        delete from public.credit_flow r where (r.account_region) in (select g.account_region from changed g);
        with changed as materialized (select distinct s.account_region as account_region from old_rows s)
        insert into public.credit_flow (account_region, transfers, total)
        select s.account_region as account_region, count(*) as transfers, coalesce(sum(transaction_value), 0) as total from public.transfers s
             where (s.account_region) in (select g.account_region from changed g)
             group by 1;
    else
        with changed as materialized (select distinct s.account_region as account_region from old_rows s union select s.account_region as account_region from new_rows s)
        insert into public.credit_flow as r (account_region)
        select * from changed g order by 1
            on conflict (account_region) do update set transfers = r.transfers, total = r.total;
        with changed as materialized (select distinct s.account_region as account_region from old_rows s union select s.account_region as account_region from new_rows s)
        delete from public.credit_flow r where (r.account_region) in (select g.account_region from changed g);
        with changed as materialized (select distinct s.account_region as account_region from old_rows s union select s.account_region as account_region from new_rows s)
        insert into public.credit_flow (account_region, transfers, total)
        select s.account_region as account_region, count(*) as transfers, coalesce(sum(transaction_value), 0) as total from public.transfers s
             where (s.account_region) in (select g.account_region from changed g)
             group by 1;
    end if;
    -- A statement may also change rows and then insert some, which by then are counted: its insert counts anew, too.
    perform set_config('streamer.recounted_f08ec3e18ff1e4b2', case when tg_op = 'INSERT' and pg_trigger_depth() = 1 then '' else 'yes' end, true);
    return null;
end$$;

COMMENT ON FUNCTION public.credit_flow_rollup() IS '{"keys": ["account_region"], "size": null, "time": null, "source": "public.transfers", "aggregates": ["transfers = count(*)", "total = sum(transaction_value)"]}';

CREATE FUNCTION public.emoji_reactions_per_minute_rollup() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET "TimeZone" TO 'UTC'
    SET enable_sort TO 'off'
    SET enable_nestloop TO 'off'
    SET jit TO 'off'
    AS $$#variable_conflict use_column
begin
    if tg_op = 'TRUNCATE' then
        truncate public.emoji_reactions_per_minute;
        return null;
    elsif tg_op = 'INSERT' and coalesce(current_setting('streamer.recounted_1d286344ec8032f3', true), '') = '' then
        insert into public.emoji_reactions_per_minute as r (window_start, emoji_type, reactions)
        select * from (select date_bin('00:01:00', s."timestamp", '2000-01-03 00:00:00+00') as window_start, s.emoji_type as emoji_type, count(*) as reactions from new_rows s group by 1, 2 offset 0) g order by 1, 2
            on conflict (window_start, emoji_type) do update set reactions = r.reactions + excluded.reactions;
        return null;
    -- First every row is locked that is counted anew: who adds to it meanwhile waits, or is waited for.
    elsif tg_op = 'INSERT' then
        with changed as materialized (select distinct date_bin('00:01:00', s."timestamp", '2000-01-03 00:00:00+00') as window_start, s.emoji_type as emoji_type from new_rows s)
        insert into public.emoji_reactions_per_minute as r (window_start, emoji_type)
        select * from changed g order by 1, 2
            on conflict (window_start, emoji_type) do update set reactions = r.reactions;
        with changed as materialized (select distinct date_bin('00:01:00', s."timestamp", '2000-01-03 00:00:00+00') as window_start, s.emoji_type as emoji_type from new_rows s)
        delete from public.emoji_reactions_per_minute r where (r.window_start, r.emoji_type) in (select g.window_start, g.emoji_type from changed g);
        with changed as materialized (select distinct date_bin('00:01:00', s."timestamp", '2000-01-03 00:00:00+00') as window_start, s.emoji_type as emoji_type from new_rows s)
        insert into public.emoji_reactions_per_minute (window_start, emoji_type, reactions)
        select date_bin('00:01:00', s."timestamp", '2000-01-03 00:00:00+00') as window_start, s.emoji_type as emoji_type, count(*) as reactions from public.emoji_reactions s
             where (date_bin('00:01:00', s."timestamp", '2000-01-03 00:00:00+00'), s.emoji_type) in (select g.window_start, g.emoji_type from changed g)
               and s."timestamp" >= (select min(g.window_start) from changed g)
               and s."timestamp" <= (select case when max(g.window_start) < '290000-01-01'
                                     then max(g.window_start) + '00:01:00'::interval else 'infinity' end from changed g)
             group by 1, 2;
    elsif tg_op = 'DELETE' then
        with changed as materialized (select distinct date_bin('00:01:00', s."timestamp", '2000-01-03 00:00:00+00') as window_start, s.emoji_type as emoji_type from old_rows s)
        insert into public.emoji_reactions_per_minute as r (window_start, emoji_type)
        select * from changed g order by 1, 2
            on conflict (window_start, emoji_type) do update set reactions = r.reactions;
        with changed as materialized (select distinct date_bin('00:01:00', s."timestamp", '2000-01-03 00:00:00+00') as window_start, s.emoji_type as emoji_type from old_rows s)
        delete from public.emoji_reactions_per_minute r where (r.window_start, r.emoji_type) in (select g.window_start, g.emoji_type from changed g);
        with changed as materialized (select distinct date_bin('00:01:00', s."timestamp", '2000-01-03 00:00:00+00') as window_start, s.emoji_type as emoji_type from old_rows s)
        insert into public.emoji_reactions_per_minute (window_start, emoji_type, reactions)
        select date_bin('00:01:00', s."timestamp", '2000-01-03 00:00:00+00') as window_start, s.emoji_type as emoji_type, count(*) as reactions from public.emoji_reactions s
             where (date_bin('00:01:00', s."timestamp", '2000-01-03 00:00:00+00'), s.emoji_type) in (select g.window_start, g.emoji_type from changed g)
               and s."timestamp" >= (select min(g.window_start) from changed g)
               and s."timestamp" <= (select case when max(g.window_start) < '290000-01-01'
                                     then max(g.window_start) + '00:01:00'::interval else 'infinity' end from changed g)
             group by 1, 2;
    else
        with changed as materialized (select distinct date_bin('00:01:00', s."timestamp", '2000-01-03 00:00:00+00') as window_start, s.emoji_type as emoji_type from old_rows s union select date_bin('00:01:00', s."timestamp", '2000-01-03 00:00:00+00') as window_start, s.emoji_type as emoji_type from new_rows s)
        insert into public.emoji_reactions_per_minute as r (window_start, emoji_type)
        select * from changed g order by 1, 2
            on conflict (window_start, emoji_type) do update set reactions = r.reactions;
        with changed as materialized (select distinct date_bin('00:01:00', s."timestamp", '2000-01-03 00:00:00+00') as window_start, s.emoji_type as emoji_type from old_rows s union select date_bin('00:01:00', s."timestamp", '2000-01-03 00:00:00+00') as window_start, s.emoji_type as emoji_type from new_rows s)
        delete from public.emoji_reactions_per_minute r where (r.window_start, r.emoji_type) in (select g.window_start, g.emoji_type from changed g);
        with changed as materialized (select distinct date_bin('00:01:00', s."timestamp", '2000-01-03 00:00:00+00') as window_start, s.emoji_type as emoji_type from old_rows s union select date_bin('00:01:00', s."timestamp", '2000-01-03 00:00:00+00') as window_start, s.emoji_type as emoji_type from new_rows s)
        insert into public.emoji_reactions_per_minute (window_start, emoji_type, reactions)
        select date_bin('00:01:00', s."timestamp", '2000-01-03 00:00:00+00') as window_start, s.emoji_type as emoji_type, count(*) as reactions from public.emoji_reactions s
             where (date_bin('00:01:00', s."timestamp", '2000-01-03 00:00:00+00'), s.emoji_type) in (select g.window_start, g.emoji_type from changed g)
               and s."timestamp" >= (select min(g.window_start) from changed g)
               and s."timestamp" <= (select case when max(g.window_start) < '290000-01-01'
                                     then max(g.window_start) + '00:01:00'::interval else 'infinity' end from changed g)
             group by 1, 2;
    end if;
    -- A statement may also change rows and then insert some, which by then are counted: its insert counts anew, too.
    perform set_config('streamer.recounted_1d286344ec8032f3', case when tg_op = 'INSERT' and pg_trigger_depth() = 1 then '' else 'yes' end, true);
    return null;
end$$;

COMMENT ON FUNCTION public.emoji_reactions_per_minute_rollup() IS '{"keys": ["emoji_type"], "size": "00:01:00", "time": "timestamp", "source": "public.emoji_reactions", "aggregates": ["reactions = count(*)", "scaled_count = greatest(reactions / 1000, 1)"]}';

CREATE FUNCTION public.simulator_events_per_window_rollup() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET "TimeZone" TO 'UTC'
    SET enable_sort TO 'off'
    SET enable_nestloop TO 'off'
    SET jit TO 'off'
    AS $$#variable_conflict use_column
begin
    if tg_op = 'TRUNCATE' then
        truncate public.simulator_events_per_window;
        return null;
    elsif tg_op = 'INSERT' and coalesce(current_setting('streamer.recounted_aee2676fb07c0843', true), '') = '' then
        insert into public.simulator_events_per_window as r (window_start, events, sum, min, max)
        select * from (select date_bin('00:00:10', s."time", '2000-01-03 00:00:00+00') as window_start, count(*) as events, coalesce(sum(value), 0) as sum, min(value) as min, max(value) as max from new_rows s group by 1 offset 0) g order by 1
            on conflict (window_start) do update set events = r.events + excluded.events, sum = r.sum + excluded.sum, min = least(r.min, excluded.min), max = greatest(r.max, excluded.max);
        return null;
    -- First every row is locked that is counted anew: who adds to it meanwhile waits, or is waited for.
    elsif tg_op = 'INSERT' then
        with changed as materialized (select distinct date_bin('00:00:10', s."time", '2000-01-03 00:00:00+00') as window_start from new_rows s)
        insert into public.simulator_events_per_window as r (window_start)
        select * from changed g order by 1
            on conflict (window_start) do update set events = r.events, sum = r.sum, min = r.min, max = r.max;
        with changed as materialized (select distinct date_bin('00:00:10', s."time", '2000-01-03 00:00:00+00') as window_start from new_rows s)
        delete from public.simulator_events_per_window r where (r.window_start) in (select g.window_start from changed g);
        with changed as materialized (select distinct date_bin('00:00:10', s."time", '2000-01-03 00:00:00+00') as window_start from new_rows s)
        insert into public.simulator_events_per_window (window_start, events, sum, min, max)
        select date_bin('00:00:10', s."time", '2000-01-03 00:00:00+00') as window_start, count(*) as events, coalesce(sum(value), 0) as sum, min(value) as min, max(value) as max from public.simulator_events s
             where (date_bin('00:00:10', s."time", '2000-01-03 00:00:00+00')) in (select g.window_start from changed g)
               and s."time" >= (select min(g.window_start) from changed g)
               and s."time" <= (select case when max(g.window_start) < '290000-01-01'
                                     then max(g.window_start) + '00:00:10'::interval else 'infinity' end from changed g)
             group by 1;
    elsif tg_op = 'DELETE' then
        with changed as materialized (select distinct date_bin('00:00:10', s."time", '2000-01-03 00:00:00+00') as window_start from old_rows s)
        insert into public.simulator_events_per_window as r (window_start)
        select * from changed g order by 1
            on conflict (window_start) do update set events = r.events, sum = r.sum, min = r.min, max = r.max;
        with changed as materialized (select distinct date_bin('00:00:10', s."time", '2000-01-03 00:00:00+00') as window_start from old_rows s)
        delete from public.simulator_events_per_window r where (r.window_start) in (select g.window_start from changed g);
        with changed as materialized (select distinct date_bin('00:00:10', s."time", '2000-01-03 00:00:00+00') as window_start from old_rows s)
        insert into public.simulator_events_per_window (window_start, events, sum, min, max)
        select date_bin('00:00:10', s."time", '2000-01-03 00:00:00+00') as window_start, count(*) as events, coalesce(sum(value), 0) as sum, min(value) as min, max(value) as max from public.simulator_events s
             where (date_bin('00:00:10', s."time", '2000-01-03 00:00:00+00')) in (select g.window_start from changed g)
               and s."time" >= (select min(g.window_start) from changed g)
               and s."time" <= (select case when max(g.window_start) < '290000-01-01'
                                     then max(g.window_start) + '00:00:10'::interval else 'infinity' end from changed g)
             group by 1;
    else
        with changed as materialized (select distinct date_bin('00:00:10', s."time", '2000-01-03 00:00:00+00') as window_start from old_rows s union select date_bin('00:00:10', s."time", '2000-01-03 00:00:00+00') as window_start from new_rows s)
        insert into public.simulator_events_per_window as r (window_start)
        select * from changed g order by 1
            on conflict (window_start) do update set events = r.events, sum = r.sum, min = r.min, max = r.max;
        with changed as materialized (select distinct date_bin('00:00:10', s."time", '2000-01-03 00:00:00+00') as window_start from old_rows s union select date_bin('00:00:10', s."time", '2000-01-03 00:00:00+00') as window_start from new_rows s)
        delete from public.simulator_events_per_window r where (r.window_start) in (select g.window_start from changed g);
        with changed as materialized (select distinct date_bin('00:00:10', s."time", '2000-01-03 00:00:00+00') as window_start from old_rows s union select date_bin('00:00:10', s."time", '2000-01-03 00:00:00+00') as window_start from new_rows s)
        insert into public.simulator_events_per_window (window_start, events, sum, min, max)
        select date_bin('00:00:10', s."time", '2000-01-03 00:00:00+00') as window_start, count(*) as events, coalesce(sum(value), 0) as sum, min(value) as min, max(value) as max from public.simulator_events s
             where (date_bin('00:00:10', s."time", '2000-01-03 00:00:00+00')) in (select g.window_start from changed g)
               and s."time" >= (select min(g.window_start) from changed g)
               and s."time" <= (select case when max(g.window_start) < '290000-01-01'
                                     then max(g.window_start) + '00:00:10'::interval else 'infinity' end from changed g)
             group by 1;
    end if;
    -- A statement may also change rows and then insert some, which by then are counted: its insert counts anew, too.
    perform set_config('streamer.recounted_aee2676fb07c0843', case when tg_op = 'INSERT' and pg_trigger_depth() = 1 then '' else 'yes' end, true);
    return null;
end$$;

COMMENT ON FUNCTION public.simulator_events_per_window_rollup() IS '{"keys": [], "size": "00:00:10", "time": "time", "source": "public.simulator_events", "aggregates": ["events = count(*)", "sum = sum(value)", "average = \"sum\" / nullif(events, 0)", "min = min(value)", "max = max(value)"]}';

CREATE FUNCTION public.transfers_per_minute_rollup() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET "TimeZone" TO 'UTC'
    SET enable_sort TO 'off'
    SET enable_nestloop TO 'off'
    SET jit TO 'off'
    AS $$#variable_conflict use_column
begin
    if tg_op = 'TRUNCATE' then
        truncate public.transfers_per_minute;
        return null;
    elsif tg_op = 'INSERT' and coalesce(current_setting('streamer.recounted_6b8f477fdc0a41f7', true), '') = '' then
        insert into public.transfers_per_minute as r (window_start, account_region, transfers, total, largest)
        select * from (select date_bin('00:01:00', s.event_time, '2000-01-03 00:00:00+00') as window_start, s.account_region as account_region, count(*) as transfers, coalesce(sum(transaction_value), 0) as total, max(transaction_value) as largest from new_rows s group by 1, 2 offset 0) g order by 1, 2
            on conflict (window_start, account_region) do update set transfers = r.transfers + excluded.transfers, total = r.total + excluded.total, largest = greatest(r.largest, excluded.largest);
        return null;
    -- First every row is locked that is counted anew: who adds to it meanwhile waits, or is waited for.
    elsif tg_op = 'INSERT' then
        with changed as materialized (select distinct date_bin('00:01:00', s.event_time, '2000-01-03 00:00:00+00') as window_start, s.account_region as account_region from new_rows s)
        insert into public.transfers_per_minute as r (window_start, account_region)
        select * from changed g order by 1, 2
            on conflict (window_start, account_region) do update set transfers = r.transfers, total = r.total, largest = r.largest;
        with changed as materialized (select distinct date_bin('00:01:00', s.event_time, '2000-01-03 00:00:00+00') as window_start, s.account_region as account_region from new_rows s)
        delete from public.transfers_per_minute r where (r.window_start, r.account_region) in (select g.window_start, g.account_region from changed g);
        with changed as materialized (select distinct date_bin('00:01:00', s.event_time, '2000-01-03 00:00:00+00') as window_start, s.account_region as account_region from new_rows s)
        insert into public.transfers_per_minute (window_start, account_region, transfers, total, largest)
        select date_bin('00:01:00', s.event_time, '2000-01-03 00:00:00+00') as window_start, s.account_region as account_region, count(*) as transfers, coalesce(sum(transaction_value), 0) as total, max(transaction_value) as largest from public.transfers s
             where (date_bin('00:01:00', s.event_time, '2000-01-03 00:00:00+00'), s.account_region) in (select g.window_start, g.account_region from changed g)
               and s.event_time >= (select min(g.window_start) from changed g)
               and s.event_time <= (select case when max(g.window_start) < '290000-01-01'
                                     then max(g.window_start) + '00:01:00'::interval else 'infinity' end from changed g)
             group by 1, 2;
    elsif tg_op = 'DELETE' then
        with changed as materialized (select distinct date_bin('00:01:00', s.event_time, '2000-01-03 00:00:00+00') as window_start, s.account_region as account_region from old_rows s)
        insert into public.transfers_per_minute as r (window_start, account_region)
        select * from changed g order by 1, 2
            on conflict (window_start, account_region) do update set transfers = r.transfers, total = r.total, largest = r.largest;
        with changed as materialized (select distinct date_bin('00:01:00', s.event_time, '2000-01-03 00:00:00+00') as window_start, s.account_region as account_region from old_rows s)
        delete from public.transfers_per_minute r where (r.window_start, r.account_region) in (select g.window_start, g.account_region from changed g);
        with changed as materialized (select distinct date_bin('00:01:00', s.event_time, '2000-01-03 00:00:00+00') as window_start, s.account_region as account_region from old_rows s)
        insert into public.transfers_per_minute (window_start, account_region, transfers, total, largest)
        select date_bin('00:01:00', s.event_time, '2000-01-03 00:00:00+00') as window_start, s.account_region as account_region, count(*) as transfers, coalesce(sum(transaction_value), 0) as total, max(transaction_value) as largest from public.transfers s
             where (date_bin('00:01:00', s.event_time, '2000-01-03 00:00:00+00'), s.account_region) in (select g.window_start, g.account_region from changed g)
               and s.event_time >= (select min(g.window_start) from changed g)
               and s.event_time <= (select case when max(g.window_start) < '290000-01-01'
                                     then max(g.window_start) + '00:01:00'::interval else 'infinity' end from changed g)
             group by 1, 2;
    else
        with changed as materialized (select distinct date_bin('00:01:00', s.event_time, '2000-01-03 00:00:00+00') as window_start, s.account_region as account_region from old_rows s union select date_bin('00:01:00', s.event_time, '2000-01-03 00:00:00+00') as window_start, s.account_region as account_region from new_rows s)
        insert into public.transfers_per_minute as r (window_start, account_region)
        select * from changed g order by 1, 2
            on conflict (window_start, account_region) do update set transfers = r.transfers, total = r.total, largest = r.largest;
        with changed as materialized (select distinct date_bin('00:01:00', s.event_time, '2000-01-03 00:00:00+00') as window_start, s.account_region as account_region from old_rows s union select date_bin('00:01:00', s.event_time, '2000-01-03 00:00:00+00') as window_start, s.account_region as account_region from new_rows s)
        delete from public.transfers_per_minute r where (r.window_start, r.account_region) in (select g.window_start, g.account_region from changed g);
        with changed as materialized (select distinct date_bin('00:01:00', s.event_time, '2000-01-03 00:00:00+00') as window_start, s.account_region as account_region from old_rows s union select date_bin('00:01:00', s.event_time, '2000-01-03 00:00:00+00') as window_start, s.account_region as account_region from new_rows s)
        insert into public.transfers_per_minute (window_start, account_region, transfers, total, largest)
        select date_bin('00:01:00', s.event_time, '2000-01-03 00:00:00+00') as window_start, s.account_region as account_region, count(*) as transfers, coalesce(sum(transaction_value), 0) as total, max(transaction_value) as largest from public.transfers s
             where (date_bin('00:01:00', s.event_time, '2000-01-03 00:00:00+00'), s.account_region) in (select g.window_start, g.account_region from changed g)
               and s.event_time >= (select min(g.window_start) from changed g)
               and s.event_time <= (select case when max(g.window_start) < '290000-01-01'
                                     then max(g.window_start) + '00:01:00'::interval else 'infinity' end from changed g)
             group by 1, 2;
    end if;
    -- A statement may also change rows and then insert some, which by then are counted: its insert counts anew, too.
    perform set_config('streamer.recounted_6b8f477fdc0a41f7', case when tg_op = 'INSERT' and pg_trigger_depth() = 1 then '' else 'yes' end, true);
    return null;
end$$;

COMMENT ON FUNCTION public.transfers_per_minute_rollup() IS '{"keys": ["account_region"], "size": "00:01:00", "time": "event_time", "source": "public.transfers", "aggregates": ["transfers = count(*)", "total = sum(transaction_value)", "largest = max(transaction_value)"]}';

CREATE FUNCTION public.user_events_per_minute_rollup() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET "TimeZone" TO 'UTC'
    SET enable_sort TO 'off'
    SET enable_nestloop TO 'off'
    SET jit TO 'off'
    AS $$#variable_conflict use_column
begin
    if tg_op = 'TRUNCATE' then
        truncate public.user_events_per_minute;
        return null;
    elsif tg_op = 'INSERT' and coalesce(current_setting('streamer.recounted_f9645ec18379203b', true), '') = '' then
        insert into public.user_events_per_minute as r (window_start, event_type, category, events, revenue)
        select * from (select date_bin('00:01:00', s.event_time, '2000-01-03 00:00:00+00') as window_start, s.event_type as event_type, s.category as category, count(*) as events, coalesce(sum(price) filter (where event_type = 'purchase'), 0) as revenue from new_rows s group by 1, 2, 3 offset 0) g order by 1, 2, 3
            on conflict (window_start, event_type, category) do update set events = r.events + excluded.events, revenue = r.revenue + excluded.revenue;
        return null;
    -- First every row is locked that is counted anew: who adds to it meanwhile waits, or is waited for.
    elsif tg_op = 'INSERT' then
        with changed as materialized (select distinct date_bin('00:01:00', s.event_time, '2000-01-03 00:00:00+00') as window_start, s.event_type as event_type, s.category as category from new_rows s)
        insert into public.user_events_per_minute as r (window_start, event_type, category)
        select * from changed g order by 1, 2, 3
            on conflict (window_start, event_type, category) do update set events = r.events, revenue = r.revenue;
        with changed as materialized (select distinct date_bin('00:01:00', s.event_time, '2000-01-03 00:00:00+00') as window_start, s.event_type as event_type, s.category as category from new_rows s)
        delete from public.user_events_per_minute r where (r.window_start, r.event_type, array[r.category]) in (select g.window_start, g.event_type, array[g.category] from changed g);
        with changed as materialized (select distinct date_bin('00:01:00', s.event_time, '2000-01-03 00:00:00+00') as window_start, s.event_type as event_type, s.category as category from new_rows s)
        insert into public.user_events_per_minute (window_start, event_type, category, events, revenue)
        select date_bin('00:01:00', s.event_time, '2000-01-03 00:00:00+00') as window_start, s.event_type as event_type, s.category as category, count(*) as events, coalesce(sum(price) filter (where event_type = 'purchase'), 0) as revenue from public.user_events s
             where (date_bin('00:01:00', s.event_time, '2000-01-03 00:00:00+00'), s.event_type, array[s.category]) in (select g.window_start, g.event_type, array[g.category] from changed g)
               and s.event_time >= (select min(g.window_start) from changed g)
               and s.event_time <= (select case when max(g.window_start) < '290000-01-01'
                                     then max(g.window_start) + '00:01:00'::interval else 'infinity' end from changed g)
             group by 1, 2, 3;
    elsif tg_op = 'DELETE' then
        with changed as materialized (select distinct date_bin('00:01:00', s.event_time, '2000-01-03 00:00:00+00') as window_start, s.event_type as event_type, s.category as category from old_rows s)
        insert into public.user_events_per_minute as r (window_start, event_type, category)
        select * from changed g order by 1, 2, 3
            on conflict (window_start, event_type, category) do update set events = r.events, revenue = r.revenue;
        with changed as materialized (select distinct date_bin('00:01:00', s.event_time, '2000-01-03 00:00:00+00') as window_start, s.event_type as event_type, s.category as category from old_rows s)
        delete from public.user_events_per_minute r where (r.window_start, r.event_type, array[r.category]) in (select g.window_start, g.event_type, array[g.category] from changed g);
        with changed as materialized (select distinct date_bin('00:01:00', s.event_time, '2000-01-03 00:00:00+00') as window_start, s.event_type as event_type, s.category as category from old_rows s)
        insert into public.user_events_per_minute (window_start, event_type, category, events, revenue)
        select date_bin('00:01:00', s.event_time, '2000-01-03 00:00:00+00') as window_start, s.event_type as event_type, s.category as category, count(*) as events, coalesce(sum(price) filter (where event_type = 'purchase'), 0) as revenue from public.user_events s
             where (date_bin('00:01:00', s.event_time, '2000-01-03 00:00:00+00'), s.event_type, array[s.category]) in (select g.window_start, g.event_type, array[g.category] from changed g)
               and s.event_time >= (select min(g.window_start) from changed g)
               and s.event_time <= (select case when max(g.window_start) < '290000-01-01'
                                     then max(g.window_start) + '00:01:00'::interval else 'infinity' end from changed g)
             group by 1, 2, 3;
    else
        with changed as materialized (select distinct date_bin('00:01:00', s.event_time, '2000-01-03 00:00:00+00') as window_start, s.event_type as event_type, s.category as category from old_rows s union select date_bin('00:01:00', s.event_time, '2000-01-03 00:00:00+00') as window_start, s.event_type as event_type, s.category as category from new_rows s)
        insert into public.user_events_per_minute as r (window_start, event_type, category)
        select * from changed g order by 1, 2, 3
            on conflict (window_start, event_type, category) do update set events = r.events, revenue = r.revenue;
        with changed as materialized (select distinct date_bin('00:01:00', s.event_time, '2000-01-03 00:00:00+00') as window_start, s.event_type as event_type, s.category as category from old_rows s union select date_bin('00:01:00', s.event_time, '2000-01-03 00:00:00+00') as window_start, s.event_type as event_type, s.category as category from new_rows s)
        delete from public.user_events_per_minute r where (r.window_start, r.event_type, array[r.category]) in (select g.window_start, g.event_type, array[g.category] from changed g);
        with changed as materialized (select distinct date_bin('00:01:00', s.event_time, '2000-01-03 00:00:00+00') as window_start, s.event_type as event_type, s.category as category from old_rows s union select date_bin('00:01:00', s.event_time, '2000-01-03 00:00:00+00') as window_start, s.event_type as event_type, s.category as category from new_rows s)
        insert into public.user_events_per_minute (window_start, event_type, category, events, revenue)
        select date_bin('00:01:00', s.event_time, '2000-01-03 00:00:00+00') as window_start, s.event_type as event_type, s.category as category, count(*) as events, coalesce(sum(price) filter (where event_type = 'purchase'), 0) as revenue from public.user_events s
             where (date_bin('00:01:00', s.event_time, '2000-01-03 00:00:00+00'), s.event_type, array[s.category]) in (select g.window_start, g.event_type, array[g.category] from changed g)
               and s.event_time >= (select min(g.window_start) from changed g)
               and s.event_time <= (select case when max(g.window_start) < '290000-01-01'
                                     then max(g.window_start) + '00:01:00'::interval else 'infinity' end from changed g)
             group by 1, 2, 3;
    end if;
    -- A statement may also change rows and then insert some, which by then are counted: its insert counts anew, too.
    perform set_config('streamer.recounted_f9645ec18379203b', case when tg_op = 'INSERT' and pg_trigger_depth() = 1 then '' else 'yes' end, true);
    return null;
end$$;

COMMENT ON FUNCTION public.user_events_per_minute_rollup() IS '{"keys": ["event_type", "category"], "size": "00:01:00", "time": "event_time", "source": "public.user_events", "aggregates": ["events = count(*)", "revenue = sum(price) where event_type = ''purchase''"]}';

CREATE FUNCTION public.volume_by_region(minutes integer DEFAULT 10, until timestamp with time zone DEFAULT NULL::timestamp with time zone) RETURNS TABLE(account_region text, transfers bigint, total numeric, largest numeric)
    LANGUAGE sql STABLE
    AS $_$
    select r.account_region, sum(r.transfers)::bigint, sum(r.total), max(r.largest)
      from public.transfers_per_minute r
     where r.window_start <= coalesce($2, 'infinity')
       and r.window_start > coalesce($2, (select max(n.window_start) from public.transfers_per_minute n
                                           where n.window_start < 'infinity')) - make_interval(mins => $1)
     group by r.account_region
     order by 3 desc, 1
$_$;

COMMENT ON FUNCTION public.volume_by_region(minutes integer, until timestamp with time zone) IS 'Regions by the sum of their transfers, the highest first, in the last minutes: up to the given time, or else up to the newest transfer.';

CREATE FUNCTION streamer.aggregate_columns(source regclass, aggregate text) RETURNS TABLE(role text, name text, expression text, type text)
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
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
end $_$;

CREATE FUNCTION streamer.change_rollup(rollup regclass, size interval DEFAULT NULL::interval, keys text[] DEFAULT NULL::text[], VARIADIC aggregates text[] DEFAULT '{}'::text[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    definition jsonb := streamer.rollup_definition(rollup);
begin
    perform streamer.shape_rollup(rollup, definition || jsonb_strip_nulls(jsonb_build_object(
        'size', size, 'keys', keys, 'aggregates', nullif(aggregates, '{}'))), definition);
end $$;

COMMENT ON FUNCTION streamer.change_rollup(rollup regclass, size interval, keys text[], VARIADIC aggregates text[]) IS 'Gives a rollup another window, other keys or other aggregates, and counts all rows anew. What is not named stays.';

CREATE FUNCTION streamer.create_rollup(rollup text, source regclass, time_column text, size interval, keys text[], VARIADIC aggregates text[]) RETURNS regclass
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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
end $$;

COMMENT ON FUNCTION streamer.create_rollup(rollup text, source regclass, time_column text, size interval, keys text[], VARIADIC aggregates text[]) IS 'Makes a rollup of a table and counts its rows: per tumbling window of a time (of all times, where time_column and size are NULL) and per keys. Aggregates are written as name = sum(column) or name = sum(column) where condition, with count, sum, min, max or avg; any other name = expression is derived from the rollup''s other columns. Columns and conditions are SQL and run with the rights of whoever makes the rollup; functions and types other than PostgreSQL''s own need their schema.';

CREATE FUNCTION streamer.drop_rollup(rollup regclass) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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
end $$;

COMMENT ON FUNCTION streamer.drop_rollup(rollup regclass) IS 'Removes a rollup; its source stays as it is.';

CREATE FUNCTION streamer.is_balanced(expression text) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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
end $$;

CREATE FUNCTION streamer.latency(source regclass, size interval DEFAULT '00:00:10'::interval, time_column name DEFAULT NULL::name) RETURNS TABLE(window_start timestamp with time zone, events bigint, average_ms numeric, p50_ms numeric, p90_ms numeric, p99_ms numeric, max_ms numeric)
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET "TimeZone" TO 'UTC'
    AS $_$
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
        streamer.window_expression(time_name, time_type, size), $1, created, time_name);
end $_$;

COMMENT ON FUNCTION streamer.latency(source regclass, size interval, time_column name) IS 'How long the events of each window took until ingested_at, from produce_time (milliseconds since 1970) where the table has it, else from the time of the event; the last row, whose window_start is NULL, is of all. It reads all rows. Of records that came from old files it tells how old they were.';

CREATE FUNCTION streamer.rollup_body(rollup text, definition jsonb) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
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
end $_$;

CREATE FUNCTION streamer.rollup_columns(definition jsonb) RETURNS TABLE(place bigint, role text, name text, expression text, type text, is_boxed boolean, index_column text)
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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
$$;

CREATE FUNCTION streamer.rollup_definition(rollup regclass) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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
end $$;

CREATE FUNCTION streamer.shape_rollup(rollup regclass, definition jsonb, former jsonb DEFAULT NULL::jsonb) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET "TimeZone" TO 'UTC'
    AS $_$
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
end $_$;

CREATE FUNCTION streamer.time_column(source regclass) RETURNS name
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    with times as (
        select a.attname, array_position('{event_time,timestamp,time}', a.attname::text) as place
          from pg_attribute a
         where a.attrelid = source and a.attnum > 0 and not a.attisdropped and a.attname <> 'ingested_at'
           and a.atttypid in ('timestamptz'::regtype, 'timestamp'::regtype, 'date'::regtype)
    )
    select t.attname from times t where t.place is not null or (select count(*) = 1 from times) order by t.place limit 1
$$;

COMMENT ON FUNCTION streamer.time_column(source regclass) IS 'The column of a table that tells when an event came to be: event_time, timestamp, time, or the only time that there is besides ingested_at.';

CREATE FUNCTION streamer.type_of(expression text, source regclass) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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
end $$;

CREATE FUNCTION streamer.window_expression(column_name text, column_type regtype, size interval) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET "DateStyle" TO 'iso'
    SET "IntervalStyle" TO 'postgres'
    AS $_$
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
end $_$;

SET default_tablespace = '';

SET default_table_access_method = heap;

CREATE TABLE public.ad_events (
    user_id uuid NOT NULL,
    page_id uuid NOT NULL,
    ad_id uuid NOT NULL,
    ad_type text NOT NULL,
    event_type text NOT NULL,
    event_time_ns bigint NOT NULL,
    window_id bigint,
    ip_address inet,
    campaign_id uuid NOT NULL,
    produce_time bigint,
    event_time timestamp with time zone GENERATED ALWAYS AS (to_timestamp((((event_time_ns / 1000))::double precision / (1000000)::double precision))) STORED NOT NULL,
    batch_id bigint,
    ingested_at timestamp with time zone DEFAULT now(),
    CONSTRAINT ad_events_ad_type_check CHECK ((ad_type = ANY (ARRAY['image'::text, 'video'::text, 'carousel'::text, 'text'::text, 'story'::text, 'shopping'::text, 'collection'::text]))),
    CONSTRAINT ad_events_event_type_check CHECK ((event_type = ANY (ARRAY['view'::text, 'click'::text, 'purchase'::text])))
);

COMMENT ON TABLE public.ad_events IS 'What users did with the ads that they were shown. The events have no number of their own: a user does one thing with an ad at a time.';

COMMENT ON COLUMN public.ad_events.event_time_ns IS 'When it happened, in nanoseconds since 1970.';

COMMENT ON COLUMN public.ad_events.window_id IS 'Which ten seconds since 1970 it happened in, as its maker counts them.';

COMMENT ON COLUMN public.ad_events.produce_time IS 'When its maker sent it, in milliseconds since 1970.';

COMMENT ON COLUMN public.ad_events.event_time IS 'The same as a time, cut to microseconds.';

COMMENT ON COLUMN public.ad_events.batch_id IS 'The micro-batch (streamer.micro_batch) that brought the row, and so its file and offsets.';

COMMENT ON COLUMN public.ad_events.ingested_at IS 'When that micro-batch''s transaction began.';

CREATE TABLE public.ad_events_per_window (
    window_start timestamp with time zone NOT NULL,
    campaign_id uuid NOT NULL,
    views bigint DEFAULT 0 NOT NULL,
    clicks bigint DEFAULT 0 NOT NULL,
    purchases bigint DEFAULT 0 NOT NULL,
    events bigint DEFAULT 0 NOT NULL,
    last_produce_time bigint
)
WITH (fillfactor='50');

COMMENT ON TABLE public.ad_events_per_window IS 'What was done with the ads of each campaign, per ten seconds.';

COMMENT ON COLUMN public.ad_events_per_window.last_produce_time IS 'When the last of the events was sent, in milliseconds since 1970.';

CREATE VIEW public.campaign_performance AS
 SELECT c.campaign_id,
    c.views,
    c.clicks,
    c.purchases,
    round((c.clicks / NULLIF(c.views, (0)::numeric)), 4) AS ctr,
    round((c.purchases / NULLIF(c.clicks, (0)::numeric)), 4) AS conversion,
        CASE
            WHEN ((c.last_produce_time >= 0) AND (c.last_produce_time <= '253402300799999'::bigint)) THEN to_timestamp((((c.last_produce_time)::numeric / 1000.0))::double precision)
            ELSE NULL::timestamp with time zone
        END AS last_event
   FROM ( SELECT ad_events_per_window.campaign_id,
            sum(ad_events_per_window.views) AS views,
            sum(ad_events_per_window.clicks) AS clicks,
            sum(ad_events_per_window.purchases) AS purchases,
            max(ad_events_per_window.last_produce_time) AS last_produce_time
           FROM public.ad_events_per_window
          GROUP BY ad_events_per_window.campaign_id) c
  ORDER BY (c.clicks / NULLIF(c.views, (0)::numeric)) DESC NULLS LAST, c.campaign_id;

COMMENT ON VIEW public.campaign_performance IS 'Campaigns by their click-through rate (ctr, clicks per view); conversion is purchases per click.';

CREATE TABLE public.credit_flow (
    account_region text NOT NULL,
    transfers bigint DEFAULT 0 NOT NULL,
    total numeric DEFAULT 0 NOT NULL
)
WITH (fillfactor='50');

COMMENT ON TABLE public.credit_flow IS 'Transfers and their sum per region, since the beginning.';

CREATE TABLE public.emoji_reactions (
    user_id bigint NOT NULL,
    emoji_type text NOT NULL,
    "timestamp" timestamp with time zone NOT NULL,
    batch_id bigint,
    ingested_at timestamp with time zone DEFAULT now()
);

COMMENT ON TABLE public.emoji_reactions IS 'Reactions to a show. They have no number of their own: the same one of a user at the same microsecond is the same.';

COMMENT ON COLUMN public.emoji_reactions.emoji_type IS 'Which reaction, by its name: heart, joy, ...';

COMMENT ON COLUMN public.emoji_reactions."timestamp" IS 'When the user reacted.';

COMMENT ON COLUMN public.emoji_reactions.batch_id IS 'The micro-batch (streamer.micro_batch) that brought the row, and so its file and offsets.';

COMMENT ON COLUMN public.emoji_reactions.ingested_at IS 'When that micro-batch''s transaction began.';

CREATE TABLE public.emoji_reactions_per_minute (
    window_start timestamp with time zone NOT NULL,
    emoji_type text NOT NULL,
    reactions bigint DEFAULT 0 NOT NULL,
    scaled_count bigint GENERATED ALWAYS AS (GREATEST((reactions / 1000), (1)::bigint)) STORED
)
WITH (fillfactor='50');

COMMENT ON TABLE public.emoji_reactions_per_minute IS 'Reactions per minute and kind.';

COMMENT ON COLUMN public.emoji_reactions_per_minute.scaled_count IS 'Thousands of reactions, at least 1: how many to show on a screen.';

CREATE TABLE public.simulator_events_per_window (
    window_start timestamp with time zone NOT NULL,
    events bigint DEFAULT 0 NOT NULL,
    sum numeric DEFAULT 0 NOT NULL,
    min numeric,
    max numeric,
    average numeric GENERATED ALWAYS AS ((sum / (NULLIF(events, 0))::numeric)) STORED
)
WITH (fillfactor='50');

COMMENT ON TABLE public.simulator_events_per_window IS 'The wandering value per ten seconds.';

CREATE TABLE public.transfers_per_minute (
    window_start timestamp with time zone NOT NULL,
    account_region text NOT NULL,
    transfers bigint DEFAULT 0 NOT NULL,
    total numeric DEFAULT 0 NOT NULL,
    largest numeric
)
WITH (fillfactor='50');

COMMENT ON TABLE public.transfers_per_minute IS 'Transfers, their sum and the largest of them, per minute and region.';

CREATE TABLE public.user_events_per_minute (
    window_start timestamp with time zone NOT NULL,
    event_type text NOT NULL,
    category text,
    events bigint DEFAULT 0 NOT NULL,
    revenue numeric DEFAULT 0 NOT NULL
)
WITH (fillfactor='50');

COMMENT ON TABLE public.user_events_per_minute IS 'User events per minute, kind and category.';

COMMENT ON COLUMN public.user_events_per_minute.revenue IS 'The prices of what was purchased; 0 for all other kinds of events.';

CREATE VIEW public.events_per_second AS
 SELECT d.dataset,
    d.window_start,
    d.events,
    round((d.events / (d.seconds)::numeric), 3) AS per_second
   FROM ( SELECT 'user_events'::text AS dataset,
            user_events_per_minute.window_start,
            sum(user_events_per_minute.events) AS events,
            60 AS seconds
           FROM public.user_events_per_minute
          GROUP BY user_events_per_minute.window_start
        UNION ALL
         SELECT 'ad_events'::text,
            ad_events_per_window.window_start,
            sum(ad_events_per_window.events) AS sum,
            10
           FROM public.ad_events_per_window
          GROUP BY ad_events_per_window.window_start
        UNION ALL
         SELECT 'transfers'::text,
            transfers_per_minute.window_start,
            sum(transfers_per_minute.transfers) AS sum,
            60
           FROM public.transfers_per_minute
          GROUP BY transfers_per_minute.window_start
        UNION ALL
         SELECT 'emoji_reactions'::text,
            emoji_reactions_per_minute.window_start,
            sum(emoji_reactions_per_minute.reactions) AS sum,
            60
           FROM public.emoji_reactions_per_minute
          GROUP BY emoji_reactions_per_minute.window_start
        UNION ALL
         SELECT 'simulator_events'::text,
            simulator_events_per_window.window_start,
            simulator_events_per_window.events,
            10
           FROM public.simulator_events_per_window) d
  ORDER BY d.dataset, d.window_start;

COMMENT ON VIEW public.events_per_second IS 'How many events happened a second, by their own times, per dataset and window.';

CREATE TABLE public.gps_positions (
    device_id bigint NOT NULL,
    position_time timestamp with time zone NOT NULL,
    latitude numeric(8,6) NOT NULL,
    longitude numeric(9,6) NOT NULL,
    speed numeric(4,1),
    batch_id bigint,
    ingested_at timestamp with time zone DEFAULT now(),
    CONSTRAINT gps_positions_latitude_check CHECK (((latitude >= ('-90'::integer)::numeric) AND (latitude <= (90)::numeric))),
    CONSTRAINT gps_positions_longitude_check CHECK (((longitude >= ('-180'::integer)::numeric) AND (longitude <= (180)::numeric))),
    CONSTRAINT gps_positions_speed_check CHECK ((speed >= (0)::numeric))
);

COMMENT ON TABLE public.gps_positions IS 'Where vehicles were, and when.';

COMMENT ON COLUMN public.gps_positions.latitude IS 'In degrees, north positive.';

COMMENT ON COLUMN public.gps_positions.longitude IS 'In degrees, east positive.';

COMMENT ON COLUMN public.gps_positions.speed IS 'In kilometres per hour.';

COMMENT ON COLUMN public.gps_positions.batch_id IS 'The micro-batch (streamer.micro_batch) that brought the row, and so its file and offsets.';

COMMENT ON COLUMN public.gps_positions.ingested_at IS 'When that micro-batch''s transaction began.';

CREATE VIEW public.highest_volume AS
 SELECT transfers_per_minute.account_region,
    (sum(transfers_per_minute.transfers))::bigint AS transfers,
    sum(transfers_per_minute.total) AS total,
    max(transfers_per_minute.largest) AS largest
   FROM public.transfers_per_minute
  WHERE ((transfers_per_minute.window_start > (( SELECT max(n.window_start) AS max
           FROM public.transfers_per_minute n
          WHERE (n.window_start < 'infinity'::timestamp with time zone)) - '00:10:00'::interval)) AND (transfers_per_minute.window_start < 'infinity'::timestamp with time zone))
  GROUP BY transfers_per_minute.account_region
  ORDER BY (sum(transfers_per_minute.total)) DESC, transfers_per_minute.account_region;

COMMENT ON VIEW public.highest_volume IS 'Regions by the sum of their transfers in the ten minutes up to the newest. For other minutes: select * from volume_by_region(60).';

CREATE TABLE public.pos_sales (
    sale_id uuid NOT NULL,
    store_id integer NOT NULL,
    till integer NOT NULL,
    sold_at timestamp with time zone NOT NULL,
    items integer NOT NULL,
    amount numeric(10,2) NOT NULL,
    batch_id bigint,
    ingested_at timestamp with time zone DEFAULT now(),
    CONSTRAINT pos_sales_items_check CHECK ((items > 0))
);

COMMENT ON TABLE public.pos_sales IS 'Sales at the tills of stores.';

COMMENT ON COLUMN public.pos_sales.till IS 'Counted from 1 in each store.';

COMMENT ON COLUMN public.pos_sales.items IS 'How many were bought.';

COMMENT ON COLUMN public.pos_sales.batch_id IS 'The micro-batch (streamer.micro_batch) that brought the row, and so its file and offsets.';

COMMENT ON COLUMN public.pos_sales.ingested_at IS 'When that micro-batch''s transaction began.';

CREATE TABLE public.simulator_events (
    "time" timestamp with time zone NOT NULL,
    value numeric(12,3) NOT NULL,
    batch_id bigint,
    ingested_at timestamp with time zone DEFAULT now()
);

COMMENT ON TABLE public.simulator_events IS 'A value that wanders in time. Two makers may tell of the same time, so the value belongs to the key.';

COMMENT ON COLUMN public.simulator_events.batch_id IS 'The micro-batch (streamer.micro_batch) that brought the row, and so its file and offsets.';

COMMENT ON COLUMN public.simulator_events.ingested_at IS 'When that micro-batch''s transaction began.';

CREATE TABLE public.transfers (
    transfer_id uuid NOT NULL,
    account_id integer NOT NULL,
    account_region text NOT NULL,
    transaction_value numeric(10,2) NOT NULL,
    event_time timestamp with time zone NOT NULL,
    account_name text,
    counterparty text,
    batch_id bigint,
    ingested_at timestamp with time zone DEFAULT now(),
    CONSTRAINT transfers_account_id_check CHECK (((account_id >= 1000000) AND (account_id <= 9999999))),
    CONSTRAINT transfers_transaction_value_check CHECK (((transaction_value >= 0.01) AND (transaction_value <= 10000.00)))
);

COMMENT ON TABLE public.transfers IS 'Bank transfers: who moved how much, and where the account is.';

COMMENT ON COLUMN public.transfers.account_id IS 'A number of seven digits.';

COMMENT ON COLUMN public.transfers.account_name IS 'Who holds the account; only where the file tells people''s names.';

COMMENT ON COLUMN public.transfers.counterparty IS 'Who is on the other side; likewise.';

COMMENT ON COLUMN public.transfers.batch_id IS 'The micro-batch (streamer.micro_batch) that brought the row, and so its file and offsets.';

COMMENT ON COLUMN public.transfers.ingested_at IS 'When that micro-batch''s transaction began.';

CREATE TABLE public.user_events (
    event_id uuid NOT NULL,
    user_id bigint NOT NULL,
    product_id bigint NOT NULL,
    event_type text NOT NULL,
    event_time timestamp with time zone NOT NULL,
    price numeric(10,2),
    category text,
    user_device text,
    user_location text,
    batch_id bigint,
    ingested_at timestamp with time zone DEFAULT now()
);

COMMENT ON TABLE public.user_events IS 'What users did in the shop: views, carts, purchases.';

COMMENT ON COLUMN public.user_events.batch_id IS 'The micro-batch (streamer.micro_batch) that brought the row, and so its file and offsets.';

COMMENT ON COLUMN public.user_events.ingested_at IS 'When that micro-batch''s transaction began.';

CREATE VIEW public.latency_per_window AS
 SELECT d.dataset,
    l.window_start,
    l.events,
    l.average_ms,
    l.p50_ms,
    l.p90_ms,
    l.p99_ms,
    l.max_ms
   FROM (( SELECT 'user_events'::text AS dataset,
            'public.user_events'::regclass AS source
        UNION ALL
         SELECT 'ad_events'::text,
            'public.ad_events'::regclass AS regclass
        UNION ALL
         SELECT 'transfers'::text,
            'public.transfers'::regclass AS regclass
        UNION ALL
         SELECT 'gps_positions'::text,
            'public.gps_positions'::regclass AS regclass
        UNION ALL
         SELECT 'pos_sales'::text,
            'public.pos_sales'::regclass AS regclass
        UNION ALL
         SELECT 'emoji_reactions'::text,
            'public.emoji_reactions'::regclass AS regclass
        UNION ALL
         SELECT 'simulator_events'::text,
            'public.simulator_events'::regclass AS regclass) d
     CROSS JOIN LATERAL streamer.latency(d.source) l(window_start, events, average_ms, p50_ms, p90_ms, p99_ms, max_ms))
  WHERE (l.window_start IS NOT NULL);

COMMENT ON VIEW public.latency_per_window IS 'How long events took until ingested_at, in milliseconds, per dataset and ten seconds of event time. Other windows, and other tables: select * from streamer.latency(''user_events'', ''1 minute'').';

CREATE VIEW public.purchase_funnel AS
 SELECT c.category,
    c.views,
    c.carts,
    c.purchases,
    round((c.carts / NULLIF(c.views, (0)::numeric)), 4) AS views_to_carts,
    round((c.purchases / NULLIF(c.carts, (0)::numeric)), 4) AS carts_to_purchases,
    round((c.purchases / NULLIF(c.views, (0)::numeric)), 4) AS views_to_purchases,
    c.revenue
   FROM ( SELECT user_events_per_minute.category,
            COALESCE(sum(user_events_per_minute.events) FILTER (WHERE (user_events_per_minute.event_type = 'view'::text)), (0)::numeric) AS views,
            COALESCE(sum(user_events_per_minute.events) FILTER (WHERE (user_events_per_minute.event_type = 'add_to_cart'::text)), (0)::numeric) AS carts,
            COALESCE(sum(user_events_per_minute.events) FILTER (WHERE (user_events_per_minute.event_type = 'purchase'::text)), (0)::numeric) AS purchases,
            sum(user_events_per_minute.revenue) AS revenue
           FROM public.user_events_per_minute
          GROUP BY user_events_per_minute.category) c
  ORDER BY c.purchases DESC, c.category;

COMMENT ON VIEW public.purchase_funnel IS 'From views over carts to purchases, per category: how many, and which share goes on.';

CREATE VIEW public.simulator_events_sliding AS
 SELECT (simulator_events_per_window.window_start + '00:00:10'::interval) AS window_end,
    sum(simulator_events_per_window.events) OVER minute AS events,
    sum(simulator_events_per_window.sum) OVER minute AS sum,
    (sum(simulator_events_per_window.sum) OVER minute / NULLIF(sum(simulator_events_per_window.events) OVER minute, (0)::numeric)) AS average,
    min(simulator_events_per_window.min) OVER minute AS min,
    max(simulator_events_per_window.max) OVER minute AS max
   FROM public.simulator_events_per_window
  WHERE isfinite(simulator_events_per_window.window_start)
  WINDOW minute AS (ORDER BY simulator_events_per_window.window_start RANGE BETWEEN '00:00:50'::interval PRECEDING AND CURRENT ROW);

COMMENT ON VIEW public.simulator_events_sliding IS 'The minute before each window_end, every ten seconds in which there was something: a sliding window over the tumbling windows of ten seconds.';

CREATE VIEW public.top_regions_by_average AS
 SELECT credit_flow.account_region,
    round((credit_flow.total / (NULLIF(credit_flow.transfers, 0))::numeric), 2) AS average,
    credit_flow.transfers,
    credit_flow.total
   FROM public.credit_flow
  ORDER BY (credit_flow.total / (NULLIF(credit_flow.transfers, 0))::numeric) DESC NULLS LAST, credit_flow.account_region
 LIMIT 3;

COMMENT ON VIEW public.top_regions_by_average IS 'The three regions with the highest average transfer.';

CREATE VIEW public.traffic_by_region AS
 SELECT rank() OVER (ORDER BY credit_flow.transfers DESC) AS place,
    credit_flow.account_region,
    credit_flow.transfers,
    round(((credit_flow.transfers)::numeric / sum(credit_flow.transfers) OVER ()), 4) AS share,
    credit_flow.total
   FROM public.credit_flow
  ORDER BY credit_flow.transfers DESC, credit_flow.account_region;

COMMENT ON VIEW public.traffic_by_region IS 'Regions by the number of their transfers, the highest first; share is of all transfers.';

CREATE VIEW public.user_events_per_day AS
 SELECT date_trunc('day'::text, user_events_per_minute.window_start, 'UTC'::text) AS window_start,
    user_events_per_minute.event_type,
    user_events_per_minute.category,
    (sum(user_events_per_minute.events))::bigint AS events,
    sum(user_events_per_minute.revenue) AS revenue
   FROM public.user_events_per_minute
  GROUP BY (date_trunc('day'::text, user_events_per_minute.window_start, 'UTC'::text)), user_events_per_minute.event_type, user_events_per_minute.category;

COMMENT ON VIEW public.user_events_per_day IS 'User events per day (UTC), kind and category.';

CREATE VIEW public.user_events_per_hour AS
 SELECT date_trunc('hour'::text, user_events_per_minute.window_start, 'UTC'::text) AS window_start,
    user_events_per_minute.event_type,
    user_events_per_minute.category,
    (sum(user_events_per_minute.events))::bigint AS events,
    sum(user_events_per_minute.revenue) AS revenue
   FROM public.user_events_per_minute
  GROUP BY (date_trunc('hour'::text, user_events_per_minute.window_start, 'UTC'::text)), user_events_per_minute.event_type, user_events_per_minute.category;

COMMENT ON VIEW public.user_events_per_hour IS 'User events per hour, kind and category.';

CREATE TABLE streamer.checkpoint (
    stream text NOT NULL,
    partition text NOT NULL,
    fingerprint jsonb,
    next_offset bigint NOT NULL,
    next_line bigint NOT NULL,
    records bigint NOT NULL,
    state text NOT NULL,
    refusal text,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    judged_records bigint DEFAULT 0 NOT NULL,
    judged_dead_letters bigint DEFAULT 0 NOT NULL,
    CONSTRAINT checkpoint_judged_check CHECK (((judged_records >= 0) AND (judged_dead_letters >= 0))),
    CONSTRAINT checkpoint_next_line_check CHECK ((next_line >= 1)),
    CONSTRAINT checkpoint_next_offset_check CHECK ((next_offset >= 0)),
    CONSTRAINT checkpoint_records_check CHECK ((records >= 0)),
    CONSTRAINT checkpoint_refusal_check CHECK (((state = ANY (ARRAY['refused'::text, 'stopped'::text])) = (refusal IS NOT NULL))),
    CONSTRAINT checkpoint_state_check CHECK ((state = ANY (ARRAY['reading'::text, 'done'::text, 'refused'::text, 'stopped'::text])))
)
WITH (fillfactor='70');

COMMENT ON TABLE streamer.checkpoint IS 'How far each partition (file) is committed. Moved by compare-and-set in the transaction that writes the rows.';

COMMENT ON COLUMN streamer.checkpoint.partition IS 'The file''s path below the data folder; #2, #3, ... when it was truncated or replaced under the same name.';

COMMENT ON COLUMN streamer.checkpoint.fingerprint IS 'Hashes of the file''s beginning and of the bytes before next_offset, and the size, inode and times it had then.';

COMMENT ON COLUMN streamer.checkpoint.next_offset IS 'The next byte to read: always the start of a record, or the end of the file.';

COMMENT ON COLUMN streamer.checkpoint.next_line IS 'The line number, from 1, that starts at next_offset.';

COMMENT ON COLUMN streamer.checkpoint.records IS 'Records taken so far: rows + duplicates + dead letters.';

COMMENT ON COLUMN streamer.checkpoint.state IS 'reading, done, refused (the file cannot be loaded), or stopped (it had more dead letters than max_dead_letters; its stream rests until streamer retry-file, or until the setting lets it pass).';

COMMENT ON COLUMN streamer.checkpoint.refusal IS 'Why a refused file cannot be loaded, or why a file has stopped its stream.';

COMMENT ON COLUMN streamer.checkpoint.judged_records IS 'Records taken since the file began or streamer retry-file was run: what a share in max_dead_letters is of.';

COMMENT ON COLUMN streamer.checkpoint.judged_dead_letters IS 'How many of those were refused: what max_dead_letters limits.';

CREATE TABLE streamer.dead_letter (
    dead_letter_id bigint NOT NULL,
    stream text NOT NULL,
    partition text NOT NULL,
    start_offset bigint NOT NULL,
    end_offset bigint NOT NULL,
    line bigint NOT NULL,
    raw bytea NOT NULL,
    columns text[] NOT NULL,
    reasons jsonb NOT NULL,
    batch_id bigint NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    resolved_at timestamp with time zone,
    resolution text,
    header bytea,
    CONSTRAINT dead_letter_offsets_check CHECK (((0 <= start_offset) AND (start_offset < end_offset))),
    CONSTRAINT dead_letter_resolution_check CHECK ((resolution = ANY (ARRAY['retried'::text, 'discarded'::text]))),
    CONSTRAINT dead_letter_resolved_check CHECK (((resolved_at IS NULL) = (resolution IS NULL)))
);

COMMENT ON TABLE streamer.dead_letter IS 'Records that could not become rows, kept whole with their place and every reason.';

COMMENT ON COLUMN streamer.dead_letter.line IS 'The line of the file, from 1, on which the record starts.';

COMMENT ON COLUMN streamer.dead_letter.raw IS 'The record''s bytes as they stand in the file, without the line end; at most the first 64 KiB. Bytes, because what was refused may be no text.';

COMMENT ON COLUMN streamer.dead_letter.columns IS 'The file''s header, to read the record by.';

COMMENT ON COLUMN streamer.dead_letter.reasons IS 'An array of {"column", "value", "sqlstate", "reason", "detail"}; column and value are null where the whole record is at fault, detail is there where PostgreSQL gave one.';

COMMENT ON COLUMN streamer.dead_letter.header IS 'The file''s header as it stands in the file, without a byte order mark and the line end. NULL in letters older than this column.';

ALTER TABLE streamer.dead_letter ALTER COLUMN dead_letter_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME streamer.dead_letter_dead_letter_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE VIEW streamer.dead_letter_reason AS
 SELECT l.stream,
    (r.reason ->> 'column'::text) AS "column",
    (r.reason ->> 'sqlstate'::text) AS sqlstate,
    (r.reason ->> 'reason'::text) AS reason,
    count(*) AS letters,
    count(*) FILTER (WHERE (l.resolved_at IS NULL)) AS open,
    min(l.created_at) AS first,
    max(l.created_at) AS last
   FROM (streamer.dead_letter l
     CROSS JOIN LATERAL jsonb_array_elements(l.reasons) r(reason))
  GROUP BY l.stream, (r.reason ->> 'column'::text), (r.reason ->> 'sqlstate'::text), (r.reason ->> 'reason'::text)
  ORDER BY (count(*) FILTER (WHERE (l.resolved_at IS NULL))) DESC, (count(*)) DESC;

COMMENT ON VIEW streamer.dead_letter_reason IS 'Why records were refused, and how often; a letter with several reasons counts for each. open: neither retried nor discarded.';

CREATE TABLE streamer.micro_batch (
    batch_id bigint NOT NULL,
    stream text NOT NULL,
    partition text NOT NULL,
    start_offset bigint NOT NULL,
    end_offset bigint NOT NULL,
    records bigint NOT NULL,
    rows bigint NOT NULL,
    duplicates bigint NOT NULL,
    dead_letters bigint NOT NULL,
    path text NOT NULL,
    started_at timestamp with time zone DEFAULT now() NOT NULL,
    written_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT micro_batch_offsets_check CHECK (((0 <= start_offset) AND (start_offset <= end_offset))),
    CONSTRAINT micro_batch_path_check CHECK ((path = ANY (ARRAY['direct'::text, 'filtered'::text, 'careful'::text, 'retry'::text]))),
    CONSTRAINT micro_batch_records_check CHECK ((records = ((rows + duplicates) + dead_letters)))
);

COMMENT ON TABLE streamer.micro_batch IS 'What one transaction took from one partition. A row''s batch_id leads here, and so to its file and offsets.';

COMMENT ON COLUMN streamer.micro_batch.end_offset IS 'One past the last byte taken.';

COMMENT ON COLUMN streamer.micro_batch.dead_letters IS 'Records refused; negative where path is retry: so many letters of earlier micro-batches became rows or duplicates, and the sums over a file stay true.';

COMMENT ON COLUMN streamer.micro_batch.path IS 'direct: copied straight in. filtered: existing keys looked up first. careful: split until each refused record stood alone. retry: dead letters loaded later (records 0: they were counted when they were read).';

COMMENT ON COLUMN streamer.micro_batch.started_at IS 'When the transaction began.';

COMMENT ON COLUMN streamer.micro_batch.written_at IS 'When its rows were written, just before the commit.';

ALTER TABLE streamer.micro_batch ALTER COLUMN batch_id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME streamer.micro_batch_batch_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE VIEW streamer.pending_file AS
 SELECT checkpoint.stream,
    checkpoint.partition,
    checkpoint.state,
    checkpoint.next_offset,
    ((((checkpoint.fingerprint -> 'stat'::text) ->> 'size'::text))::bigint - checkpoint.next_offset) AS lag_bytes,
    checkpoint.records,
    checkpoint.updated_at,
    (now() - checkpoint.updated_at) AS since,
    checkpoint.refusal
   FROM streamer.checkpoint
  WHERE (checkpoint.state <> 'done'::text)
  ORDER BY checkpoint.stream, checkpoint.partition;

COMMENT ON VIEW streamer.pending_file IS 'Files that are not read to their end, as far as the database knows; streamer status also knows those that nobody has opened.';

COMMENT ON COLUMN streamer.pending_file.lag_bytes IS 'Bytes to read, by the file''s size when its last micro-batch was committed; NULL where the file was changing.';

CREATE VIEW streamer.rollup AS
 SELECT r.rollup,
    (r.definition ->> 'source'::text) AS source,
    (r.definition ->> 'time'::text) AS time_column,
    ((r.definition ->> 'size'::text))::interval AS window_size,
    ARRAY( SELECT jsonb_array_elements_text((r.definition -> 'keys'::text)) AS jsonb_array_elements_text) AS keys,
    ARRAY( SELECT jsonb_array_elements_text((r.definition -> 'aggregates'::text)) AS jsonb_array_elements_text) AS aggregates
   FROM ( SELECT (c.oid)::regclass AS rollup,
                CASE
                    WHEN (d.description ~~ '{%'::text) THEN (d.description)::jsonb
                    ELSE NULL::jsonb
                END AS definition
           FROM ((pg_class c
             JOIN pg_proc p ON (((p.pronamespace = c.relnamespace) AND (p.proname = ((c.relname)::text || '_rollup'::text)) AND (p.proowner = c.relowner) AND (p.pronargs = 0) AND (p.prorettype = ('trigger'::regtype)::oid))))
             JOIN pg_description d ON (((d.objoid = p.oid) AND (d.classoid = ('pg_proc'::regclass)::oid))))
          WHERE (c.relkind = 'r'::"char")) r
  WHERE (r.definition IS NOT NULL);

COMMENT ON VIEW streamer.rollup IS 'The rollups that there are, and what they were made with.';

CREATE TABLE streamer.schema_history (
    version integer NOT NULL,
    name character varying(255),
    applied_on character varying(255),
    checksum character varying(255)
);

INSERT INTO public.ad_events VALUES
	('60ca4863-a133-403a-9957-4f0e31d0a3ba', '49e48883-8225-47fa-ab5b-7b2232c8c221', '370f0640-5b89-40aa-90d5-768808e4f19b', 'carousel', 'view', 1772370242938297707, 177237024, '33.96.154.239', 'b77bdfbd-27b8-4102-aed8-692a94c524ff', 1772370242960, DEFAULT, 1, '2026-11-30 08:03:00.988016+00'),
	('ba784cac-46c1-4137-84a0-85ae1c972a52', '6b216074-ebaa-463b-9fef-b8c763e90c1a', '105fd504-fae4-47dc-9956-6a5d095221b4', 'image', 'view', 1772370388715493012, 177237038, '61.219.44.200', 'dc2de668-c220-4ef2-a415-a18c6f4519af', 1772370388734, DEFAULT, 1, '2026-11-30 08:03:00.988016+00'),
	('1e9d37e0-ec4b-41d3-942f-ae108d8130ed', 'a8f8380f-0135-4fad-8c40-d10976141747', '4bd61d73-3256-4362-8516-9cff6873d8cc', 'video', 'view', 1772370496561226780, 177237049, '86.25.97.178', '0021afe0-cd6e-4b52-87eb-1b3748370f18', 1772370496564, DEFAULT, 1, '2026-11-30 08:03:00.988016+00'),
	('dfc65607-b474-4589-8d87-f8d752a8450e', 'cba079c2-b2c8-4339-99f3-a8494cbc24b7', '50f8293f-9db8-422f-8cbb-e0ecc1e9c7bf', 'image', 'view', 1772370640502724574, 177237064, '40.210.170.75', '2292b03a-f16b-48f8-9e16-2378fd476b20', 1772370640514, DEFAULT, 1, '2026-11-30 08:03:00.988016+00'),
	('55bdd659-e3f9-4532-ae8d-b2d40eeaf47f', '62c7974e-3b16-4258-afd2-74a923325d4d', '71e52026-fd5c-445c-afa9-b064b510e5b5', 'text', 'view', 1772370768657360576, 177237076, '61.120.26.42', '478fc565-f860-43e9-9a8b-78afc6657206', 1772370768706, DEFAULT, 1, '2026-11-30 08:03:00.988016+00'),
	('59c23ac6-864d-4a09-8cbe-c1ba364e2182', 'cba079c2-b2c8-4339-99f3-a8494cbc24b7', 'afe67b12-d881-4968-884b-deec237cdd8c', 'image', 'view', 1772370863358607531, 177237086, '47.176.161.168', '478fc565-f860-43e9-9a8b-78afc6657206', 1772370863372, DEFAULT, 1, '2026-11-30 08:03:00.988016+00'),
	('838157a8-3e85-4242-ae3e-5621d7bd6fd3', '3c411ccf-2fec-40a6-83ee-2351141a5cca', 'b4e2bc5d-9dc2-4a91-9218-2079163efe39', 'story', 'view', 1772371087889595959, 177237108, '108.5.217.209', 'b77bdfbd-27b8-4102-aed8-692a94c524ff', 1772371087925, DEFAULT, 1, '2026-11-30 08:03:00.988016+00'),
	('2f5540fa-9a53-44ac-a3a1-8ae948c4cd24', 'e1fa30b0-b183-4dcb-a9bc-2effc363a5ac', '0230f910-175a-4402-a785-79dab05dcfc8', 'text', 'view', 1772371124179248811, 177237112, '111.235.87.217', 'b9404b68-4b31-451c-b9d4-97f1e13c0936', 1772371124215, DEFAULT, 1, '2026-11-30 08:03:00.988016+00'),
	('d0963a65-02b8-4e37-af06-fba01c06da4f', '41794be9-dacb-4d8f-8aa7-bb2e280279c8', 'bcfca0fc-f083-4859-8106-0b06e35ea3cd', 'image', 'view', 1772371344326692378, 177237134, '63.243.127.102', '27443820-a3d3-4494-8d8a-ac2f7c5eab43', 1772371344357, DEFAULT, 1, '2026-11-30 08:03:00.988016+00'),
	('d528c19e-1d73-44d8-bdca-a3e3add129d5', '84bf18c4-7a3c-404d-93b0-cebc7fe0e396', '884142b8-42c2-4d8c-8e3d-d9c387c0d0b9', 'carousel', 'view', 1772371441351544060, 177237144, '119.155.251.78', '2292b03a-f16b-48f8-9e16-2378fd476b20', 1772371441377, DEFAULT, 1, '2026-11-30 08:03:00.988016+00'),
	('118d8c06-df39-4ad3-8d76-ecedae898d88', '005ffc9a-65e0-437e-b19d-b3bee7179bba', '50760e6a-4f0c-45e2-bfe3-b8fd1f35ebd8', 'video', 'view', 1772371560117368973, 177237156, '74.9.109.196', 'b9404b68-4b31-451c-b9d4-97f1e13c0936', 1772371560119, DEFAULT, 1, '2026-11-30 08:03:00.988016+00'),
	('2adb36ed-0d9a-4bf8-b514-56c173216d06', '77333945-2377-47bc-a516-030671563e27', '9609b376-e3e5-472a-b8ba-d8237692706b', 'story', 'view', 1772371724000328987, 177237172, '60.128.79.156', '478fc565-f860-43e9-9a8b-78afc6657206', 1772371724043, DEFAULT, 1, '2026-11-30 08:03:00.988016+00'),
	('ec3ea865-ca27-49f4-8087-2657ede90888', '77333945-2377-47bc-a516-030671563e27', 'fe1c2784-47e5-4489-9b6e-70996e7539bb', 'image', 'view', 1772371934138441320, 177237193, '33.153.182.183', '9c8cf43d-0fef-40f7-a259-cf69a3154d26', 1772371934169, DEFAULT, 1, '2026-11-30 08:03:00.988016+00'),
	('689bf7f0-9217-4f1a-b029-1f1147c383e3', 'cdcc4f27-9ed9-4712-8b03-74c657d4e67a', '76cfae18-fbdf-47ce-b647-38b958a7b625', 'carousel', 'view', 1772372097314586522, 177237209, '27.102.77.85', 'b77bdfbd-27b8-4102-aed8-692a94c524ff', 1772372097340, DEFAULT, 1, '2026-11-30 08:03:00.988016+00'),
	('7fc6112a-b933-4a80-b74b-3d9813e2e82c', 'd146f9a8-3756-40f5-9b14-6ab0faec063c', 'd6dc8a8d-66d2-414f-9acc-128a4223574a', 'video', 'view', 1772372138470563599, 177237213, '102.252.199.124', '27443820-a3d3-4494-8d8a-ac2f7c5eab43', 1772372138490, DEFAULT, 1, '2026-11-30 08:03:00.988016+00'),
	('e31ecd4d-0422-4104-8ae7-485534bbbf7b', 'ced26040-8772-49b2-8d30-1cfbed29d1d4', '2e137f48-2302-4d6a-8ce6-3a62ac00c97a', 'carousel', 'view', 1772372411398925100, 177237241, '45.100.174.219', '2292b03a-f16b-48f8-9e16-2378fd476b20', 1772372411415, DEFAULT, 1, '2026-11-30 08:03:00.988016+00'),
	('a62790a3-e02e-40c1-9bc9-f9e0b3217b7f', '4bde00f7-40bc-44d2-865a-dafd702c9c15', 'bf59748b-1b3b-4ed7-a858-ed80ba7c26ba', 'image', 'view', 1772372436766308799, 177237243, '78.20.8.15', 'b9404b68-4b31-451c-b9d4-97f1e13c0936', 1772372436812, DEFAULT, 1, '2026-11-30 08:03:00.988016+00'),
	('39d7fcdb-3bb2-4755-9fec-305435a0367c', 'be07fd35-16ac-4d04-92b5-84a0988b31f2', '50ea9643-54b5-446a-990f-4615b6ce76e6', 'video', 'view', 1772372596889128566, 177237259, '39.203.195.211', '27443820-a3d3-4494-8d8a-ac2f7c5eab43', 1772372596895, DEFAULT, 1, '2026-11-30 08:03:00.988016+00'),
	('af8c3971-bbaa-4636-a6cc-51b07a17ea2e', '4e6630ef-6949-418e-83ec-fcaf60ad505b', 'ed297526-6c18-4070-9ae4-796fa773a09a', 'video', 'view', 1772372742257592217, 177237274, '35.120.193.233', 'dc2de668-c220-4ef2-a415-a18c6f4519af', 1772372742280, DEFAULT, 1, '2026-11-30 08:03:00.988016+00'),
	('06cafabc-451e-4517-bb63-99627e1f4905', 'dd7ccfcc-c445-4888-ad3c-76cc066021f6', '639c5493-94ca-4bec-89e0-d04f20bd7cfb', 'carousel', 'view', 1772372913816366510, 177237291, '58.239.224.249', '0021afe0-cd6e-4b52-87eb-1b3748370f18', 1772372913849, DEFAULT, 1, '2026-11-30 08:03:00.988016+00'),
	('c9200748-759a-4e8d-8f64-7677c512dbdf', '5876f47b-8142-4cf3-a9a1-53a7af99a340', '9a1606cb-aef7-4b04-b97d-6b5a9e6875f5', 'image', 'view', 1772373088808295329, 177237308, '31.16.61.218', '9c8cf43d-0fef-40f7-a259-cf69a3154d26', 1772373088854, DEFAULT, 1, '2026-11-30 08:03:00.988016+00'),
	('ad21e5a4-5b88-4174-9972-ab13fe607d6a', '33a0f4eb-952b-4c75-9ea8-8eaa6993ff65', 'f42fa39a-14ee-45ce-ac98-5abd99a0251d', 'video', 'view', 1772373399047421495, 177237339, '112.212.82.70', '9c8cf43d-0fef-40f7-a259-cf69a3154d26', 1772373399088, DEFAULT, 1, '2026-11-30 08:03:00.988016+00'),
	('c4ec806f-8c59-4de7-a88e-e90539bad4aa', 'b0efb995-9bca-41fe-91dd-5f73b2d73cff', '201c9c5b-b60b-4164-8bbc-cd9ca38d0ef9', 'carousel', 'view', 1772373558635277482, 177237355, '84.180.138.140', '9c8cf43d-0fef-40f7-a259-cf69a3154d26', 1772373558661, DEFAULT, 1, '2026-11-30 08:03:00.988016+00');

INSERT INTO public.ad_events_per_window VALUES
	('2026-03-01 13:04:00+00', 'b77bdfbd-27b8-4102-aed8-692a94c524ff', 1, 0, 0, 1, 1772370242960),
	('2026-03-01 13:06:20+00', 'dc2de668-c220-4ef2-a415-a18c6f4519af', 1, 0, 0, 1, 1772370388734),
	('2026-03-01 13:08:10+00', '0021afe0-cd6e-4b52-87eb-1b3748370f18', 1, 0, 0, 1, 1772370496564),
	('2026-03-01 13:10:40+00', '2292b03a-f16b-48f8-9e16-2378fd476b20', 1, 0, 0, 1, 1772370640514),
	('2026-03-01 13:12:40+00', '478fc565-f860-43e9-9a8b-78afc6657206', 1, 0, 0, 1, 1772370768706),
	('2026-03-01 13:14:20+00', '478fc565-f860-43e9-9a8b-78afc6657206', 1, 0, 0, 1, 1772370863372),
	('2026-03-01 13:18:00+00', 'b77bdfbd-27b8-4102-aed8-692a94c524ff', 1, 0, 0, 1, 1772371087925),
	('2026-03-01 13:18:40+00', 'b9404b68-4b31-451c-b9d4-97f1e13c0936', 1, 0, 0, 1, 1772371124215),
	('2026-03-01 13:22:20+00', '27443820-a3d3-4494-8d8a-ac2f7c5eab43', 1, 0, 0, 1, 1772371344357),
	('2026-03-01 13:24:00+00', '2292b03a-f16b-48f8-9e16-2378fd476b20', 1, 0, 0, 1, 1772371441377),
	('2026-03-01 13:26:00+00', 'b9404b68-4b31-451c-b9d4-97f1e13c0936', 1, 0, 0, 1, 1772371560119),
	('2026-03-01 13:28:40+00', '478fc565-f860-43e9-9a8b-78afc6657206', 1, 0, 0, 1, 1772371724043),
	('2026-03-01 13:32:10+00', '9c8cf43d-0fef-40f7-a259-cf69a3154d26', 1, 0, 0, 1, 1772371934169),
	('2026-03-01 13:34:50+00', 'b77bdfbd-27b8-4102-aed8-692a94c524ff', 1, 0, 0, 1, 1772372097340),
	('2026-03-01 13:35:30+00', '27443820-a3d3-4494-8d8a-ac2f7c5eab43', 1, 0, 0, 1, 1772372138490),
	('2026-03-01 13:40:10+00', '2292b03a-f16b-48f8-9e16-2378fd476b20', 1, 0, 0, 1, 1772372411415),
	('2026-03-01 13:40:30+00', 'b9404b68-4b31-451c-b9d4-97f1e13c0936', 1, 0, 0, 1, 1772372436812),
	('2026-03-01 13:43:10+00', '27443820-a3d3-4494-8d8a-ac2f7c5eab43', 1, 0, 0, 1, 1772372596895),
	('2026-03-01 13:45:40+00', 'dc2de668-c220-4ef2-a415-a18c6f4519af', 1, 0, 0, 1, 1772372742280),
	('2026-03-01 13:48:30+00', '0021afe0-cd6e-4b52-87eb-1b3748370f18', 1, 0, 0, 1, 1772372913849),
	('2026-03-01 13:51:20+00', '9c8cf43d-0fef-40f7-a259-cf69a3154d26', 1, 0, 0, 1, 1772373088854),
	('2026-03-01 13:56:30+00', '9c8cf43d-0fef-40f7-a259-cf69a3154d26', 1, 0, 0, 1, 1772373399088),
	('2026-03-01 13:59:10+00', '9c8cf43d-0fef-40f7-a259-cf69a3154d26', 1, 0, 0, 1, 1772373558661);

INSERT INTO public.credit_flow VALUES
	('African Free Trade Zone', 4, 9974.83),
	('East Asian', 4, 13726.71),
	('Eurasian', 4, 19100.82),
	('North American', 15, 30615.73),
	('South Asian', 2, 4805.66);

INSERT INTO public.transfers VALUES
	('019ca97c-3ffa-7476-9aa3-797ca704b4fb', 2815739, 'South Asian', 804.81, '2026-03-01 13:00:18.298279+00', NULL, NULL, 2, '2026-11-30 08:03:01.015859+00'),
	('019ca97e-a529-739d-8590-0d211bfe34e3', 2309540, 'African Free Trade Zone', 4993.18, '2026-03-01 13:02:55.273226+00', NULL, NULL, 2, '2026-11-30 08:03:01.015859+00'),
	('019ca980-0f56-7dba-8e54-df7c48720341', 4027977, 'African Free Trade Zone', 2056.26, '2026-03-01 13:04:27.990858+00', NULL, NULL, 2, '2026-11-30 08:03:01.015859+00'),
	('019ca981-84eb-7726-883f-c87bbe4ec94f', 2690329, 'North American', 177.54, '2026-03-01 13:06:03.627447+00', NULL, NULL, 2, '2026-11-30 08:03:01.015859+00'),
	('019ca983-776a-717c-9962-4a89407035d4', 8252852, 'North American', 23.94, '2026-03-01 13:08:11.242093+00', NULL, NULL, 2, '2026-11-30 08:03:01.015859+00'),
	('019ca985-01d7-78ac-83e1-7001e2d44ece', 5207873, 'North American', 100.92, '2026-03-01 13:09:52.215542+00', NULL, NULL, 2, '2026-11-30 08:03:01.015859+00'),
	('019ca988-505a-7031-82f5-242c528cac5a', 2999970, 'Eurasian', 5339.93, '2026-03-01 13:13:28.922012+00', NULL, NULL, 2, '2026-11-30 08:03:01.015859+00'),
	('019ca989-9ede-7106-84d6-d38e041a7766', 5996816, 'South Asian', 4000.85, '2026-03-01 13:14:54.558064+00', NULL, NULL, 2, '2026-11-30 08:03:01.015859+00'),
	('019ca98b-a222-7a8f-9548-6d816c234917', 6566446, 'East Asian', 2273.74, '2026-03-01 13:17:06.46666+00', NULL, NULL, 2, '2026-11-30 08:03:01.015859+00'),
	('019ca98d-ae56-7ad4-8785-67374903eb5d', 5530124, 'North American', 514.52, '2026-03-01 13:19:20.662677+00', NULL, NULL, 2, '2026-11-30 08:03:01.015859+00'),
	('019ca98e-dedf-786a-9ff1-66c8fd08c9bf', 5763329, 'North American', 9924.09, '2026-03-01 13:20:38.623526+00', NULL, NULL, 2, '2026-11-30 08:03:01.015859+00'),
	('019ca991-4876-70e1-8aef-ff0b94cc30b5', 6173110, 'Eurasian', 3233.20, '2026-03-01 13:23:16.726055+00', NULL, NULL, 2, '2026-11-30 08:03:01.015859+00'),
	('019ca992-9c48-7076-99a0-4e85b3691a28', 3537448, 'North American', 42.45, '2026-03-01 13:24:43.720029+00', NULL, NULL, 2, '2026-11-30 08:03:01.015859+00'),
	('019ca993-c1d3-7978-880f-a5662b9b205d', 1391370, 'North American', 647.86, '2026-03-01 13:25:58.867592+00', NULL, NULL, 2, '2026-11-30 08:03:01.015859+00'),
	('019ca996-3a22-7a8f-9afe-9fa714ee78fe', 4377134, 'North American', 468.53, '2026-03-01 13:28:40.73866+00', NULL, NULL, 2, '2026-11-30 08:03:01.015859+00'),
	('019ca998-1d83-789f-950d-ee105f78cdb0', 6157586, 'Eurasian', 2905.32, '2026-03-01 13:30:44.483539+00', NULL, NULL, 2, '2026-11-30 08:03:01.015859+00'),
	('019ca99a-8826-733f-9ca3-922d4467c7e8', 7570542, 'North American', 1577.38, '2026-03-01 13:33:22.854203+00', NULL, NULL, 2, '2026-11-30 08:03:01.015859+00'),
	('019ca99c-40b5-7f95-8657-7c815b9f69db', 5078110, 'North American', 9182.24, '2026-03-01 13:35:15.637974+00', NULL, NULL, 2, '2026-11-30 08:03:01.015859+00'),
	('019ca99e-2b85-7b91-86d8-e598c0e4ddfc', 2650321, 'North American', 3413.24, '2026-03-01 13:37:21.285723+00', NULL, NULL, 2, '2026-11-30 08:03:01.015859+00'),
	('019ca99f-9e81-7693-8b93-e02f17fa1667', 6194857, 'East Asian', 102.38, '2026-03-01 13:38:56.257411+00', NULL, NULL, 2, '2026-11-30 08:03:01.015859+00'),
	('019ca9a1-5954-7f1a-8082-aea1b4cf3c46', 6805734, 'East Asian', 6469.70, '2026-03-01 13:40:49.620944+00', NULL, NULL, 2, '2026-11-30 08:03:01.015859+00'),
	('019ca9a2-07c7-78a3-917c-fe8640b335ad', 4445976, 'North American', 989.45, '2026-03-01 13:41:34.27954+00', NULL, NULL, 2, '2026-11-30 08:03:01.015859+00'),
	('019ca9a5-36de-73ca-9f3e-72aad3b601e4', 1246416, 'African Free Trade Zone', 2861.98, '2026-03-01 13:45:02.942237+00', NULL, NULL, 2, '2026-11-30 08:03:01.015859+00'),
	('019ca9a6-8d6a-7558-8bdf-2520da255ed2', 2781194, 'North American', 1850.80, '2026-03-01 13:46:30.634334+00', NULL, NULL, 2, '2026-11-30 08:03:01.015859+00'),
	('019ca9a7-8f50-7f60-8490-80819faabeb3', 7018909, 'North American', 1341.85, '2026-03-01 13:47:36.656961+00', NULL, NULL, 2, '2026-11-30 08:03:01.015859+00'),
	('019ca9ac-8096-7cc8-9b10-e6c364d6600c', 5159391, 'African Free Trade Zone', 63.41, '2026-03-01 13:53:00.566799+00', NULL, NULL, 2, '2026-11-30 08:03:01.015859+00'),
	('019ca9ae-30b6-7200-93c2-09cc1a64e757', 7781558, 'North American', 360.92, '2026-03-01 13:54:51.190125+00', NULL, NULL, 2, '2026-11-30 08:03:01.015859+00'),
	('019ca9af-948a-71e7-93e2-3349ca877dda', 6291844, 'Eurasian', 7622.37, '2026-03-01 13:56:22.282119+00', NULL, NULL, 2, '2026-11-30 08:03:01.015859+00'),
	('019ca9b2-1458-71ef-92a4-ff78f2680839', 8929824, 'East Asian', 4880.89, '2026-03-01 13:59:06.072121+00', NULL, NULL, 2, '2026-11-30 08:03:01.015859+00');

INSERT INTO public.transfers_per_minute VALUES
	('2026-03-01 13:00:00+00', 'South Asian', 1, 804.81, 804.81),
	('2026-03-01 13:02:00+00', 'African Free Trade Zone', 1, 4993.18, 4993.18),
	('2026-03-01 13:04:00+00', 'African Free Trade Zone', 1, 2056.26, 2056.26),
	('2026-03-01 13:06:00+00', 'North American', 1, 177.54, 177.54),
	('2026-03-01 13:08:00+00', 'North American', 1, 23.94, 23.94),
	('2026-03-01 13:09:00+00', 'North American', 1, 100.92, 100.92),
	('2026-03-01 13:13:00+00', 'Eurasian', 1, 5339.93, 5339.93),
	('2026-03-01 13:14:00+00', 'South Asian', 1, 4000.85, 4000.85),
	('2026-03-01 13:17:00+00', 'East Asian', 1, 2273.74, 2273.74),
	('2026-03-01 13:19:00+00', 'North American', 1, 514.52, 514.52),
	('2026-03-01 13:20:00+00', 'North American', 1, 9924.09, 9924.09),
	('2026-03-01 13:23:00+00', 'Eurasian', 1, 3233.20, 3233.20),
	('2026-03-01 13:24:00+00', 'North American', 1, 42.45, 42.45),
	('2026-03-01 13:25:00+00', 'North American', 1, 647.86, 647.86),
	('2026-03-01 13:28:00+00', 'North American', 1, 468.53, 468.53),
	('2026-03-01 13:30:00+00', 'Eurasian', 1, 2905.32, 2905.32),
	('2026-03-01 13:33:00+00', 'North American', 1, 1577.38, 1577.38),
	('2026-03-01 13:35:00+00', 'North American', 1, 9182.24, 9182.24),
	('2026-03-01 13:37:00+00', 'North American', 1, 3413.24, 3413.24),
	('2026-03-01 13:38:00+00', 'East Asian', 1, 102.38, 102.38),
	('2026-03-01 13:40:00+00', 'East Asian', 1, 6469.70, 6469.70),
	('2026-03-01 13:41:00+00', 'North American', 1, 989.45, 989.45),
	('2026-03-01 13:45:00+00', 'African Free Trade Zone', 1, 2861.98, 2861.98),
	('2026-03-01 13:46:00+00', 'North American', 1, 1850.80, 1850.80),
	('2026-03-01 13:47:00+00', 'North American', 1, 1341.85, 1341.85),
	('2026-03-01 13:53:00+00', 'African Free Trade Zone', 1, 63.41, 63.41),
	('2026-03-01 13:54:00+00', 'North American', 1, 360.92, 360.92),
	('2026-03-01 13:56:00+00', 'Eurasian', 1, 7622.37, 7622.37),
	('2026-03-01 13:59:00+00', 'East Asian', 1, 4880.89, 4880.89);

INSERT INTO public.user_events VALUES
	('019ca97c-10cf-7b58-8704-b4fb8c6101a8', 6780, 1021, 'view', '2026-03-01 13:00:06.223709+00', 4.99, 'Books', 'Mac', 'Olsonborough, Australia', 3, '2026-11-30 08:03:01.044833+00'),
	('019ca97f-3adc-72a7-832e-c5bcbabb71c4', 7488, 629, 'view', '2026-03-01 13:03:33.596166+00', 87.99, 'Beauty', 'iPhone', 'New Vivianne Dareshire', 3, '2026-11-30 08:03:01.044833+00'),
	('019ca981-1731-7e1c-9dde-d88accb6f6b5', 18953, 1797, 'view', '2026-03-01 13:05:35.537882+00', 49.00, 'Beauty', 'iPhone', 'Groß Kochfurt', 3, '2026-11-30 08:03:01.044833+00'),
	('019ca982-a235-7a83-82d4-4ecec708b485', 6780, 1021, 'add_to_cart', '2026-03-01 13:07:16.661657+00', 4.99, 'Books', 'Mac', 'Olsonborough, Australia', 3, '2026-11-30 08:03:01.044833+00'),
	('019ca985-1d17-7824-928c-ac5ac2d14073', 17878, 862, 'add_to_cart', '2026-03-01 13:09:59.191509+00', 150.50, 'Clothing, Shoes & Jewelry', 'Android phone', 'East Oliver Hahnmouth, GA', 3, '2026-11-30 08:03:01.044833+00'),
	('019ca986-17fa-78c4-841a-7766df9ff8ab', 7488, 629, 'add_to_cart', '2026-03-01 13:11:03.418548+00', 87.99, 'Beauty', 'iPhone', 'New Vivianne Dareshire', 3, '2026-11-30 08:03:01.044833+00'),
	('019ca987-9a6d-7feb-8c23-49179266a644', 7171, 77, 'view', '2026-03-01 13:12:42.349995+00', 24.49, 'Beauty', 'iPhone', 'Schmidt, France', 3, '2026-11-30 08:03:01.044833+00'),
	('019ca987-f581-7bb2-8785-67374903eb5d', 7171, 77, 'add_to_wishlist', '2026-03-01 13:13:05.665731+00', 24.49, 'Beauty', 'iPhone', 'Schmidt, France', 3, '2026-11-30 08:03:01.044833+00'),
	('019ca98a-132e-7bfb-9ff1-66c8fd08c9bf', 18638, 1390, 'view', '2026-03-01 13:15:24.334749+00', 242.99, 'Office', 'Android phone', 'Mathiasfort, NC', 3, '2026-11-30 08:03:01.044833+00'),
	('019ca98b-9ffd-7d74-9232-11c9aaefff0b', 17534, 729, 'view', '2026-03-01 13:17:05.917841+00', 45.00, 'Toys & Games', 'Windows PC', 'Durganchester, United Kingdom', 3, '2026-11-30 08:03:01.044833+00'),
	('019ca98c-0b2a-7d85-8f12-76c16215ad82', 19735, 677, 'view', '2026-03-01 13:17:33.354845+00', 39.49, 'Books', 'iPhone', 'Krisfort', 3, '2026-11-30 08:03:01.044833+00'),
	('019ca98d-de41-73c6-92dd-17b211e2ec3d', 6780, 1021, 'remove_from_cart', '2026-03-01 13:19:32.929236+00', 4.99, 'Books', 'Mac', 'Olsonborough, Australia', 3, '2026-11-30 08:03:01.044833+00'),
	('019ca98f-f61d-7c5e-93dc-be324c385476', 14035, 397, 'view', '2026-03-01 13:21:50.109773+00', 30.99, 'Books', 'Android phone', 'Kshlerinburgh, FL', 3, '2026-11-30 08:03:01.044833+00'),
	('019ca990-475a-7e7a-8399-82567e182e28', 2977, 778, 'view', '2026-03-01 13:22:10.906905+00', 14.49, 'Home & Kitchen', 'Android phone', 'East Neal Corwinton, United Kingdom', 3, '2026-11-30 08:03:01.044833+00'),
	('019ca991-acb6-72b8-9c28-38226b435f39', 11380, 1103, 'view', '2026-03-01 13:23:42.39017+00', 61.95, 'Beauty', 'Windows PC', 'Johnstonfurt, AZ', 3, '2026-11-30 08:03:01.044833+00'),
	('019ca993-218c-7272-8db2-95b1c4033348', 17878, 862, 'purchase', '2026-03-01 13:25:17.836153+00', 150.50, 'Clothing, Shoes & Jewelry', 'Android phone', 'East Oliver Hahnmouth, GA', 3, '2026-11-30 08:03:01.044833+00'),
	('019ca994-86a9-7e66-9fe2-a6ded8fd99d9', 6070, 1495, 'view', '2026-03-01 13:26:49.2579+00', 9.99, 'Toys & Games', 'iPhone', 'Carterbury, NV', 3, '2026-11-30 08:03:01.044833+00'),
	('019ca995-be92-7483-8ded-ceb5c22a946c', 16324, 59, 'view', '2026-03-01 13:28:09.106282+00', 41.50, 'Books', 'Windows PC', 'Bergstromhaven, AR', 3, '2026-11-30 08:03:01.044833+00'),
	('019ca997-62f9-7cdd-9276-63b750486918', 7488, 629, 'purchase', '2026-03-01 13:29:56.729804+00', 87.99, 'Beauty', 'iPhone', 'New Vivianne Dareshire', 3, '2026-11-30 08:03:01.044833+00'),
	('019ca998-a977-7d8d-9cb1-193d1b2bbf48', 7803, 1507, 'view', '2026-03-01 13:31:20.311847+00', 85.99, 'Beauty', 'Smart TV', 'McDermottmouth, DE', 3, '2026-11-30 08:03:01.044833+00'),
	('019ca99a-6b53-7c00-9a25-5ed2b92e58f9', 11396, 688, 'view', '2026-03-01 13:33:15.47575+00', 27.50, 'Pet Supplies', 'Android phone', 'Padbergtown', 3, '2026-11-30 08:03:01.044833+00'),
	('019ca99b-1a7e-7da5-8490-80819faabeb3', 12411, 1870, 'view', '2026-03-01 13:34:00.318853+00', 67.95, 'Clothing, Shoes & Jewelry', 'Mac', 'Jacobifort, FL', 3, '2026-11-30 08:03:01.044833+00'),
	('019ca99c-8673-787e-897a-4b68bfe2e400', 14939, 260, 'view', '2026-03-01 13:35:33.491531+00', 93.49, 'Garden', 'Windows PC', 'Marianne Lærkestadt', 3, '2026-11-30 08:03:01.044833+00'),
	('019ca99e-86a9-75f3-95a6-94499b8a56cd', 12024, 772, 'view', '2026-03-01 13:37:44.617372+00', 297.50, 'Home & Kitchen', 'Android phone', 'Danielchester', 3, '2026-11-30 08:03:01.044833+00'),
	('019ca9a0-4459-745e-9906-c44f2df12041', 11169, 253, 'view', '2026-03-01 13:39:38.713273+00', 157.50, 'Clothing, Shoes & Jewelry', 'iPhone', 'Waterston, AZ', 3, '2026-11-30 08:03:01.044833+00'),
	('019ca9a1-0b2d-78e1-9968-2fa13126a872', 17366, 975, 'view', '2026-03-01 13:40:29.613555+00', 34.99, 'Beauty', 'Android phone', 'Chambon, France', 3, '2026-11-30 08:03:01.044833+00'),
	('019ca9a2-c3e5-7b89-98aa-1a3e88627bf1', 8028, 1021, 'view', '2026-03-01 13:42:22.437721+00', 4.99, 'Books', 'iPhone', 'Sheridanburgh, NJ', 3, '2026-11-30 08:03:01.044833+00'),
	('019ca9a5-7b5c-75eb-8135-82b5037cc01a', 5048, 1953, 'view', '2026-03-01 13:45:20.47637+00', 30.99, 'Electronics', 'iPhone', 'Hicklefort, Australia', 4, '2026-11-30 08:03:09.038969+00'),
	('019ca9a6-840a-76d0-9bd7-6c2b1a9b69b4', 13036, 640, 'view', '2026-03-01 13:46:28.234426+00', 13.50, 'Clothing, Shoes & Jewelry', 'iPhone', 'Hermannland, CO', 4, '2026-11-30 08:03:09.038969+00'),
	('019ca9a8-036e-714f-8221-2a95e1cdb3e2', 18559, 1729, 'view', '2026-03-01 13:48:06.382082+00', 19.99, 'Beauty', 'iPhone', 'Wardbury, OR', 4, '2026-11-30 08:03:09.038969+00'),
	('019ca9a9-7ddf-772f-8b23-e3c7b103ca89', 4124, 891, 'view', '2026-03-01 13:49:43.263449+00', 196.99, 'Home & Kitchen', 'Android phone', 'Lilianmouth, HI', 4, '2026-11-30 08:03:09.038969+00'),
	('019ca9aa-3c64-72c0-9a8b-a46eaa9523b3', 19444, 1193, 'view', '2026-03-01 13:50:32.036172+00', 15.95, 'Beauty', 'Android phone', 'Port Ashlee Sporertown, WY', 4, '2026-11-30 08:03:09.038969+00'),
	('019ca9ab-e300-7851-9d16-7e4d21e036da', 11528, 506, 'view', '2026-03-01 13:52:20.22452+00', 157.00, 'Clothing, Shoes & Jewelry', 'Android phone', 'Hellerbury, CO', 4, '2026-11-30 08:03:09.038969+00'),
	('019ca9ad-cba5-7a28-8e1f-8a1ebfb5d2ea', 8584, 1194, 'view', '2026-03-01 13:54:25.317635+00', 158.00, 'Garden', 'Android tablet', 'Farrellberg, Australia', 4, '2026-11-30 08:03:09.038969+00'),
	('019ca9ae-9c77-78b0-9ac3-98e4127d3443', 15803, 144, 'view', '2026-03-01 13:55:18.775543+00', 333.99, 'Sports & Outdoors', 'Android phone', 'Cleobury, United Kingdom', 4, '2026-11-30 08:03:09.038969+00'),
	('019ca9af-c242-724d-9447-e3b50e3b81e0', 11615, 1119, 'view', '2026-03-01 13:56:33.986144+00', 117.99, 'Clothing, Shoes & Jewelry', 'iPhone', 'Lueilwitzmouth, United Kingdom', 4, '2026-11-30 08:03:09.038969+00'),
	('019ca9b1-f4f3-79df-8d01-5a96ffbf9d1f', 16324, 59, 'remove_from_cart', '2026-03-01 13:58:58.035617+00', 41.50, 'Books', 'Windows PC', 'Bergstromhaven, AR', 4, '2026-11-30 08:03:09.038969+00'),
	('019ca985-a2f0-7883-9b6f-568607614e58', 4213, 116, 'view', '2026-03-01 13:10:33.456532+00', 18.00, 'Toys & Games', 'Android phone', 'Vandervortchester', 5, '2026-11-30 08:03:17.041649+00'),
	('019ca985-e961-7ec8-8235-22504581777e', 4213, 116, 'add_to_wishlist', '2026-03-01 13:10:51.489924+00', 18.00, 'Toys & Games', 'Android phone', 'Vandervortchester', 5, '2026-11-30 08:03:17.041649+00'),
	('019ca987-5a0e-7ec0-9cb7-b29659bbc32a', 5927, 874, 'view', '2026-03-01 13:12:25.870922+00', 87.00, 'Sports & Outdoors', 'iPhone', 'Kuphalstad, United Kingdom', 5, '2026-11-30 08:03:17.041649+00'),
	('019ca988-bfce-79b2-9b4a-35e73bd4f429', 5927, 874, 'add_to_cart', '2026-03-01 13:13:57.454606+00', 87.00, 'Sports & Outdoors', 'iPhone', 'Kuphalstad, United Kingdom', 5, '2026-11-30 08:03:17.041649+00'),
	('019ca989-b276-7b02-93af-4b8c6db29920', 3017, 548, 'view', '2026-03-01 13:14:59.574688+00', 46.99, 'Books', 'Android phone', 'Roweton, NH', 5, '2026-11-30 08:03:17.041649+00'),
	('019ca98a-5d05-7bd2-96a8-d87da20ac5f2', 5927, 874, 'remove_from_cart', '2026-03-01 13:15:43.237739+00', 87.00, 'Sports & Outdoors', 'iPhone', 'Kuphalstad, United Kingdom', 5, '2026-11-30 08:03:17.041649+00'),
	('019ca98b-4db2-7d7c-884a-b7d03fe53a6b', 7480, 845, 'view', '2026-03-01 13:16:44.850843+00', 14.00, 'Beauty', 'Android phone', 'Neveu, France', 5, '2026-11-30 08:03:17.041649+00'),
	('019ca98c-a04f-78a7-9f25-bb181fbccd20', 7480, 845, 'add_to_cart', '2026-03-01 13:18:11.535541+00', 14.00, 'Beauty', 'Android phone', 'Neveu, France', 5, '2026-11-30 08:03:17.041649+00'),
	('019ca98d-94d3-70f1-9f25-0dc420ddfc28', 15462, 1712, 'view', '2026-03-01 13:19:14.131059+00', 11.50, 'Grocery', 'iPhone', 'Aubry, France', 5, '2026-11-30 08:03:17.041649+00'),
	('019ca98e-9b14-7da1-91a3-e86b46b3f236', 5676, 841, 'view', '2026-03-01 13:20:21.268852+00', 202.95, 'Home & Kitchen', 'Android phone', 'Predovicland, KS', 5, '2026-11-30 08:03:17.041649+00'),
	('019ca98f-cce6-7a28-95fd-f937a08c0ad2', 7480, 845, 'purchase', '2026-03-01 13:21:39.558635+00', 14.00, 'Beauty', 'Android phone', 'Neveu, France', 5, '2026-11-30 08:03:17.041649+00'),
	('019ca991-b060-769b-942e-54118a9fff3f', 1967, 1101, 'view', '2026-03-01 13:23:43.328413+00', 44.50, 'Toys & Games', 'iPhone', 'Le Borgne, France', 5, '2026-11-30 08:03:17.041649+00'),
	('019ca992-ddfc-7483-8ebe-ae8ac824eb46', 1688, 1321, 'view', '2026-03-01 13:25:00.540282+00', 134.99, 'Electronics', 'Android phone', 'Trantowshire, TN', 5, '2026-11-30 08:03:17.041649+00');
INSERT INTO public.user_events VALUES
	('019ca993-071f-7ee1-8f1a-3e5f0c5468de', 17103, 635, 'view', '2026-03-01 13:25:11.07193+00', 851.95, 'Electronics', 'Android phone', 'Dejonland, CA', 5, '2026-11-30 08:03:17.041649+00'),
	('019ca994-a104-7bae-8f15-06e249bfe8d4', 8510, 1428, 'view', '2026-03-01 13:26:56.00473+00', 17.50, 'Grocery', 'Android phone', 'Streichfort, KS', 5, '2026-11-30 08:03:17.041649+00'),
	('019ca995-a9a6-7395-8b84-ce3b51a06d13', 9394, 75, 'view', '2026-03-01 13:28:03.750224+00', 93.00, 'Clothing, Shoes & Jewelry', 'Mac', 'Christiansenton, Australia', 5, '2026-11-30 08:03:17.041649+00'),
	('019ca996-69e0-7c18-81e5-2fa2012b8f4e', 3017, 548, 'add_to_cart', '2026-03-01 13:28:52.960756+00', 46.99, 'Books', 'Android phone', 'Roweton, NH', 5, '2026-11-30 08:03:17.041649+00'),
	('019ca998-098f-717c-99ae-7ce6d37adf0b', 3017, 548, 'remove_from_cart', '2026-03-01 13:30:39.375093+00', 46.99, 'Books', 'Android phone', 'Roweton, NH', 5, '2026-11-30 08:03:17.041649+00'),
	('019ca998-bf80-75d7-8483-799ede039d49', 10044, 1532, 'view', '2026-03-01 13:31:25.952365+00', 304.99, 'Electronics', 'iPhone', 'Port Carley Batzton, AZ', 5, '2026-11-30 08:03:17.041649+00'),
	('019ca999-f599-7db6-9afe-beccecd5efbe', 17007, 1159, 'view', '2026-03-01 13:32:45.337857+00', 272.50, 'Electronics', 'Android phone', 'Francois, France', 5, '2026-11-30 08:03:17.041649+00'),
	('019ca99b-4075-7f78-9fe1-8c79f7781ea6', 15248, 907, 'view', '2026-03-01 13:34:10.037967+00', 25.99, 'Home & Kitchen', 'iPhone', 'Schimmelfort, SD', 5, '2026-11-30 08:03:17.041649+00'),
	('019ca99c-6af9-71e7-8bcc-0f20208a1c1e', 1987, 1842, 'view', '2026-03-01 13:35:26.457119+00', 82.00, 'Electronics', 'Android phone', 'South Sigrid Gutmannville, AZ', 5, '2026-11-30 08:03:17.041649+00'),
	('019ca99d-4cf1-730e-90aa-b5a9b367e833', 5419, 1640, 'view', '2026-03-01 13:36:24.305191+00', 41.49, 'Clothing, Shoes & Jewelry', 'iPad', 'Mafaldaville, CT', 5, '2026-11-30 08:03:17.041649+00'),
	('019ca99e-ea85-72f1-92b5-ae5d3b853e45', 3657, 1905, 'view', '2026-03-01 13:38:10.181184+00', 229.50, 'Home & Kitchen', 'Windows PC', 'Beahanhaven, MT', 5, '2026-11-30 08:03:17.041649+00'),
	('019ca9a0-0ebd-7fae-9b36-4819bca8fcfd', 7101, 1604, 'view', '2026-03-01 13:39:24.98998+00', 1310.50, 'Electronics', 'Windows PC', 'Jameyshire', 5, '2026-11-30 08:03:17.041649+00'),
	('019ca9a0-60e5-762d-9a23-4694d4a19f84', 4721, 361, 'view', '2026-03-01 13:39:46.021386+00', 47.50, 'Toys & Games', 'Mac', 'Colliermouth, United Kingdom', 5, '2026-11-30 08:03:17.041649+00'),
	('019ca9a1-b3c2-7dbe-8673-74a3dade713f', 5731, 935, 'view', '2026-03-01 13:41:12.770859+00', 142.00, 'Home & Kitchen', 'Windows PC', 'New Concepcion Jacobsonburgh, MD', 5, '2026-11-30 08:03:17.041649+00'),
	('019ca9a2-7e40-78cc-93cf-6b01ad25bdf2', 13157, 1435, 'view', '2026-03-01 13:42:04.60855+00', 69.95, 'Music 12" Vinyl', 'Mac', 'Port Jacinthe Rueckerview, NM', 5, '2026-11-30 08:03:17.041649+00'),
	('019ca9a4-009d-74f9-9acb-b7e30bc76783', 9983, 787, 'view', '2026-03-01 13:43:43.517311+00', 32.95, 'Grocery', 'iPhone', 'Breanabury', 5, '2026-11-30 08:03:17.041649+00'),
	('019ca9a4-c744-7dae-9f0d-53d11b8cdd12', 10254, 238, 'view', '2026-03-01 13:44:34.372855+00', 1075.95, 'Electronics', 'Android tablet', 'South Dorris Lednermouth, ND', 5, '2026-11-30 08:03:17.041649+00');

INSERT INTO public.user_events_per_minute VALUES
	('2026-03-01 13:00:00+00', 'view', 'Books', 1, 0),
	('2026-03-01 13:03:00+00', 'view', 'Beauty', 1, 0),
	('2026-03-01 13:05:00+00', 'view', 'Beauty', 1, 0),
	('2026-03-01 13:07:00+00', 'add_to_cart', 'Books', 1, 0),
	('2026-03-01 13:09:00+00', 'add_to_cart', 'Clothing, Shoes & Jewelry', 1, 0),
	('2026-03-01 13:11:00+00', 'add_to_cart', 'Beauty', 1, 0),
	('2026-03-01 13:12:00+00', 'view', 'Beauty', 1, 0),
	('2026-03-01 13:13:00+00', 'add_to_wishlist', 'Beauty', 1, 0),
	('2026-03-01 13:15:00+00', 'view', 'Office', 1, 0),
	('2026-03-01 13:17:00+00', 'view', 'Books', 1, 0),
	('2026-03-01 13:17:00+00', 'view', 'Toys & Games', 1, 0),
	('2026-03-01 13:19:00+00', 'remove_from_cart', 'Books', 1, 0),
	('2026-03-01 13:21:00+00', 'view', 'Books', 1, 0),
	('2026-03-01 13:22:00+00', 'view', 'Home & Kitchen', 1, 0),
	('2026-03-01 13:23:00+00', 'view', 'Beauty', 1, 0),
	('2026-03-01 13:25:00+00', 'purchase', 'Clothing, Shoes & Jewelry', 1, 150.50),
	('2026-03-01 13:26:00+00', 'view', 'Toys & Games', 1, 0),
	('2026-03-01 13:28:00+00', 'view', 'Books', 1, 0),
	('2026-03-01 13:29:00+00', 'purchase', 'Beauty', 1, 87.99),
	('2026-03-01 13:31:00+00', 'view', 'Beauty', 1, 0),
	('2026-03-01 13:33:00+00', 'view', 'Pet Supplies', 1, 0),
	('2026-03-01 13:34:00+00', 'view', 'Clothing, Shoes & Jewelry', 1, 0),
	('2026-03-01 13:35:00+00', 'view', 'Garden', 1, 0),
	('2026-03-01 13:37:00+00', 'view', 'Home & Kitchen', 1, 0),
	('2026-03-01 13:39:00+00', 'view', 'Clothing, Shoes & Jewelry', 1, 0),
	('2026-03-01 13:40:00+00', 'view', 'Beauty', 1, 0),
	('2026-03-01 13:42:00+00', 'view', 'Books', 1, 0),
	('2026-03-01 13:45:00+00', 'view', 'Electronics', 1, 0),
	('2026-03-01 13:46:00+00', 'view', 'Clothing, Shoes & Jewelry', 1, 0),
	('2026-03-01 13:48:00+00', 'view', 'Beauty', 1, 0),
	('2026-03-01 13:49:00+00', 'view', 'Home & Kitchen', 1, 0),
	('2026-03-01 13:50:00+00', 'view', 'Beauty', 1, 0),
	('2026-03-01 13:52:00+00', 'view', 'Clothing, Shoes & Jewelry', 1, 0),
	('2026-03-01 13:54:00+00', 'view', 'Garden', 1, 0),
	('2026-03-01 13:55:00+00', 'view', 'Sports & Outdoors', 1, 0),
	('2026-03-01 13:56:00+00', 'view', 'Clothing, Shoes & Jewelry', 1, 0),
	('2026-03-01 13:58:00+00', 'remove_from_cart', 'Books', 1, 0),
	('2026-03-01 13:10:00+00', 'add_to_wishlist', 'Toys & Games', 1, 0),
	('2026-03-01 13:10:00+00', 'view', 'Toys & Games', 1, 0),
	('2026-03-01 13:12:00+00', 'view', 'Sports & Outdoors', 1, 0),
	('2026-03-01 13:13:00+00', 'add_to_cart', 'Sports & Outdoors', 1, 0),
	('2026-03-01 13:14:00+00', 'view', 'Books', 1, 0),
	('2026-03-01 13:15:00+00', 'remove_from_cart', 'Sports & Outdoors', 1, 0),
	('2026-03-01 13:16:00+00', 'view', 'Beauty', 1, 0),
	('2026-03-01 13:18:00+00', 'add_to_cart', 'Beauty', 1, 0),
	('2026-03-01 13:19:00+00', 'view', 'Grocery', 1, 0),
	('2026-03-01 13:20:00+00', 'view', 'Home & Kitchen', 1, 0),
	('2026-03-01 13:21:00+00', 'purchase', 'Beauty', 1, 14.00),
	('2026-03-01 13:23:00+00', 'view', 'Toys & Games', 1, 0),
	('2026-03-01 13:25:00+00', 'view', 'Electronics', 2, 0);
INSERT INTO public.user_events_per_minute VALUES
	('2026-03-01 13:26:00+00', 'view', 'Grocery', 1, 0),
	('2026-03-01 13:28:00+00', 'add_to_cart', 'Books', 1, 0),
	('2026-03-01 13:28:00+00', 'view', 'Clothing, Shoes & Jewelry', 1, 0),
	('2026-03-01 13:30:00+00', 'remove_from_cart', 'Books', 1, 0),
	('2026-03-01 13:31:00+00', 'view', 'Electronics', 1, 0),
	('2026-03-01 13:32:00+00', 'view', 'Electronics', 1, 0),
	('2026-03-01 13:34:00+00', 'view', 'Home & Kitchen', 1, 0),
	('2026-03-01 13:35:00+00', 'view', 'Electronics', 1, 0),
	('2026-03-01 13:36:00+00', 'view', 'Clothing, Shoes & Jewelry', 1, 0),
	('2026-03-01 13:38:00+00', 'view', 'Home & Kitchen', 1, 0),
	('2026-03-01 13:39:00+00', 'view', 'Electronics', 1, 0),
	('2026-03-01 13:39:00+00', 'view', 'Toys & Games', 1, 0),
	('2026-03-01 13:41:00+00', 'view', 'Home & Kitchen', 1, 0),
	('2026-03-01 13:42:00+00', 'view', 'Music 12" Vinyl', 1, 0),
	('2026-03-01 13:43:00+00', 'view', 'Grocery', 1, 0),
	('2026-03-01 13:44:00+00', 'view', 'Electronics', 1, 0);

INSERT INTO streamer.checkpoint VALUES
	('ad_events', 'ad_events_1.csv', '{"head": {"xxh3": "cb1690555ecf5826bea052458e8752bd", "bytes": 4096}, "stat": {"size": 5567, "inode": [65024, 10437058], "changed": [1796025770, 709182965], "modified": [1796025770, 657182967]}, "tail": {"xxh3": "3d4be411e33a96f8bf960c90a9bdb524", "bytes": 4096}}', 5567, 27, 25, 'done', NULL, '2026-11-30 08:03:00.988016+00', 25, 2),
	('transfers', 'transfers_1.csv', '{"head": {"xxh3": "10f077cfc305500227037be38936bf48", "bytes": 2921}, "stat": {"size": 2921, "inode": [65024, 10437059], "changed": [1796025770, 821182961], "modified": [1796025770, 781182962]}, "tail": {"xxh3": "10f077cfc305500227037be38936bf48", "bytes": 2921}}', 2921, 32, 30, 'done', NULL, '2026-11-30 08:03:01.015859+00', 30, 1),
	('user_events', 'user_events_1.csv', '{"head": {"xxh3": "7cc0815566a3d483dc00afcb15f7bbaa", "bytes": 4096}, "stat": {"size": 5357, "inode": [65024, 10437056], "changed": [1796025770, 585182970], "modified": [1796025770, 565182971]}, "tail": {"xxh3": "90dd233688418f4fdba35bfb82edbf1e", "bytes": 4096}}', 5357, 42, 40, 'done', NULL, '2026-11-30 08:03:09.038969+00', 40, 2),
	('user_events', 'user_events_2.csv', '{"head": {"xxh3": "342fd77f452e753b3f210c440c2ee89c", "bytes": 4068}, "stat": {"size": 6800, "inode": [65024, 10437057], "changed": [1796025770, 641182968], "modified": [1796025770, 633182968]}, "tail": {"xxh3": "342fd77f452e753b3f210c440c2ee89c", "bytes": 4068}}', 4068, 32, 30, 'reading', NULL, '2026-11-30 08:03:17.041649+00', 30, 0);

INSERT INTO streamer.dead_letter OVERRIDING SYSTEM VALUE VALUES
	(1, 'ad_events', 'ad_events_1.csv', 101, 341, 2, '\x64393039363563312d656466662d343432362d386334372d37653565396333383165612c64326537343438302d663461622d343036652d393664332d6435636636323738373639662c34343931353738322d626364652d343039332d613366372d6631373537313932643762392c766964656f2c766965772c313737323337303037343538353231333138392c3137373233373030372c326130323a3463303a316230373a333631613a373735333a623162663a653533373a613661392c39633863663433642d306665662d343066372d613235392d6366363961333135346432362c31373732333730303734363238', '{user_id,page_id,ad_id,ad_type,event_type,event_time_ns,window_id,ip_address,campaign_id,produce_time}', '[{"value": "d90965c1-edff-4426-8c47-7e5e9c381ea", "column": "user_id", "reason": "not a uuid", "sqlstate": "22P02"}]', 1, '2026-11-30 08:03:00.988016+00', NULL, NULL, '\x757365725f69642c706167655f69642c61645f69642c61645f747970652c6576656e745f747970652c6576656e745f74696d655f6e732c77696e646f775f69642c69705f616464726573732c63616d706169676e5f69642c70726f647563655f74696d65'),
	(2, 'ad_events', 'ad_events_1.csv', 4915, 5128, 24, '\x66336233353865342d323731302d346439332d613366642d3537613166353930323263372c61386532346338342d326334642d346166342d623333662d6130313962303463343637352c61306538316530652d326263642d343833642d396165372d3763613939383061666138302c766964656f2c636c69636b2c313737323337333135343933333739323532342c3137373233373331352c3235362e312e312e312c64633264653636382d633232302d346566322d613431352d6131386336663435313961662c31373732333733313534393635', '{user_id,page_id,ad_id,ad_type,event_type,event_time_ns,window_id,ip_address,campaign_id,produce_time}', '[{"value": "256.1.1.1", "column": "ip_address", "reason": "not an IP address with or without /bits", "sqlstate": "22P02"}]', 1, '2026-11-30 08:03:00.988016+00', NULL, NULL, '\x757365725f69642c706167655f69642c61645f69642c61645f747970652c6576656e745f747970652c6576656e745f74696d655f6e732c77696e646f775f69642c69705f616464726573732c63616d706169676e5f69642c70726f647563655f74696d65'),
	(3, 'transfers', 'transfers_1.csv', 2446, 2540, 27, '\x30313963613961392d383936312d373265352d386662622d3131306363613532303634632c373737343733342c4e6f72746820416d65726963616e2c3730382e39362c323032362d30322d33305431333a34393a34362e3230393138315a', '{transfer_id,account_id,account_region,transaction_value,event_time}', '[{"value": "2026-02-30T13:49:46.209181Z", "column": "event_time", "reason": "no such day", "sqlstate": "22008"}]', 2, '2026-11-30 08:03:01.015859+00', NULL, NULL, '\x7472616e736665725f69642c6163636f756e745f69642c6163636f756e745f726567696f6e2c7472616e73616374696f6e5f76616c75652c6576656e745f74696d65'),
	(4, 'user_events', 'user_events_1.csv', 455, 610, 5, '\x30313963613938302d343062352d373564662d393663342d32363431376662363839382c31373837382c3836322c766965772c323032362d30332d30315431333a30343a34302e3632393336375a2c3135302e35302c22436c6f7468696e672c2053686f65732026204a6577656c7279222c416e64726f69642070686f6e652c2245617374204f6c69766572204861686e6d6f7574682c20474122', '{event_id,user_id,product_id,event_type,event_time,price,category,user_device,user_location}', '[{"value": "019ca980-40b5-75df-96c4-26417fb6898", "column": "event_id", "reason": "not a uuid", "sqlstate": "22P02"}]', 3, '2026-11-30 08:03:01.044833+00', NULL, NULL, '\x6576656e745f69642c757365725f69642c70726f647563745f69642c6576656e745f747970652c6576656e745f74696d652c70726963652c63617465676f72792c757365725f6465766963652c757365725f6c6f636174696f6e'),
	(5, 'user_events', 'user_events_1.csv', 3855, 3985, 31, '\x30313963613961342d323961332d376630322d393362392d6238343431343734383166392c31363332342c35392c6164645f746f5f636172742c323032362d30332d30315431333a34333a35342e3031393933385a2c34312e3530352c426f6f6b732c57696e646f77732050432c22426572677374726f6d686176656e2c20415222', '{event_id,user_id,product_id,event_type,event_time,price,category,user_device,user_location}', '[{"value": "41.505", "column": "price", "reason": "more than 2 decimals", "sqlstate": "22003"}]', 3, '2026-11-30 08:03:01.044833+00', NULL, NULL, '\x6576656e745f69642c757365725f69642c70726f647563745f69642c6576656e745f747970652c6576656e745f74696d652c70726963652c63617465676f72792c757365725f6465766963652c757365725f6c6f636174696f6e');

INSERT INTO streamer.micro_batch VALUES
	(1, 'ad_events', 'ad_events_1.csv', 0, 5567, 25, 23, 0, 2, 'direct', '2026-11-30 08:03:00.988016+00', '2026-11-30 08:03:01.023338+00'),
	(2, 'transfers', 'transfers_1.csv', 0, 2921, 30, 29, 0, 1, 'direct', '2026-11-30 08:03:01.015859+00', '2026-11-30 08:03:01.048739+00'),
	(3, 'user_events', 'user_events_1.csv', 0, 3986, 30, 27, 1, 2, 'direct', '2026-11-30 08:03:01.044833+00', '2026-11-30 08:03:01.071984+00'),
	(4, 'user_events', 'user_events_1.csv', 3986, 5357, 10, 10, 0, 0, 'direct', '2026-11-30 08:03:09.038969+00', '2026-11-30 08:03:09.041371+00'),
	(5, 'user_events', 'user_events_2.csv', 0, 4068, 30, 30, 0, 0, 'direct', '2026-11-30 08:03:17.041649+00', '2026-11-30 08:03:17.049219+00');

INSERT INTO streamer.schema_history VALUES
	(1, 'streamer', '2026-11-30T08:02:59.732873583Z', '13824918832151932897'),
	(2, 'user_events', '2026-11-30T08:02:59.901915782Z', '7526464001195358195'),
	(3, 'dead_letters', '2026-11-30T08:02:59.924926404Z', '7554798781719134912'),
	(4, 'ad_events', '2026-11-30T08:02:59.948921603Z', '17294054966030079393'),
	(5, 'transfers', '2026-11-30T08:02:59.972986257Z', '17163693251242555181'),
	(6, 'gps_positions', '2026-11-30T08:03:00.044908841Z', '16197110704913432972'),
	(7, 'pos_sales', '2026-11-30T08:03:00.060871051Z', '3706575505038588674'),
	(8, 'emoji_reactions', '2026-11-30T08:03:00.074799783Z', '16819055468415897986'),
	(9, 'simulator_events', '2026-11-30T08:03:00.092906648Z', '6562033778046432472'),
	(10, 'rollup_columns', '2026-11-30T08:03:00.104859791Z', '6216658674053468619'),
	(11, 'rollups', '2026-11-30T08:03:00.141058605Z', '12293552991031135787'),
	(12, 'dataset_rollups', '2026-11-30T08:03:00.200948247Z', '892585782152813237'),
	(13, 'views', '2026-11-30T08:03:00.71300461Z', '5146169005066697756'),
	(14, 'latency', '2026-11-30T08:03:00.740972357Z', '11749747846968597214');

SELECT pg_catalog.setval('streamer.dead_letter_dead_letter_id_seq', 5, true);

SELECT pg_catalog.setval('streamer.micro_batch_batch_id_seq', 5, true);

ALTER TABLE ONLY public.ad_events
    ADD CONSTRAINT ad_events_pkey PRIMARY KEY (event_time_ns, user_id, ad_id);

ALTER TABLE ONLY public.emoji_reactions
    ADD CONSTRAINT emoji_reactions_pkey PRIMARY KEY ("timestamp", user_id, emoji_type);

ALTER TABLE ONLY public.gps_positions
    ADD CONSTRAINT gps_positions_pkey PRIMARY KEY (device_id, position_time);

ALTER TABLE ONLY public.pos_sales
    ADD CONSTRAINT pos_sales_pkey PRIMARY KEY (sale_id);

ALTER TABLE ONLY public.simulator_events
    ADD CONSTRAINT simulator_events_pkey PRIMARY KEY ("time", value);

ALTER TABLE ONLY public.transfers
    ADD CONSTRAINT transfers_pkey PRIMARY KEY (transfer_id);

ALTER TABLE ONLY public.user_events
    ADD CONSTRAINT user_events_pkey PRIMARY KEY (event_id);

ALTER TABLE ONLY streamer.checkpoint
    ADD CONSTRAINT checkpoint_pkey PRIMARY KEY (stream, partition);

ALTER TABLE ONLY streamer.dead_letter
    ADD CONSTRAINT dead_letter_pkey PRIMARY KEY (dead_letter_id);

ALTER TABLE ONLY streamer.dead_letter
    ADD CONSTRAINT dead_letter_place_key UNIQUE (stream, partition, start_offset);

ALTER TABLE ONLY streamer.micro_batch
    ADD CONSTRAINT micro_batch_pkey PRIMARY KEY (batch_id);

ALTER TABLE ONLY streamer.schema_history
    ADD CONSTRAINT schema_history_pkey PRIMARY KEY (version);

CREATE INDEX ad_events_batch_id_idx ON public.ad_events USING brin (batch_id);

CREATE UNIQUE INDEX ad_events_per_window_key ON public.ad_events_per_window USING btree (window_start, campaign_id) NULLS NOT DISTINCT;

CREATE UNIQUE INDEX credit_flow_key ON public.credit_flow USING btree (account_region) NULLS NOT DISTINCT;

CREATE INDEX emoji_reactions_batch_id_idx ON public.emoji_reactions USING brin (batch_id);

CREATE UNIQUE INDEX emoji_reactions_per_minute_key ON public.emoji_reactions_per_minute USING btree (window_start, emoji_type) NULLS NOT DISTINCT;

CREATE INDEX gps_positions_batch_id_idx ON public.gps_positions USING brin (batch_id);

CREATE INDEX pos_sales_batch_id_idx ON public.pos_sales USING brin (batch_id);

CREATE INDEX simulator_events_batch_id_idx ON public.simulator_events USING brin (batch_id);

CREATE UNIQUE INDEX simulator_events_per_window_key ON public.simulator_events_per_window USING btree (window_start) NULLS NOT DISTINCT;

CREATE INDEX transfers_batch_id_idx ON public.transfers USING brin (batch_id);

CREATE UNIQUE INDEX transfers_per_minute_key ON public.transfers_per_minute USING btree (window_start, account_region) NULLS NOT DISTINCT;

CREATE INDEX user_events_batch_id_idx ON public.user_events USING brin (batch_id);

CREATE UNIQUE INDEX user_events_per_minute_key ON public.user_events_per_minute USING btree (window_start, event_type, category) NULLS NOT DISTINCT;

CREATE INDEX checkpoint_refusal_idx ON streamer.checkpoint USING btree (stream) WHERE (refusal IS NOT NULL);

CREATE INDEX dead_letter_open_idx ON streamer.dead_letter USING btree (stream, partition) WHERE (resolved_at IS NULL);

CREATE INDEX micro_batch_partition_idx ON streamer.micro_batch USING btree (stream, partition, start_offset);

CREATE TRIGGER ad_events_per_window_delete AFTER DELETE ON public.ad_events REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT WHEN ((current_setting('streamer.keep_rollups'::text, true) IS DISTINCT FROM 'on'::text)) EXECUTE FUNCTION public.ad_events_per_window_rollup();

CREATE TRIGGER ad_events_per_window_insert AFTER INSERT ON public.ad_events REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.ad_events_per_window_rollup();

CREATE TRIGGER ad_events_per_window_truncate AFTER TRUNCATE ON public.ad_events FOR EACH STATEMENT EXECUTE FUNCTION public.ad_events_per_window_rollup();

CREATE TRIGGER ad_events_per_window_update AFTER UPDATE ON public.ad_events REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.ad_events_per_window_rollup();

CREATE TRIGGER credit_flow_delete AFTER DELETE ON public.transfers REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT WHEN ((current_setting('streamer.keep_rollups'::text, true) IS DISTINCT FROM 'on'::text)) EXECUTE FUNCTION public.credit_flow_rollup();

CREATE TRIGGER credit_flow_insert AFTER INSERT ON public.transfers REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.credit_flow_rollup();

CREATE TRIGGER credit_flow_truncate AFTER TRUNCATE ON public.transfers FOR EACH STATEMENT EXECUTE FUNCTION public.credit_flow_rollup();

CREATE TRIGGER credit_flow_update AFTER UPDATE ON public.transfers REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.credit_flow_rollup();

CREATE TRIGGER emoji_reactions_per_minute_delete AFTER DELETE ON public.emoji_reactions REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT WHEN ((current_setting('streamer.keep_rollups'::text, true) IS DISTINCT FROM 'on'::text)) EXECUTE FUNCTION public.emoji_reactions_per_minute_rollup();

CREATE TRIGGER emoji_reactions_per_minute_insert AFTER INSERT ON public.emoji_reactions REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.emoji_reactions_per_minute_rollup();

CREATE TRIGGER emoji_reactions_per_minute_truncate AFTER TRUNCATE ON public.emoji_reactions FOR EACH STATEMENT EXECUTE FUNCTION public.emoji_reactions_per_minute_rollup();

CREATE TRIGGER emoji_reactions_per_minute_update AFTER UPDATE ON public.emoji_reactions REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.emoji_reactions_per_minute_rollup();

CREATE TRIGGER simulator_events_per_window_delete AFTER DELETE ON public.simulator_events REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT WHEN ((current_setting('streamer.keep_rollups'::text, true) IS DISTINCT FROM 'on'::text)) EXECUTE FUNCTION public.simulator_events_per_window_rollup();

CREATE TRIGGER simulator_events_per_window_insert AFTER INSERT ON public.simulator_events REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.simulator_events_per_window_rollup();

CREATE TRIGGER simulator_events_per_window_truncate AFTER TRUNCATE ON public.simulator_events FOR EACH STATEMENT EXECUTE FUNCTION public.simulator_events_per_window_rollup();

CREATE TRIGGER simulator_events_per_window_update AFTER UPDATE ON public.simulator_events REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.simulator_events_per_window_rollup();

CREATE TRIGGER transfers_per_minute_delete AFTER DELETE ON public.transfers REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT WHEN ((current_setting('streamer.keep_rollups'::text, true) IS DISTINCT FROM 'on'::text)) EXECUTE FUNCTION public.transfers_per_minute_rollup();

CREATE TRIGGER transfers_per_minute_insert AFTER INSERT ON public.transfers REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.transfers_per_minute_rollup();

CREATE TRIGGER transfers_per_minute_truncate AFTER TRUNCATE ON public.transfers FOR EACH STATEMENT EXECUTE FUNCTION public.transfers_per_minute_rollup();

CREATE TRIGGER transfers_per_minute_update AFTER UPDATE ON public.transfers REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.transfers_per_minute_rollup();

CREATE TRIGGER user_events_per_minute_delete AFTER DELETE ON public.user_events REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT WHEN ((current_setting('streamer.keep_rollups'::text, true) IS DISTINCT FROM 'on'::text)) EXECUTE FUNCTION public.user_events_per_minute_rollup();

CREATE TRIGGER user_events_per_minute_insert AFTER INSERT ON public.user_events REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.user_events_per_minute_rollup();

CREATE TRIGGER user_events_per_minute_truncate AFTER TRUNCATE ON public.user_events FOR EACH STATEMENT EXECUTE FUNCTION public.user_events_per_minute_rollup();

CREATE TRIGGER user_events_per_minute_update AFTER UPDATE ON public.user_events REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.user_events_per_minute_rollup();

REVOKE ALL ON FUNCTION public.ad_events_per_window_rollup() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.credit_flow_rollup() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.emoji_reactions_per_minute_rollup() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.simulator_events_per_window_rollup() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.transfers_per_minute_rollup() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.user_events_per_minute_rollup() FROM PUBLIC;

