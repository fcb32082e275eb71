-- The gap between the partitions of the table $1 that the number $2 lies in; see time_gap.sql.
with bound as (
    select c.relname::text as name, nullif(b.ends[1], 'MINVALUE')::numeric as lower,
           nullif(b.ends[2], 'MAXVALUE')::numeric as upper
      from pg_inherits i
      join pg_class c on c.oid = i.inhrelid
     cross join lateral regexp_match(pg_get_expr(c.relpartbound, c.oid),
           '^FOR VALUES FROM \(''?([^'']*?)''?\) TO \(''?([^'']*?)''?\)$') b (ends)
     where i.inhparent = to_regclass($1) and b.ends is not null
), gap as (
    select b.*, $2::numeric as at, b.lower + floor(($2::numeric - b.lower) / (b.upper - b.lower)) * (b.upper - b.lower) as start
      from bound b
     where b.lower is not null and b.upper is not null
     order by abs(b.lower - $2::numeric), b.lower
     limit 1
), clipped as (
    select g.*, greatest(g.start, (select max(b.upper) from bound b where b.upper <= g.at)) as gap_lower,
           least(g.start + g.upper - g.lower, (select min(b.lower) from bound b where b.lower > g.at)) as gap_upper
      from gap g
)
select c.gap_lower::text as lower, c.gap_upper::text as upper, null::int as months,
       regexp_replace(c.gap_lower::text, '[^0-9]', '_', 'g') as digits, c.name as model, c.lower::text as model_digits
  from clipped c
 where $3::text is not null
