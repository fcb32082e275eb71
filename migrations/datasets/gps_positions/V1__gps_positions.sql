-- Positions of vehicles, as `generator gps` makes them.
create table public.gps_positions (
    device_id     bigint        not null,
    position_time timestamptz   not null,
    latitude      numeric(8, 6) not null,
    longitude     numeric(9, 6) not null,
    speed         numeric(4, 1),
    batch_id      bigint,
    ingested_at   timestamptz   default now(),
    constraint gps_positions_pkey primary key (device_id, position_time),
    constraint gps_positions_latitude_check check (latitude between -90 and 90),
    constraint gps_positions_longitude_check check (longitude between -180 and 180),
    constraint gps_positions_speed_check check (speed >= 0)
);
create index gps_positions_batch_id_idx on public.gps_positions using brin (batch_id);

comment on table public.gps_positions is 'Where vehicles were, and when.';
comment on column public.gps_positions.latitude is 'In degrees, north positive.';
comment on column public.gps_positions.longitude is 'In degrees, east positive.';
comment on column public.gps_positions.speed is 'In kilometres per hour.';
comment on column public.gps_positions.batch_id is 'The micro-batch (streamer.micro_batch) that brought the row, and so its file and offsets.';
comment on column public.gps_positions.ingested_at is 'When that micro-batch''s transaction began.';

select streamer.show_datasets();
