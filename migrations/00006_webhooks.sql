-- Who is told of events over HTTP, how far each of them is, and what could not be delivered. Not derived from the log and
-- not rebuilt: secrets are known to receivers, and a position that is lost tells everything again.

-- +goose Up
create schema webhook;

create table webhook.endpoints (
	id             uuid primary key,
	url            text not null,
	types          text[] not null,      -- of events; empty: those that are announced unless others are named
	secret         bytea not null,       -- encrypted
	old_secret     bytea,                -- encrypted; signs beside the other until old_until
	old_until      timestamptz,
	created_at     timestamptz not null,
	created_by     text not null,        -- actor
	log_created_ns bigint not null,      -- which log the positions count in, ns since 1970
	position       bigint not null,      -- every event up to here is delivered, set aside as a letter, or of no concern
	state          text not null check (state in ('active', 'paused', 'suspended')),
	reason         text not null,        -- code: why it is suspended
	generation     bigint not null,      -- grows with every change by a person: a sender that has not seen it writes nothing
	attempts       integer not null,     -- in vain, one after another, since the receiver is away
	away_since     timestamptz,
	next_at        timestamptz,          -- not before, while the receiver is away
	last_code      text not null,        -- of the newest failure since the newest success
	delivered_at   timestamptz           -- newest success
);

-- Events that a receiver has refused, and those behind them in the same consultation.
create table webhook.letters (
	endpoint     uuid not null references webhook.endpoints (id) on delete cascade,
	position     bigint not null,        -- in the log
	consultation uuid not null,
	seq          bigint not null,
	event        text not null,          -- id
	type         text not null,
	dead         boolean not null,       -- given up; a person may order it again
	attempts     integer not null,
	code         text not null,          -- of the newest failure
	set_aside_at timestamptz not null,
	next_at      timestamptz not null,   -- not before
	primary key (endpoint, position)
);
