-- What a library, a timeline and an auditor look for, beside the lists: filled by the same projector, rebuilt with it.
-- Ids are text as the events have them; what is longer than an index takes is cut with a digest behind it.

-- +goose Up
alter table readmodel.consultations
	add column problems    text[] not null default '{}', -- stable codes, sorted (docs/read-model.md)
	add column consents    text[] not null default '{}', -- answers that occur among people who send: given, refused, withdrawn, none
	add column expected_ms bigint not null default 0,    -- sum of the tracks, as the completion said
	add column recorded_ms bigint not null default 0;

-- The two filters of the library that choose few of very many.
create index consultations_problems on readmodel.consultations (held_at desc, id desc) where problems <> '{}';
create index consultations_consents on readmodel.consultations (held_at desc, id desc) where consents <> '{given}';

create table readmodel.connections (
	consultation  uuid not null,
	id            text not null,
	participant   text not null,
	via           text not null, -- websocket, whip
	browser       text not null, -- family and major version
	state         text not null, -- newest ICE state
	local_kind    text not null, -- of the selected pair: host, srflx, prflx, relay
	remote_kind   text not null,
	transport     text not null, -- udp, tcp, tls
	restarts      bigint not null,
	timeout_phase text not null, -- of the newest connection.timed_out
	timeout_code  text not null,
	opened_at     timestamptz not null,
	connected_at  timestamptz, -- first
	closed_at     timestamptz,
	close_reason  text not null,
	primary key (consultation, id)
);

create table readmodel.tracks (
	consultation uuid not null,
	id           text not null,
	participant  text not null,
	connection   text not null,
	kind         text not null, -- audio, video
	source       text not null, -- microphone, camera, screen, device
	codec        text not null,
	muted        boolean not null,
	stalls       bigint not null,
	started_at   timestamptz not null,
	ended_at     timestamptz,
	end_reason   text not null,
	expected_ms  bigint not null, -- as the completion said
	recorded_ms  bigint not null,
	primary key (consultation, id)
);

create table readmodel.segments (
	consultation uuid not null,
	id           text not null,
	track        text not null,
	participant  text not null,
	codec        text not null,
	state        text not null check (state in ('open', 'sealed', 'recovered', 'stored', 'missing')),
	cause        text not null, -- why it is missing
	width        bigint not null,
	height       bigint not null,
	frames       bigint not null,
	bytes        bigint not null,
	sha256       text not null,
	key          text not null, -- in the blob store
	opened_at    timestamptz not null,
	stored_at    timestamptz,
	primary key (consultation, id)
);

-- Stretches of a lane: who was present, which track was on, how a connection was, what was lost.
create table readmodel.spans (
	consultation uuid not null,
	seq          bigint not null, -- of the event that began it; an event begins one at most
	lane         text not null,   -- present, consent, ice, track, gap, paused
	participant  text not null,
	subject      text not null,   -- connection or track, or empty
	value        text not null,   -- of the lane: an ICE state, on, muted, stalled, the cause of a gap, …
	started_at   timestamptz not null,
	ended_at     timestamptz,     -- null while it lasts
	primary key (consultation, seq)
);
create index spans_open on readmodel.spans (consultation) where ended_at is null;

-- One row an event, but for segment.anchored: what a page of events shows and filters. Evidence is read from the log.
create table readmodel.markers (
	consultation uuid not null,
	seq          bigint not null,
	at           timestamptz not null,
	type         text not null,
	participant  text not null,
	actor        text not null,
	code         text not null, -- of a failure, else empty
	primary key (consultation, seq)
);
create index markers_failures on readmodel.markers (at desc) where code <> '';

-- Who opened an archive for what, and what was watched. The id is the receipt: the id of access.opened.
create table readmodel.accesses (
	consultation uuid not null,
	id           text not null,
	actor        text not null,
	purpose      text not null,
	version      bigint not null, -- of the archive
	opened_at    timestamptz not null,
	closed_at    timestamptz,
	watched      bigint[] not null, -- from, to, from, to … in milliseconds: sorted, merged
	watched_ms   bigint not null,
	primary key (consultation, id)
);
create index accesses_opened on readmodel.accesses (opened_at desc);
create index accesses_actor on readmodel.accesses (actor, opened_at desc);

create table readmodel.exports (
	consultation uuid not null,
	seq          bigint not null,
	actor        text not null,
	kind         text not null,
	sha256       text not null,
	at           timestamptz not null,
	primary key (consultation, seq)
);
