-- +goose Up

-- What operators look at over the last hours: connections as they were opened, and archives that are not finished.
create index connections_opened on readmodel.connections (opened_at);
create index archives_unfinished on readmodel.archives (state) where state in ('queued', 'rendering');
