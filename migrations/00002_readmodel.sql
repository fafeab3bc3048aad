-- Everything here is derived from the event log by internal/store and can be rebuilt from it at any time.
-- Ids of participants and segments are text, not uuid: no event may be able to stop the projector.

-- +goose Up
create schema readmodel;

-- How far the projector has read. One row; whoever writes rows below locks it first.
create table readmodel.position (
	one            boolean primary key default true check (one),
	stream_seq     bigint not null, -- of the newest event that the rows show
	log_created_ns bigint not null, -- when the log was created, ns since 1970: another time is another log
	projection     integer not null, -- version of the rules in internal/store
	unknown_events bigint not null, -- events of types that the rules do not know
	moved_at       timestamptz not null
);

create table readmodel.consultations (
	id              uuid primary key,
	seq             bigint not null, -- of the newest event shown
	state           text not null check (state in ('scheduled', 'open', 'ended', 'completed', 'archived')),
	policy          text not null,
	layout          text not null,
	language        text not null,
	paused          boolean not null,
	scheduled_at    timestamptz not null,
	started_at      timestamptz, -- first participant.joined: archive time 0
	ended_at        timestamptz,
	end_reason      text not null,
	completed_at    timestamptz,
	participants    integer not null, -- invited
	present         integer not null,
	segments_stored bigint not null,
	bytes           bigint not null, -- of the stored segments
	pending         text[] not null, -- segments that were opened and are not stored yet
	missing         text[] not null, -- segments that the completion named as missing
	held_at         timestamptz not null generated always as (coalesce(started_at, scheduled_at)) stored
);
create index consultations_held_at on readmodel.consultations (held_at desc, id desc);
create index consultations_state on readmodel.consultations (state, held_at desc, id desc);

create table readmodel.participants (
	consultation uuid not null,
	id           text not null,
	role         text not null,
	records      text[] not null, -- the participants whose consent a device needs
	consent      text not null check (consent in ('', 'given', 'refused', 'withdrawn')),
	consent_at   timestamptz,
	present      boolean not null,
	invited_at   timestamptz not null,
	joined_at    timestamptz, -- first
	left_at      timestamptz, -- last; null while present
	left_reason  text not null,
	primary key (consultation, id)
);
create index participants_id on readmodel.participants (id);

create table readmodel.archives (
	consultation    uuid not null,
	version         bigint not null,
	state           text not null check (state in ('queued', 'rendering', 'ready', 'failed')),
	code            text not null, -- why it failed
	through_seq     bigint not null,
	layout          text not null,
	profile         text not null,
	requested_at    timestamptz not null,
	started_at      timestamptz,
	finished_at     timestamptz,
	key             text not null,
	bytes           bigint not null,
	sha256          text not null,
	manifest_sha256 text not null,
	duration_ms     bigint not null,
	primary key (consultation, version)
);
