-- What follows once all migrations of now are applied or noted.
select streamer.show_datasets();

-- Whoever could read the history can read all of them, and nobody but the owner can write them any more.
do $body$
declare
    r record;
begin
    if coalesce(current_setting('streamer.former_view', true), '') <> '' then
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
