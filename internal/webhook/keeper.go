package webhook

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"consilium/internal/events"
)

// Keeper copies the register of receivers out of one database and into another one, for back-ups. Secrets stay encrypted with
// the API secret on the way.
type Keeper struct {
	pool *pgxpool.Pool
}

// NewKeeper works on a database that has all migrations. The caller closes the pool.
func NewKeeper(pool *pgxpool.Pool) *Keeper {
	return &Keeper{pool: pool}
}

// Kept is a receiver with all that has to be known to go on telling it. How often it was tried in vain is not.
type Kept struct {
	ID        string        `json:"id"`
	URL       string        `json:"url"`
	Types     []events.Type `json:"types"`
	Secret    []byte        `json:"secret"`              // encrypted
	OldSecret []byte        `json:"oldSecret,omitempty"` // encrypted
	OldUntil  *time.Time    `json:"oldUntil,omitempty"`
	CreatedAt time.Time     `json:"createdAt"`
	CreatedBy string        `json:"createdBy"`
	Position  uint64        `json:"position"`
	State     State         `json:"state"`
	Reason    string        `json:"reason,omitempty"`
	Letters   []Letter      `json:"letters"` // in the order of the log
}

const (
	selectKept = `
		select id::text, url, types, secret, old_secret, old_until, created_at, created_by, least(position, $1), state, reason
		from webhook.endpoints order by id`
	selectKeptLetters = `
		select position, consultation::text, seq, event, type, dead, attempts, code, set_aside_at, next_at
		from webhook.letters where endpoint = $1 and position <= $2 order by position`
	insertKept = `
		insert into webhook.endpoints (id, url, types, secret, old_secret, old_until, created_at, created_by, log_created_ns, position, state,
			reason, generation, attempts, last_code)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 1, 0, '')`
)

// All gives every receiver, the oldest first, as they were at one moment and as if the log ended at through: what was told of later
// events is not known to who has the log up to there.
func (k *Keeper) All(ctx context.Context, through uint64) (all []Kept, err error) {
	err = pgx.BeginTxFunc(ctx, k.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, selectKept, int64(through)) //nolint:gosec // far below 2^63
		if err != nil {
			return err
		}
		all, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (e Kept, err error) {
			return e, row.Scan(&e.ID, &e.URL, &e.Types, &e.Secret, &e.OldSecret, &e.OldUntil, &e.CreatedAt, &e.CreatedBy, &e.Position, &e.State, &e.Reason)
		})
		if err != nil {
			return err
		}
		for i := range all {
			letters, err := tx.Query(ctx, selectKeptLetters, all[i].ID, int64(through)) //nolint:gosec // far below 2^63
			if err != nil {
				return err
			}
			if all[i].Letters, err = pgx.CollectRows(letters, pgx.RowToStructByPos[Letter]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the register of webhooks: %w", err)
	}
	return all, nil
}

// Put adds a receiver that another register had. It is paused, unless it was suspended: whoever tries out a back-up must not tell
// the hospital's systems what happened long ago, and whoever needs it resumes it. log is when the log was made in which the
// positions count now.
func (k *Keeper) Put(ctx context.Context, e Kept, log time.Time) error {
	if e.State == Active {
		e.State = Paused
	}
	err := pgx.BeginFunc(ctx, k.pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, insertKept, e.ID, e.URL, orEmpty(e.Types), e.Secret, e.OldSecret, e.OldUntil, e.CreatedAt, e.CreatedBy,
			log.UnixNano(), e.Position, e.State, e.Reason)
		if err != nil {
			return err
		}
		rows := make([][]any, len(e.Letters))
		for i, l := range e.Letters {
			rows[i] = []any{e.ID, l.Position, l.Consultation, l.Seq, l.Event, l.Type, l.Dead, l.Attempts, l.Code, l.SetAsideAt, l.NextAt}
		}
		_, err = tx.CopyFrom(ctx, pgx.Identifier{"webhook", "letters"},
			[]string{"endpoint", "position", "consultation", "seq", "event", "type", "dead", "attempts", "code", "set_aside_at", "next_at"},
			pgx.CopyFromRows(rows))
		return err
	})
	if err != nil {
		return fmt.Errorf("bring back webhook %s: %w", e.ID, err)
	}
	return nil
}
