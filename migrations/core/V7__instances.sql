-- Which streamers are at work, so that they know of each other.

create table streamer.instance (
    instance_id uuid        not null,
    host        text        not null,
    pid         integer     not null,
    version     text        not null,
    streams     text[]      not null,
    started_at  timestamptz not null default clock_timestamp(),
    seen_at     timestamptz not null default clock_timestamp(),
    address     text,
    constraint instance_pkey primary key (instance_id)
) with (fillfactor = 70);

comment on table streamer.instance is 'The streamers that are at work. Each notes every five seconds that it is; what was not seen for fifteen seconds is none any more, and is removed by the others.';
comment on column streamer.instance.instance_id is 'A random number, another one at each start.';
comment on column streamer.instance.host is 'The machine''s name, or the container''s.';
comment on column streamer.instance.pid is 'The number of its process there.';
comment on column streamer.instance.streams is 'The names of the streams that it works on.';
comment on column streamer.instance.started_at is 'When it began to tell of itself, by the database''s clock.';
comment on column streamer.instance.seen_at is 'Its last sign of life, by the database''s clock.';
comment on column streamer.instance.address is 'Where its HTTP server listens; NULL where it has none.';

-- This table and that of the migration before belong to whoever owns the rest, and whoever loads or looks may do so
-- there as well: both have rows that are removed.
do $body$
declare
    owner name := (select pg_get_userbyid(relowner) from pg_class where oid = 'streamer.checkpoint'::regclass);
    made  text;
    r     record;
begin
    foreach made in array array['streamer.idempotency_key', 'streamer.instance'] loop
        for r in
            select case a.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)) end as grantee,
                   case when bool_or(a.privilege_type = 'UPDATE') then 'select, insert, update, delete' else 'select' end as rights
              from pg_class c
             cross join lateral aclexplode(c.relacl) a
             where c.oid = 'streamer.checkpoint'::regclass and a.grantee <> c.relowner
               and a.privilege_type in ('SELECT', 'UPDATE')
             group by a.grantee
        loop
            execute format('grant %s on %s to %s', r.rights, made, r.grantee);
        end loop;
        if owner <> current_user then
            execute format('alter table %s owner to %I', made, owner);
        end if;
    end loop;
end $body$;
