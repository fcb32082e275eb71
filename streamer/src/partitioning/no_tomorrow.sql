-- The beginning of tomorrow, in the session's time zone, if no partition of the table $1 takes it.
with bound as (
    select coalesce(nullif(b.ends[1], 'MINVALUE')::timestamptz::timestamp, '-infinity') as lower,
           coalesce(nullif(b.ends[2], 'MAXVALUE')::timestamptz::timestamp, 'infinity') as upper
      from pg_inherits i
      join pg_class c on c.oid = i.inhrelid
     cross join lateral regexp_match(pg_get_expr(c.relpartbound, c.oid),
           '^FOR VALUES FROM \(''?([^'']*?)''?\) TO \(''?([^'']*?)''?\)$') b (ends)
     where i.inhparent = to_regclass($1) and b.ends is not null
)
select t.at::text
  from (select date_trunc('day', now()::timestamp) + interval '1 day' as at) t
 where not exists (select from bound b where b.lower <= t.at and t.at < b.upper)
