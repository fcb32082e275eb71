-- Reactions to a show, as `generator emoji` makes them.
create table public.emoji_reactions (
    user_id     bigint      not null,
    emoji_type  text        not null,
    "timestamp" timestamptz not null,
    batch_id    bigint,
    ingested_at timestamptz default now(),
    constraint emoji_reactions_pkey primary key ("timestamp", user_id, emoji_type)
);
create index emoji_reactions_batch_id_idx on public.emoji_reactions using brin (batch_id);

comment on table public.emoji_reactions is 'Reactions to a show. They have no number of their own: the same one of a user at the same microsecond is the same.';
comment on column public.emoji_reactions.emoji_type is 'Which reaction, by its name: heart, joy, ...';
comment on column public.emoji_reactions."timestamp" is 'When the user reacted.';
comment on column public.emoji_reactions.batch_id is 'The micro-batch (streamer.micro_batch) that brought the row, and so its file and offsets.';
comment on column public.emoji_reactions.ingested_at is 'When that micro-batch''s transaction began.';

-- Its rollup; `streamer.change_rollup` gives it another window or other aggregates.
select streamer.create_rollup('public.emoji_reactions_per_minute', 'public.emoji_reactions', 'timestamp', '1 minute',
    '{emoji_type}',
    'reactions = count(*)',
    'scaled_count = greatest(reactions / 1000, 1)');
comment on table public.emoji_reactions_per_minute is 'Reactions per minute and kind.';
comment on column public.emoji_reactions_per_minute.scaled_count is 'Thousands of reactions, at least 1: how many to show on a screen.';

select streamer.show_datasets();
