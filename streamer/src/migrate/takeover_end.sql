-- What follows once all migrations of now are applied or noted.
select streamer.show_datasets();

-- What is new belongs to whoever owns the rest, if somebody else takes over. Whoever could read the
-- history can read all of them, and nobody but the owner can write them any more.
do $body$
declare
    owner name := (select pg_get_userbyid(relowner) from pg_class where oid = 'streamer.schema_history'::regclass);
    r     record;
begin
    if owner <> current_user then
        for r in
            select format('alter table %s owner to %I', c.oid::regclass, owner) as statement
              from pg_class c
             where c.relnamespace = 'streamer'::regnamespace and c.relkind in ('r', 'v')
               and pg_get_userbyid(c.relowner) = current_user
            union all
            select format('alter function %s owner to %I', p.oid::regprocedure, owner)
              from pg_proc p
             where p.pronamespace = 'streamer'::regnamespace and pg_get_userbyid(p.proowner) = current_user
            union all
            select format('alter view public.campaign_windows owner to %I', owner)
              from pg_class c
             where c.oid = to_regclass('public.campaign_windows') and pg_get_userbyid(c.relowner) = current_user
               and 'public.campaign_windows' <> all (streamer.left_views())
        loop
            execute r.statement;
        end loop;
    end if;
    if coalesce(current_setting('streamer.former_view', true), '') <> ''
       and 'public.campaign_performance' <> all (streamer.left_views()) then
        execute current_setting('streamer.former_view');
    end if;
    for r in
        select distinct h.oid::regclass as history,
               case a.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)) end as reader
          from pg_class c
         cross join lateral aclexplode(c.relacl) a
          join pg_class h on h.relnamespace = c.relnamespace and h.relkind = 'r'
                         and (h.oid = c.oid or h.relname like 'history\_%')
         where c.oid = 'streamer.schema_history'::regclass and a.grantee <> c.relowner and a.privilege_type = 'SELECT'
    loop
        execute format('revoke all on %s from %s', r.history, r.reader);
        execute format('grant select on %s to %s', r.history, r.reader);
    end loop;
end $body$;
