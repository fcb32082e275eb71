-- Campaigns are numbers now, as makers of ads have them; those that were uuids get numbers in the
-- order of their first events, in the table and in all rollups per campaign. What ad_events makes
-- anew by itself (from V2 on) it does after this.
do $body$
declare
    campaigns    text := 'select campaign_id, min(event_time) as happened, null::timestamptz as window_start'
                         '  from public.ad_events group by campaign_id';
    rollups      regclass[];
    per_campaign regclass[];
    rollup       regclass;
    r            record;
begin
    -- What takeover_end.sql executes is from here, and from no setting of the database's.
    perform set_config('streamer.former_view', '', true);
    if to_regclass('public.ad_events') is null or to_regclass('public.ad_events_per_window') is null then
        return;
    end if;
    -- From here on no campaign comes.
    lock table public.ad_events in access exclusive mode;
    -- takeover_end.sql gives the view's owner and grants to the new one.
    perform set_config('streamer.former_view', concat_ws('; ',
                format('alter view public.campaign_performance owner to %I', pg_get_userbyid(c.relowner)),
                (select string_agg(format('grant %s on public.campaign_performance to %s%s', a.privilege_type,
                            case a.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)) end,
                            case when a.is_grantable then ' with grant option' else '' end), '; ')
                   from aclexplode(c.relacl) a where a.grantee <> c.relowner)), true)
       from pg_class c where c.oid = to_regclass('public.campaign_performance') and c.relkind = 'v';
    if obj_description(to_regclass('public.campaign_performance'), 'pg_class') like 'Campaigns by their click-through rate%' then
        drop view public.campaign_performance;
    end if;
    if not exists (select from pg_attribute where attrelid = 'public.ad_events'::regclass
                      and attname = 'campaign_id' and atttypid = 'uuid'::regtype) then
        return;
    end if;
    -- What only looks like a rollup of this table has no trigger on it, and is left alone.
    for r in select c.oid::regclass as rollup, c.relowner = s.relowner as is_of_owner
               from pg_class c
               join pg_proc p on p.pronamespace = c.relnamespace and p.proname = c.relname || '_rollup'
                             and p.proowner = c.relowner and p.pronargs = 0
               join pg_class s on s.oid = 'public.ad_events'::regclass
              where c.relkind = 'r' and exists (select from pg_trigger t where t.tgrelid = s.oid and t.tgfoid = p.oid)
              order by c.oid
    loop
        if not r.is_of_owner then
            raise exception 'rollup % has another owner than its table ad_events', r.rollup
                using detail = 'give it to that owner, with its function, or remove it by streamer.drop_rollup';
        end if;
        rollups := rollups || r.rollup;
    end loop;
    for r in select d.rollup, d.definition ->> 'size' as size
               from (select u.rollup, streamer.rollup_definition(u.rollup) as definition from unnest(rollups) u (rollup)) d
              where d.definition -> 'keys' ? 'campaign_id' loop
        per_campaign := per_campaign || r.rollup;
        campaigns := campaigns || format(' union all select campaign_id, null, %s from %s',
            case when r.size is null then 'null' else 'window_start' end, r.rollup);
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
    -- Not a temporary one: not everybody may make those.
    create function streamer.number_of(former uuid) returns integer language sql stable as
        'select campaign_id from streamer.former_campaign where former_id = $1';
    alter table public.ad_events alter column campaign_id type integer using streamer.number_of(campaign_id);
    foreach rollup in array coalesce(rollups, '{}') loop
        if rollup = any(per_campaign) then
            execute format('alter table %s alter column campaign_id type integer using streamer.number_of(campaign_id)',
                rollup);
        end if;
        -- An aggregate that compares campaigns with uuids fails here, and not when rows are loaded.
        perform count(*) from streamer.rollup_columns(streamer.rollup_definition(rollup));
    end loop;
    drop function streamer.number_of(uuid);
    comment on table public.ad_events_per_window is 'What was done with the ads of each campaign, per window.';
    comment on column public.ad_events.window_id is 'Which window since 1970 it happened in, as its maker counts them; NULL where the maker does not.';
end $body$;
