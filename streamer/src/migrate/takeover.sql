-- Turns the objects of a database of V14 into those that the migrations of now make, where they differ. What the
-- migrations make anew by themselves (core from V4 on, ad_events from V2 on) they do after this.
delete from streamer.schema_history;

-- A place in a log of messages stands on no line.
alter table streamer.checkpoint alter column next_line drop not null;
alter table streamer.dead_letter alter column line drop not null;
comment on column streamer.checkpoint.next_line is 'The line number, from 1, that starts at next_offset; NULL where records stand on no lines.';
comment on column streamer.dead_letter.line is 'The line of the file, from 1, on which the record starts; NULL where records stand on no lines.';

-- Campaigns are numbers now, as makers of ads have them; those that were uuids get numbers in the order of their first
-- events, in the table and in all rollups per campaign.
do $body$
declare
    campaigns text := 'select campaign_id, min(event_time) as happened, null::timestamptz as window_start'
                      '  from public.ad_events group by campaign_id';
    r         record;
begin
    if to_regclass('public.ad_events_per_window') is null
       or not exists (select from pg_attribute where attrelid = to_regclass('public.ad_events')
                         and attname = 'campaign_id' and atttypid = 'uuid'::regtype) then
        return;
    end if;
    drop view if exists public.campaign_performance;
    for r in select * from streamer.rollup where to_regclass(source) = 'public.ad_events'::regclass
                                             and 'campaign_id' = any(keys) loop
        campaigns := campaigns || format(' union all select campaign_id, null, %s from %s',
            case when r.window_size is null then 'null' else 'window_start' end, r.rollup);
    end loop;
    create table streamer.former_campaign (
        campaign_id integer not null,
        former_id   uuid    not null,
        constraint former_campaign_pkey primary key (campaign_id),
        constraint former_campaign_former_id_key unique (former_id)
    );
    comment on table streamer.former_campaign is 'The numbers of the campaigns that ad_events knew by uuids before.';
    execute 'insert into streamer.former_campaign '
            'select row_number() over (order by coalesce(min(happened), min(window_start)), campaign_id), campaign_id '
            '  from (' || campaigns || ') c group by campaign_id';
    create function pg_temp.number_of(former uuid) returns integer language sql stable as
        'select campaign_id from streamer.former_campaign where former_id = $1';
    alter table public.ad_events alter column campaign_id type integer using pg_temp.number_of(campaign_id);
    for r in select * from streamer.rollup where to_regclass(source) = 'public.ad_events'::regclass loop
        if 'campaign_id' = any(r.keys) then
            execute format('alter table %s alter column campaign_id type integer using pg_temp.number_of(campaign_id)',
                r.rollup);
        end if;
        -- An aggregate that compares campaigns with uuids fails here, and not when rows are loaded.
        perform count(*) from streamer.rollup_columns(streamer.rollup_definition(r.rollup));
    end loop;
    drop function pg_temp.number_of(uuid);
    comment on table public.ad_events_per_window is 'What was done with the ads of each campaign, per window.';
    comment on column public.ad_events.window_id is 'Which window since 1970 it happened in, as its maker counts them; NULL where the maker does not.';
end $body$;
