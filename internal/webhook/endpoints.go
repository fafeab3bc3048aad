package webhook

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"consilium/internal/events"
)

// Endpoints is the register of receivers, for people and calling systems. Each change raises the endpoint's generation, so
// that a sender which has not seen it writes nothing more and reads anew. It is safe for concurrent use.
type Endpoints struct {
	pool  *pgxpool.Pool
	log   events.Log
	box   Box
	rules Rules
	now   func() time.Time
}

// NewEndpoints works on a database that has all migrations. The caller closes the pool.
func NewEndpoints(pool *pgxpool.Pool, log events.Log, box Box, rules Rules, now func() time.Time) *Endpoints {
	return &Endpoints{pool: pool, log: log, box: box, rules: rules, now: now}
}

const (
	insertEndpoint = `
		insert into webhook.endpoints (id, url, types, secret, created_at, created_by, log_created_ns, position, state, reason, generation, attempts, last_code)
		select $1, $2, $3, $4, $5, $6, $7, $8, 'active', '', 1, 0, '' where (select count(*) from webhook.endpoints) < $9`
	selectEndpoints = `
		select e.id::text, e.url, e.types, e.created_at, e.created_by, case when e.old_until > $1 then e.old_until end, e.position, e.state, e.reason,
			e.attempts, e.away_since, e.next_at, e.last_code, e.delivered_at,
			(select count(*) from webhook.letters l where l.endpoint = e.id and not l.dead),
			(select count(*) from webhook.letters l where l.endpoint = e.id and l.dead)
		from webhook.endpoints e`
	selectLetters = `
		select position, consultation::text, seq, event, type, dead, attempts, code, set_aside_at, next_at
		from webhook.letters where endpoint = $1 and position > $2 order by position limit $3`
	updateChanged = `
		update webhook.endpoints set url = coalesce($2, url), types = coalesce($3, types), generation = generation + 1 where id = $1`
	updateActive = `
		update webhook.endpoints set state = 'active', reason = '', attempts = 0, away_since = null, next_at = null, generation = generation + 1
		where id = $1`
	updatePaused = `
		update webhook.endpoints set state = 'paused', reason = '', generation = generation + 1 where id = $1`
	updateSecret = `
		update webhook.endpoints set old_secret = secret, old_until = $3, secret = $2, generation = generation + 1 where id = $1`
	updateReplayed = `
		update webhook.endpoints set position = $2, log_created_ns = $3, state = 'active', reason = '', attempts = 0, away_since = null, next_at = null,
			generation = generation + 1
		where id = $1`
	deleteLettersFrom = `delete from webhook.letters where endpoint = $1 and position > $2`
	updateAgain       = `
		update webhook.letters set dead = false, attempts = 0, next_at = $3 where endpoint = $1 and dead and ($2::bigint is null or position = $2)`
	deleteEndpoint = `delete from webhook.endpoints where id = $1`
	raise          = `update webhook.endpoints set generation = generation + 1 where id = $1`
	selectPlace    = `select types, position from webhook.endpoints where id = $1 for update`
)

// New is what an endpoint is made of.
type New struct {
	URL   string
	Types []events.Type // empty: Announced
	From  uint64        // stream sequence of the first event that is told; 0: only what comes from now on
	By    string        // actor
}

// Add makes an endpoint and its secret, which nobody can read again. The error is an *InvalidError when the reason is the
// caller's.
func (r *Endpoints) Add(ctx context.Context, n New) (Endpoint, string, error) {
	if err := errors.Join(r.rules.Check(n.URL), checkTypes(n.Types)); err != nil {
		return Endpoint{}, "", err
	}
	info, err := r.log.Info(ctx)
	if err != nil {
		return Endpoint{}, "", fmt.Errorf("add webhook: %w", err)
	}
	position, err := before(n.From, info)
	if err != nil {
		return Endpoint{}, "", err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Endpoint{}, "", fmt.Errorf("add webhook: %w", err)
	}
	fresh, sealed, err := r.seal()
	if err != nil {
		return Endpoint{}, "", err
	}
	tag, err := r.pool.Exec(ctx, insertEndpoint, id, n.URL, orEmpty(n.Types), sealed, r.now(), n.By, info.Created.UnixNano(), position, maxEndpoints)
	switch {
	case err != nil:
		return Endpoint{}, "", fmt.Errorf("add webhook: %w", err)
	case tag.RowsAffected() == 0:
		return Endpoint{}, "", invalid("url", "there are %d webhooks already", maxEndpoints)
	}
	e, err := r.Get(ctx, id.String())
	return e, fresh.Text(), err
}

// before is the position from which the event at from comes next.
func before(from uint64, info events.Info) (uint64, error) {
	switch {
	case from == 0:
		return info.Last, nil
	case from > info.Last+1:
		return 0, invalid("from", "the log ends at %d", info.Last)
	default:
		return from - 1, nil
	}
}

func (r *Endpoints) seal() (secret, []byte, error) {
	fresh := newSecret()
	sealed, err := r.box.Seal(boxPurpose, fresh)
	if err != nil {
		return nil, nil, fmt.Errorf("encrypt secret: %w", err)
	}
	return fresh, sealed, nil
}

func orEmpty(types []events.Type) []events.Type {
	if types == nil {
		return []events.Type{}
	}
	return types
}

// List gives all endpoints, the oldest first.
func (r *Endpoints) List(ctx context.Context) ([]Endpoint, error) {
	rows, err := r.pool.Query(ctx, selectEndpoints+" order by e.id", r.now())
	if err != nil {
		return nil, fmt.Errorf("list webhooks: %w", err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Endpoint])
	if err != nil {
		return nil, fmt.Errorf("list webhooks: %w", err)
	}
	return all, nil
}

// Get gives one endpoint. The error wraps ErrNotFound when there is none.
func (r *Endpoints) Get(ctx context.Context, id string) (Endpoint, error) {
	if !events.ValidID(id) {
		return Endpoint{}, fmt.Errorf("get webhook: %w", ErrNotFound)
	}
	rows, err := r.pool.Query(ctx, selectEndpoints+" where e.id = $2", r.now(), id)
	if err != nil {
		return Endpoint{}, fmt.Errorf("get webhook %s: %w", id, err)
	}
	e, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Endpoint])
	if errors.Is(err, pgx.ErrNoRows) {
		err = ErrNotFound
	}
	if err != nil {
		return Endpoint{}, fmt.Errorf("get webhook %s: %w", id, err)
	}
	return e, nil
}

// Change gives an endpoint another URL or other types; nil leaves them.
func (r *Endpoints) Change(ctx context.Context, id string, url *string, types []events.Type) error {
	if url != nil {
		if err := r.rules.Check(*url); err != nil {
			return err
		}
	}
	if err := checkTypes(types); err != nil {
		return err
	}
	return r.update(ctx, "change", id, updateChanged, url, types)
}

// Pause stops telling; Resume goes on where it stopped, also after a suspension.
func (r *Endpoints) Pause(ctx context.Context, id string) error {
	return r.update(ctx, "pause", id, updatePaused)
}

// Resume is Pause undone.
func (r *Endpoints) Resume(ctx context.Context, id string) error {
	return r.update(ctx, "resume", id, updateActive)
}

// Remove forgets an endpoint, its secrets and its letters.
func (r *Endpoints) Remove(ctx context.Context, id string) error {
	return r.update(ctx, "remove", id, deleteEndpoint)
}

// Rotate makes a new secret. The one before signs beside it for a day, so that no message is refused meanwhile.
func (r *Endpoints) Rotate(ctx context.Context, id string) (string, error) {
	fresh, sealed, err := r.seal()
	if err != nil {
		return "", err
	}
	return fresh.Text(), r.update(ctx, "rotate secret of", id, updateSecret, sealed, r.now().Add(oldSecretFor))
}

// Replay tells everything again from the event at stream sequence from on, and goes on as ever. Letters behind it are
// forgotten: they come again by themselves.
func (r *Endpoints) Replay(ctx context.Context, id string, from uint64) error {
	info, err := r.log.Info(ctx)
	if err != nil {
		return fmt.Errorf("replay webhook %s: %w", id, err)
	}
	if from == 0 {
		return invalid("from", "a replay begins with event 1 at the earliest")
	}
	position, err := before(from, info)
	if err != nil {
		return err
	}
	return r.within(ctx, "replay", id, func(tx pgx.Tx) error {
		if err := touched(tx.Exec(ctx, updateReplayed, id, position, info.Created.UnixNano())); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, deleteLettersFrom, id, position)
		return err
	})
}

// ReplayConsultation tells the events of one consultation again from seq on, in their order, beside what else happens.
func (r *Endpoints) ReplayConsultation(ctx context.Context, id, consultation string, seq uint64) error {
	if !events.ValidID(consultation) {
		return invalid("consultation", "the consultation's id is not a UUID")
	}
	return r.within(ctx, "replay", id, func(tx pgx.Tx) error {
		var types []events.Type
		var position uint64
		if err := tx.QueryRow(ctx, selectPlace, id).Scan(&types, &position); err != nil {
			return err
		}
		for e, err := range r.log.Read(ctx, consultation, max(seq, 1)) {
			if err != nil {
				return err
			}
			if e.Stream > position { // comes by itself
				break
			}
			if !wanted(types, e.Type) {
				continue
			}
			now := r.now()
			if _, err := tx.Exec(ctx, insertLetter, id, e.Stream, e.Subject, e.Seq, e.ID, e.Type, 0, "", now, now); err != nil {
				return err
			}
		}
		return touched(tx.Exec(ctx, raise, id))
	})
}

// Letters gives those behind a stream sequence, in the order of the log, limit at most.
func (r *Endpoints) Letters(ctx context.Context, id string, after uint64, limit int) ([]Letter, error) {
	if _, err := r.Get(ctx, id); err != nil {
		return nil, err
	}
	rows, err := r.pool.Query(ctx, selectLetters, id, int64(min(after, 1<<62)), limit)
	if err != nil {
		return nil, fmt.Errorf("list letters of webhook %s: %w", id, err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Letter])
	if err != nil {
		return nil, fmt.Errorf("list letters of webhook %s: %w", id, err)
	}
	return all, nil
}

// Again orders the dead letter at a stream sequence to be sent once more, or all of them when position is nil. The error
// wraps ErrNotFound when there is no such letter.
func (r *Endpoints) Again(ctx context.Context, id string, position *uint64) error {
	return r.within(ctx, "send again to", id, func(tx pgx.Tx) error {
		if err := touched(tx.Exec(ctx, raise, id)); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, updateAgain, id, position, r.now())
		if position == nil {
			return err
		}
		return touched(tag, err)
	})
}

func (r *Endpoints) update(ctx context.Context, what, id, sql string, args ...any) error {
	return r.within(ctx, what, id, func(tx pgx.Tx) error {
		return touched(tx.Exec(ctx, sql, append([]any{id}, args...)...))
	})
}

// within runs a change of one endpoint.
func (r *Endpoints) within(ctx context.Context, what, id string, f func(pgx.Tx) error) error {
	err := ErrNotFound
	if events.ValidID(id) {
		err = pgx.BeginFunc(ctx, r.pool, f)
	}
	var named *InvalidError
	switch {
	case err == nil, errors.As(err, &named):
		return err
	case errors.Is(err, pgx.ErrNoRows):
		err = ErrNotFound
	}
	return fmt.Errorf("%s webhook %s: %w", what, id, err)
}

// touched is ErrNotFound when a statement found nothing.
func touched(tag pgconn.CommandTag, err error) error {
	if err == nil && tag.RowsAffected() == 0 {
		return ErrNotFound
	}
	return err
}
