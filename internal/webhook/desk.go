package webhook

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"consilium/internal/events"
)

// theLock is the advisory lock of the database that the one sender holds.
const theLock = 0x636f6e73_77686b73 // "conswhks"

// writeWithin bounds one statement of the desk. It does not end with its caller: what was delivered has to be written down.
const writeWithin = 10 * time.Second

// errChanged says that a person has changed the endpoint since it was read: it is read again.
var errChanged = errors.New("the endpoint has changed")

// desk is where the one sender writes down how far it is. It holds the lock on the very connection on which it writes, so
// a process that was thought dead, or whose connection broke, has no pen: whoever can write holds the lock.
type desk struct {
	now func() time.Time

	mu   sync.Mutex // guards conn: one statement at a time
	conn *pgx.Conn
}

// openDesk connects and takes the lock, or gives nil when another process has it.
func openDesk(ctx context.Context, cfg *pgx.ConnConfig, now func() time.Time) (*desk, error) {
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	var mine bool
	if err := conn.QueryRow(ctx, "select pg_try_advisory_lock($1)", int64(theLock)).Scan(&mine); err != nil || !mine {
		return nil, errors.Join(err, conn.Close(ctx))
	}
	return &desk{now: now, conn: conn}, nil
}

func (d *desk) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), writeWithin)
	defer cancel()
	_ = d.conn.Close(ctx) // the lock goes with it, however it ends
}

// do runs f in a transaction on the connection that has the lock.
func (d *desk) do(ctx context.Context, f func(context.Context, pgx.Tx) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeWithin)
	defer cancel()
	return pgx.BeginFunc(ctx, d.conn, func(tx pgx.Tx) error { return f(ctx, tx) })
}

// route is an endpoint as the sender needs it.
type route struct {
	id, url          string
	types            []events.Type
	secret           []byte // encrypted
	oldSecret        []byte // encrypted, nil when there is none; signs beside the other until oldUntil
	oldUntil         *time.Time
	logCreated       int64 // ns
	position         uint64
	state            State
	generation       int64
	attempts         int
	awaySince, until *time.Time
}

const (
	selectRoutes = `select id::text, generation from webhook.endpoints where state = 'active'`
	selectRoute  = `
		select id::text, url, types, secret, old_secret, old_until, log_created_ns, position, state, generation, attempts, away_since, next_at
		from webhook.endpoints where id = $1`
	selectWaiting = `
		select position, consultation::text, seq, event, type, dead, attempts, code, set_aside_at, next_at
		from webhook.letters where endpoint = $1 and not dead order by position`
	selectValid = `select 1 from webhook.endpoints where id = $1 and generation = $2 and state = 'active'`
	// Each of these finds nothing when a person has changed the endpoint meanwhile.
	updateDelivered = `
		update webhook.endpoints set position = greatest(position, $3), attempts = 0, away_since = null, next_at = null, last_code = '', delivered_at = $4
		where id = $1 and generation = $2`
	updateMoved   = `update webhook.endpoints set position = $3 where id = $1 and generation = $2`
	updateRefused = `update webhook.endpoints set position = greatest(position, $3), last_code = $4 where id = $1 and generation = $2`
	updateAway    = `
		update webhook.endpoints set attempts = attempts + 1, away_since = coalesce(away_since, $3), next_at = $4, last_code = $5
		where id = $1 and generation = $2`
	updateSuspended = `
		update webhook.endpoints set state = 'suspended', reason = $3, next_at = null where id = $1 and generation = $2`
	insertLetter = `
		insert into webhook.letters (endpoint, position, consultation, seq, event, type, dead, attempts, code, set_aside_at, next_at)
		values ($1, $2, $3, $4, $5, $6, false, $7, $8, $9, $10)
		on conflict (endpoint, position) do update set dead = false, attempts = excluded.attempts, code = excluded.code, next_at = excluded.next_at`
	updateLetter = `update webhook.letters set dead = $3, attempts = $4, code = $5, next_at = $6 where endpoint = $1 and position = $2`
	deleteLetter = `delete from webhook.letters where endpoint = $1 and position = $2`
)

// routes gives the generation of every active endpoint by id.
func (d *desk) routes(ctx context.Context) (map[string]int64, error) {
	all := map[string]int64{}
	err := d.do(ctx, func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, selectRoutes)
		if err != nil {
			return err
		}
		var id string
		var generation int64
		_, err = pgx.ForEachRow(rows, []any{&id, &generation}, func() error {
			all[id] = generation
			return nil
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read endpoints: %w", err)
	}
	return all, nil
}

// load reads an endpoint and the letters that wait for it, in the order of the log. ErrNotFound says that it was removed.
func (d *desk) load(ctx context.Context, id string) (r route, waiting []Letter, err error) {
	err = d.do(ctx, func(ctx context.Context, tx pgx.Tx) error {
		err := tx.QueryRow(ctx, selectRoute, id).Scan(&r.id, &r.url, &r.types, &r.secret, &r.oldSecret, &r.oldUntil, &r.logCreated, &r.position,
			&r.state, &r.generation, &r.attempts, &r.awaySince, &r.until)
		if errors.Is(err, pgx.ErrNoRows) {
			return ErrNotFound
		}
		if err != nil {
			return err
		}
		rows, err := tx.Query(ctx, selectWaiting, id)
		if err != nil {
			return err
		}
		waiting, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Letter])
		return err
	})
	if err != nil {
		return route{}, nil, fmt.Errorf("read endpoint %s: %w", id, err)
	}
	return r, waiting, nil
}

// valid makes sure, before a request, that the lock is still held and that nobody has changed the endpoint.
func (d *desk) valid(ctx context.Context, r route) error {
	var one int
	err := d.do(ctx, func(ctx context.Context, tx pgx.Tx) error {
		return tx.QueryRow(ctx, selectValid, r.id, r.generation).Scan(&one)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		err = errChanged
	}
	if err != nil {
		return fmt.Errorf("look at endpoint %s: %w", r.id, err)
	}
	return nil
}

// change runs one of the guarded updates, and what belongs to it.
func (d *desk) change(ctx context.Context, r route, sql string, args []any, more func(context.Context, pgx.Tx) error) error {
	err := d.do(ctx, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, sql, append([]any{r.id, r.generation}, args...)...)
		switch {
		case err != nil:
			return err
		case tag.RowsAffected() == 0:
			return errChanged
		case more == nil:
			return nil
		}
		return more(ctx, tx)
	})
	if err != nil {
		return fmt.Errorf("write down for endpoint %s: %w", r.id, err)
	}
	return nil
}

// delivered moves the position behind an event that was taken.
func (d *desk) delivered(ctx context.Context, r route, position uint64) error {
	return d.change(ctx, r, updateDelivered, []any{position, d.now()}, nil)
}

// moved moves the position over events that are of no concern.
func (d *desk) moved(ctx context.Context, r route, position uint64) error {
	return d.change(ctx, r, updateMoved, []any{position}, nil)
}

// letterDelivered forgets a letter that was taken at last.
func (d *desk) letterDelivered(ctx context.Context, r route, l Letter) error {
	return d.change(ctx, r, updateDelivered, []any{r.position, d.now()}, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, deleteLetter, r.id, l.Position)
		return err
	})
}

// setAside keeps an event as a letter and moves the position behind it, both or neither.
func (d *desk) setAside(ctx context.Context, r route, l Letter) error {
	return d.change(ctx, r, updateRefused, []any{l.Position, l.Code}, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, insertLetter, r.id, l.Position, l.Consultation, l.Seq, l.Event, l.Type, l.Attempts, l.Code, l.SetAsideAt, l.NextAt)
		return err
	})
}

// letterRefused keeps what became of a letter that was refused again.
func (d *desk) letterRefused(ctx context.Context, r route, l Letter) error {
	return d.change(ctx, r, updateRefused, []any{r.position, l.Code}, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, updateLetter, r.id, l.Position, l.Dead, l.Attempts, l.Code, l.NextAt)
		return err
	})
}

// isAway keeps since when nobody takes anything and when to try again.
func (d *desk) isAway(ctx context.Context, r route, code string, next time.Time) error {
	return d.change(ctx, r, updateAway, []any{d.now(), next, code}, nil)
}

// suspend stops an endpoint until a person resumes it.
func (d *desk) suspend(ctx context.Context, r route, reason string) error {
	return d.change(ctx, r, updateSuspended, []any{reason}, nil)
}

// tally counts what operators watch.
type tally struct {
	behind                   uint64 // events of the log behind the farthest active endpoint
	waiting, dead, suspended int64
}

const selectTally = `
	select coalesce(min(position) filter (where state = 'active'), $1), count(*) filter (where state = 'suspended'),
		(select count(*) from webhook.letters where not dead), (select count(*) from webhook.letters where dead)
	from webhook.endpoints`

func (d *desk) tally(ctx context.Context, last uint64) (t tally, err error) {
	var least uint64
	err = d.do(ctx, func(ctx context.Context, tx pgx.Tx) error {
		return tx.QueryRow(ctx, selectTally, int64(last)).Scan(&least, &t.suspended, &t.waiting, &t.dead)
	})
	if err != nil {
		return t, fmt.Errorf("count letters: %w", err)
	}
	t.behind = last - min(last, least)
	return t, nil
}
