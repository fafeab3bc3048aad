package directory

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// How long answers are kept, and after which time a request that never answered is believed to be dead.
const (
	KeepAnswers = 24 * time.Hour
	DeadAfter   = time.Minute
)

var (
	// ErrOtherRequest says that the key belongs to another request.
	ErrOtherRequest = errors.New("the key was used for another request")
	// ErrRunning says that the request with this key is being carried out at the moment.
	ErrRunning = errors.New("the request with this key is being carried out")
)

const (
	beginAnswer = `
		insert into directory.answers as a (caller, key, request, created_at) values ($1, $2, $3, now())
		on conflict (caller, key) do update set request = excluded.request, answer = null, created_at = excluded.created_at
			where a.created_at < now() - $4::interval or a.answer is null and a.created_at < now() - $5::interval
		returning key`
	getAnswer    = `select request, answer from directory.answers where caller = $1 and key = $2`
	putAnswer    = `update directory.answers set answer = $3 where caller = $1 and key = $2`
	dropAnswer   = `delete from directory.answers where caller = $1 and key = $2`
	forgetAnswer = `delete from directory.answers where created_at < now() - $1::interval`
)

// BeginAnswer claims a key of a caller for a request. All three are digests. When the same request was answered before,
// the answer comes back and nothing is claimed; nil means that the caller goes on, and calls PutAnswer or DropAnswer.
// The error is ErrOtherRequest or ErrRunning when the reason is the client's.
func (d *Directory) BeginAnswer(ctx context.Context, caller, key, request string) (answer []byte, err error) {
	err = pgx.BeginFunc(ctx, d.pool, func(tx pgx.Tx) error {
		var claimed string
		err := tx.QueryRow(ctx, beginAnswer, caller, key, request, KeepAnswers.String(), DeadAfter.String()).Scan(&claimed)
		if !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		var same string
		if err := tx.QueryRow(ctx, getAnswer, caller, key).Scan(&same, &answer); err != nil {
			return err
		}
		switch {
		case same != request:
			return ErrOtherRequest
		case answer == nil:
			return ErrRunning
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("begin answer: %w", err)
	}
	return answer, nil
}

// PutAnswer keeps the answer of a claimed key.
func (d *Directory) PutAnswer(ctx context.Context, caller, key string, answer []byte) error {
	if _, err := d.pool.Exec(ctx, putAnswer, caller, key, answer); err != nil {
		return fmt.Errorf("keep answer: %w", err)
	}
	return nil
}

// DropAnswer gives a claimed key back: the request changed nothing and may be tried again.
func (d *Directory) DropAnswer(ctx context.Context, caller, key string) error {
	if _, err := d.pool.Exec(ctx, dropAnswer, caller, key); err != nil {
		return fmt.Errorf("drop answer: %w", err)
	}
	return nil
}

// ForgetAnswers removes those that are older than KeepAnswers.
func (d *Directory) ForgetAnswers(ctx context.Context) error {
	if _, err := d.pool.Exec(ctx, forgetAnswer, KeepAnswers.String()); err != nil {
		return fmt.Errorf("forget answers: %w", err)
	}
	return nil
}
