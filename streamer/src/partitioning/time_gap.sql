-- The gap between the partitions of the table $1 that the time $2 lies in, reckoned in the session's time zone; $3 is
-- the type of the partition key. It is as long as the nearest partition, and begins where those after that one would.
with bound as (
    select c.relname::text as name, coalesce(nullif(b.ends[1], 'MINVALUE')::timestamptz::timestamp, '-infinity') as lower,
           coalesce(nullif(b.ends[2], 'MAXVALUE')::timestamptz::timestamp, 'infinity') as upper
      from pg_inherits i
      join pg_class c on c.oid = i.inhrelid
     cross join lateral regexp_match(pg_get_expr(c.relpartbound, c.oid),
           '^FOR VALUES FROM \(''?([^'']*?)''?\) TO \(''?([^'']*?)''?\)$') b (ends)
     where i.inhparent = to_regclass($1) and b.ends is not null
), wanted as (
    select $2::timestamptz::timestamp as at
), model as (
    select m.name, w.at, coalesce(m.lower, date_trunc('month', w.at)) as lower,
           coalesce(m.upper, date_trunc('month', w.at) + interval '1 month') as upper
      from wanted w
      left join lateral (select * from bound b where isfinite(b.lower) and isfinite(b.upper)
                          order by abs(extract(epoch from b.lower - w.at)), b.lower limit 1) m on true
), in_months as (
    select m.*, (extract(year from upper) - extract(year from lower))::int * 12
                + (extract(month from upper) - extract(month from lower))::int as months,
           (extract(year from at) - extract(year from lower))::int * 12
           + (extract(month from at) - extract(month from lower))::int as ahead
      from model m
), measured as (
    select m.*, months > 0 and lower + months * interval '1 month' = upper as has_months,
           ahead - case when lower + ahead * interval '1 month' > at then 1 else 0 end as whole_months
      from in_months m
), gap as (
    select m.*, case when has_months then months * interval '1 month' else upper - lower end as length,
           lower + case when has_months then floor(whole_months::numeric / months)::int * months * interval '1 month'
                        else floor(extract(epoch from at - lower) / extract(epoch from upper - lower))
                             * (upper - lower) end as start
      from measured m
), clipped as (
    select g.*, greatest(g.start, (select max(b.upper) from bound b where b.upper <= g.at)) as gap_lower,
           least(g.start + g.length, (select min(b.lower) from bound b where b.lower > g.at)) as gap_upper
      from gap g
), form as (
    select case when $3::text = 'date' then 'YYYY-MM-DD'
                when $3::text like '%with time zone' then 'YYYY-MM-DD HH24:MI:SSOF'
                else 'YYYY-MM-DD HH24:MI:SS' end as text
)
select to_char(c.gap_lower::timestamptz, f.text) as lower, to_char(c.gap_upper::timestamptz, f.text) as upper,
       case when c.has_months then c.months end as months, to_char(c.gap_lower, 'YYYYMMDDHH24') as digits,
       c.name as model, to_char(c.lower, 'YYYYMMDDHH24') as model_digits
  from clipped c, form f
 where extract(year from c.gap_lower) between 1 and 9999
