-- Legal holds: what forbids to delete anything of a consultation. Who placed and released which follows from the log and is
-- made again with the rest of the read model; what case a hold is for is free text, and stands in the directory alone.

-- +goose Up
create table readmodel.holds (
	consultation   uuid not null,
	id             text not null,
	reason         text not null, -- code
	placed_by      text not null, -- actor
	placed_role    text not null,
	placed_at      timestamptz not null,
	asked_by       text not null, -- actor of the newest request to release it; empty when there is none
	asked_role     text not null,
	asked_reason   text not null, -- code
	asked_at       timestamptz,
	released_by    text not null,
	released_role  text not null,
	released_at    timestamptz,   -- null while it holds
	primary key (consultation, id)
);

alter table readmodel.consultations
	add column holds            integer not null default 0, -- that are in force
	add column release_asked_at timestamptz;                -- newest request to release one of them; null when none waits

-- Few of very many are held.
create index consultations_holds on readmodel.consultations (held_at desc, id desc) where holds > 0;

create table directory.holds (
	consultation uuid not null,
	id           uuid not null,
	reference    text not null, -- of the case, as it was typed
	created_at   timestamptz not null,
	primary key (consultation, id)
);
