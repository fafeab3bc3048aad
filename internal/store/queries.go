package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"consilium/internal/consultation"
	"consilium/internal/events"
)

var (
	// ErrNotFound says that the read model shows no such consultation.
	ErrNotFound = errors.New("no such consultation")
	// ErrInvalid says that a filter cannot be followed; the text after it says why, in words for the person who asked.
	ErrInvalid = errors.New("the list cannot be shown")
)

// InvalidError is an ErrInvalid that names the field of the filter as the API spells it.
type InvalidError struct{ Field, Reason string }

// Error is a sentence for the person who asked.
func (e *InvalidError) Error() string { return ErrInvalid.Error() + ": " + e.Reason }

// Is makes every InvalidError an ErrInvalid.
func (e *InvalidError) Is(target error) bool { return target == ErrInvalid }

func invalid(field, reason string, args ...any) error {
	return &InvalidError{Field: field, Reason: fmt.Sprintf(reason, args...)}
}

// Limits of List.
const (
	DefaultLimit = 50
	MaxLimit     = 200
	maxQuery     = 200 // characters
	maxTerms     = 8
)

// Filter chooses consultations. Zero fields choose all.
type Filter struct {
	// Query holds words that must all occur in title, external reference or names. Case and accents do not matter. A word
	// of one or two letters or digits counts only where a word begins with it.
	Query string
	// Person holds words that must all occur in the name of one participant.
	Person string
	// From and To bound when it was held (started, or else scheduled): From included, To not.
	From, To     time.Time
	State        consultation.Phase
	Problem      string // a code of Problems, or AnyProblem, or NoProblem
	Consent      string // given: everybody has; refused, withdrawn, none: somebody has (not)
	Held         string // HeldYes, HeldNo, HeldAsked
	Consultation string // only this one
	// Own is for askers who may see their own consultation only: without a Consultation it chooses none, not all.
	Own         bool
	Participant string // only those with this participant
	Cursor      string // Page.Next of the page before
	Limit       int    // rows of a page; 0 means DefaultLimit, at most MaxLimit
}

// Values of Filter.Problem beside the codes.
const (
	AnyProblem = "any"
	NoProblem  = "no"
)

// Values of Filter.Held.
const (
	HeldYes   = "true"              // a hold is in force
	HeldNo    = "false"             // none is
	HeldAsked = "release_requested" // a hold is in force, and a request to release one still counts
)

// Consultation is one row of a list.
type Consultation struct {
	ID          string
	State       consultation.Phase
	Policy      events.Policy
	Layout      string
	Language    string
	Title       string // empty when the directory has none
	ExternalRef string
	TimeZone    string
	Paused      bool // the recording
	ScheduledAt time.Time
	StartedAt   *time.Time // when the first participant joined
	EndedAt     *time.Time // nil while it has not ended
	EndReason   string
	CompletedAt *time.Time // when every segment was stored or given up

	Participants    int // invited
	Present         int
	SegmentsStored  int64
	SegmentsPending []string      // opened and not stored yet: what an archive waits for
	SegmentsMissing []string      // named as missing by the completion
	Bytes           int64         // of the stored segments
	Seq             uint64        // of the newest event shown
	Problems        []string      // codes, see Problems
	Consents        []string      // answers that occur
	Expected        time.Duration // sum of the tracks, as the completion said; 0 before
	Recorded        time.Duration
	Holds           int        // in force: nothing of it may be deleted
	ReleaseAskedAt  *time.Time // newest request to release one of them, nil when none waits

	People  Participants // in the order of invitation
	Archive *Archive     // the newest version, nil when none was requested
}

// LogValue shows the id only.
func (c Consultation) LogValue() slog.Value { return slog.StringValue("consultation " + c.ID) }

// Participant is one participant of a consultation.
type Participant struct {
	ID         string
	Name       string // empty when the directory has none
	Role       string
	For        []string // of a device: the participants whose consent it needs
	Consent    consultation.Answer
	ConsentAt  *time.Time
	Present    bool
	InvitedAt  time.Time
	JoinedAt   *time.Time // first
	LeftAt     *time.Time // last; nil while present
	LeftReason string
}

// LogValue shows the id only.
func (p Participant) LogValue() slog.Value { return slog.StringValue("participant " + p.ID) }

// Participants are all participants of one consultation.
type Participants []Participant

// LogValue shows the ids only.
func (ps Participants) LogValue() slog.Value {
	ids := make([]string, len(ps))
	for i, p := range ps {
		ids[i] = p.ID
	}
	return slog.AnyValue(ids)
}

// Archive is one version of the archive.
type Archive struct {
	Version     int
	State       string // ArchiveQueued, …
	Code        string // why it failed
	Layout      string
	Profile     string
	RequestedAt time.Time
	StartedAt   *time.Time
	FinishedAt  *time.Time
	Key         string
	Bytes       int64
	Duration    time.Duration
	Stamp       bool     // the wall clock stands in the picture
	Voices      bool     // each participant's sound lies in a file of its own
	Unverified  []string // of a ready one: codes of the checks that were not made
}

// Page is one page of a list, newest first.
type Page struct {
	Items []Consultation
	Next  string // cursor of the next page, empty on the last one
}

// LogValue shows the number of rows only.
func (p Page) LogValue() slog.Value { return slog.IntValue(len(p.Items)) }

// Queries answers questions from the rows. It is safe for concurrent use.
type Queries struct {
	pool *pgxpool.Pool
}

// NewQueries works on a database that has all migrations. The caller closes the pool.
func NewQueries(pool *pgxpool.Pool) *Queries {
	return &Queries{pool: pool}
}

// listColumns are read from c, d and a, which listJoins puts together.
const (
	listColumns = `
	select c.id::text, c.state, c.policy, c.layout, c.language, coalesce(d.title, ''), coalesce(d.external_ref, ''),
		coalesce(d.time_zone, 'UTC'), c.paused, c.scheduled_at, c.started_at, c.ended_at, c.end_reason, c.completed_at,
		c.participants, c.present, c.segments_stored, c.pending, c.missing, c.bytes, c.seq, c.problems, c.consents,
		c.expected_ms * 1000000, c.recorded_ms * 1000000, c.holds, c.release_asked_at, c.held_at,
		a.version, a.state, a.code, a.layout, a.profile, a.requested_at, a.started_at, a.finished_at, a.key, a.bytes, a.duration_ms,
		a.stamp, a.voices, a.unverified`
	listJoins = `
	left join directory.consultations d on d.id = c.id
	left join lateral (
		select * from readmodel.archives a where a.consultation = c.id order by a.version desc limit 1
	) a on true`
	selectConsultations = listColumns + " from readmodel.consultations c" + listJoins
)

// A search looks through the newest consultations one by one before it asks the index of words: glance of them, and, when
// that showed a good part of a page, secondLook. What occurs often is found there at once, sorted already; what does not
// occur often enough to fill a page is rare, and then the index gives few rows to sort. No search has to rely on a guess
// of how often its words occur.
const (
	glance     = 4_000
	secondLook = 18_000
	goodPart   = 3 // a page divided by this
)

// List gives one page of the consultations that f chooses. The error wraps ErrInvalid when f cannot be followed.
func (q *Queries) List(ctx context.Context, f Filter) (Page, error) {
	limit, err := f.limit()
	if err != nil {
		return Page{}, err
	}
	ask, err := f.statements(limit)
	if err != nil {
		return Page{}, err
	}
	var page Page
	err = q.read(ctx, func(tx pgx.Tx) error {
		page = Page{Items: []Consultation{}}
		found, err := ask.run(ctx, tx, limit)
		if err != nil {
			return err
		}
		if len(found) > limit {
			found = found[:limit]
			page.Next = found[limit-1].cursor().String()
		}
		for _, l := range found {
			page.Items = append(page.Items, l.Consultation)
		}
		return addPeople(ctx, tx, page.Items)
	})
	if err != nil {
		return Page{}, fmt.Errorf("list consultations: %w", err)
	}
	return page, nil
}

// statements answer one question. Each reads one row more than a page has, to know whether there are more.
type statements struct {
	look  string // through the newest rows, as many as stand in place of %d; empty when no words are searched for
	whole string // knows all
	args  []any
}

// run tries one statement after the other until one fills a page, or knows all.
func (s statements) run(ctx context.Context, tx pgx.Tx, limit int) ([]listed, error) {
	if s.look != "" {
		for _, n := range []int{glance, secondLook} {
			found, err := s.ask(ctx, tx, fmt.Sprintf(s.look, n))
			if err != nil || len(found) > limit {
				return found, err
			}
			if len(found) < limit/goodPart {
				break
			}
		}
	}
	return s.ask(ctx, tx, s.whole)
}

// ask plans anew each time: which index is the right one depends on the words.
func (s statements) ask(ctx context.Context, tx pgx.Tx, sql string) ([]listed, error) {
	rows, err := tx.Query(ctx, sql, append([]any{pgx.QueryExecModeCacheDescribe}, s.args...)...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanListed)
}

// statements puts the question into SQL.
func (f Filter) statements(limit int) (statements, error) {
	c, err := f.where()
	if err != nil {
		return statements{}, err
	}
	query, person, err := f.words(&c)
	if err != nil {
		return statements{}, err
	}
	const order = " order by c.held_at desc, c.id desc"
	if query == "" && person == "" {
		return statements{whole: selectConsultations + " where " + c.text() + fmt.Sprintf("%s limit %d", order, limit+1), args: c.args}, nil
	}
	var here, found, in []string
	// The offset keeps the planner from asking the index of words in a look as well: one by one means by id.
	if query != "" {
		here = append(here, "exists (select from directory.consultations d where d.id = c.id and "+query+" offset 0)")
		found = append(found, "texts as materialized (select d.id from directory.consultations d where "+query+")")
		in = append(in, " join texts on texts.id = c.id")
	}
	if person != "" {
		here = append(here, "exists (select from directory.participants n where n.consultation = c.id and "+person+" offset 0)")
		found = append(found, "people as materialized (select distinct n.consultation as id from directory.participants n where "+person+")")
		in = append(in, " join people on people.id = c.id")
	}
	// The page is chosen by ids and times alone; what it shows is read for its rows only.
	newest := "(select c.id, c.held_at from readmodel.consultations c where " + c.text() + order + " limit %d) c"
	page := func(from string) string {
		return fmt.Sprintf("top as materialized (select c.id from %s%s limit %d) ", from, order, limit+1) +
			selectConsultations + " where c.id in (select id from top)" + order
	}
	return statements{
		look:  "with " + page(newest+" where "+strings.Join(here, " and ")),
		whole: "with " + strings.Join(found, ", ") + ", " + page("readmodel.consultations c"+strings.Join(in, "")+" where "+c.text()),
		args:  c.args,
	}, nil
}

// addPeople fills in who takes part.
func addPeople(ctx context.Context, tx pgx.Tx, to []Consultation) error {
	at := make(map[string]*Consultation, len(to))
	ids := make([]string, len(to))
	for i := range to {
		ids[i], at[to[i].ID] = to[i].ID, &to[i]
	}
	rows, err := tx.Query(ctx, selectParticipants, ids)
	if err != nil {
		return err
	}
	return eachRow(rows, func() error {
		var of string
		var p Participant
		err := rows.Scan(&of, &p.ID, &p.Name, &p.Role, &p.For, &p.Consent, &p.ConsentAt, &p.Present, &p.InvitedAt, &p.JoinedAt,
			&p.LeftAt, &p.LeftReason)
		if err == nil {
			at[of].People = append(at[of].People, p)
		}
		return err
	})
}

// listed is a row with the key of the order.
type listed struct {
	Consultation
	heldAt time.Time
}

func (l listed) cursor() cursor {
	return cursor{heldAt: l.heldAt, id: uuid.MustParse(l.ID)} // the column's type is uuid
}

func scanListed(row pgx.CollectableRow) (listed, error) {
	var (
		l                                 listed
		version, bytes, durationMS        *int64
		state, code, layout, profile, key *string
		requestedAt                       *time.Time
		stamp, voices                     *bool
		a                                 Archive
	)
	c := &l.Consultation
	err := row.Scan(&c.ID, &c.State, &c.Policy, &c.Layout, &c.Language, &c.Title, &c.ExternalRef,
		&c.TimeZone, &c.Paused, &c.ScheduledAt, &c.StartedAt, &c.EndedAt, &c.EndReason, &c.CompletedAt,
		&c.Participants, &c.Present, &c.SegmentsStored, &c.SegmentsPending, &c.SegmentsMissing, &c.Bytes, &c.Seq, &c.Problems, &c.Consents,
		&c.Expected, &c.Recorded, &c.Holds, &c.ReleaseAskedAt, &l.heldAt,
		&version, &state, &code, &layout, &profile, &requestedAt, &a.StartedAt, &a.FinishedAt, &key, &bytes, &durationMS, &stamp, &voices, &a.Unverified)
	if err != nil || version == nil {
		return l, err
	}
	a.Version, a.State, a.Code, a.Layout, a.Profile = int(*version), *state, *code, *layout, *profile
	a.RequestedAt, a.Key, a.Bytes, a.Duration = *requestedAt, *key, *bytes, time.Duration(*durationMS)*time.Millisecond
	a.Stamp, a.Voices = *stamp, *voices
	c.Archive = &a
	return l, nil
}

const (
	selectParticipants = `
		select p.consultation::text, p.id, coalesce(d.name, ''), p.role, p.records, p.consent, p.consent_at, p.present, p.invited_at, p.joined_at,
			p.left_at, p.left_reason
		from readmodel.participants p
		left join directory.participants d on d.consultation = p.consultation and d.id::text = p.id
		where p.consultation = any($1)
		order by p.invited_at, p.id`
	selectArchives = `
		select version, state, code, layout, profile, requested_at, started_at, finished_at, key, bytes, duration_ms * 1000000,
			stamp, voices, unverified
		from readmodel.archives where consultation = $1 order by version`
)

// Get gives one consultation with its participants. The error wraps ErrNotFound when there is none.
func (q *Queries) Get(ctx context.Context, id string) (Consultation, error) {
	if !events.ValidID(id) {
		return Consultation{}, fmt.Errorf("get consultation: %w", ErrNotFound)
	}
	found := make([]Consultation, 1)
	err := q.read(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, selectConsultations+" where c.id = $1", id)
		if err != nil {
			return err
		}
		one, err := pgx.CollectExactlyOneRow(rows, scanListed)
		if err != nil {
			return err
		}
		found[0] = one.Consultation
		return addPeople(ctx, tx, found)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		err = ErrNotFound
	}
	if err != nil {
		return Consultation{}, fmt.Errorf("get consultation %s: %w", id, err)
	}
	return found[0], nil
}

// Archives gives all versions of a consultation's archive, oldest first. The error wraps ErrNotFound when there is no
// such consultation.
func (q *Queries) Archives(ctx context.Context, id string) ([]Archive, error) {
	if !events.ValidID(id) {
		return nil, fmt.Errorf("list archives: %w", ErrNotFound)
	}
	var all []Archive
	err := q.of(ctx, id, func(tx pgx.Tx) (err error) {
		all, err = collect[Archive](ctx, tx, selectArchives, id)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list archives of %s: %w", id, err)
	}
	return all, nil
}

// beginRead tells the planner of a database that is not ours what is true of any disk today, and that no question here is
// worth compiling.
const beginRead = "begin isolation level repeatable read read only; set local random_page_cost = 1.1; set local jit = off"

// read runs several queries on one state of the database. When the connection breaks, as it does when the database is
// started anew, f is run once more on another one, so it must begin with nothing: nobody who reads has to notice.
func (q *Queries) read(ctx context.Context, f func(pgx.Tx) error) error {
	for again := 0; ; again++ {
		var broken bool
		err := pgx.BeginTxFunc(ctx, q.pool, pgx.TxOptions{BeginQuery: beginRead}, func(tx pgx.Tx) error {
			err := f(tx)
			broken = tx.Conn().IsClosed()
			return err
		})
		if err == nil || ctx.Err() != nil || again >= readAgain || !broken && !cutOff(err) {
			return err
		}
	}
}

// readAgain is more than once, because several idle connections may be dead.
const readAgain = 5

// cutOff says whether err is that of a connection that died before anything was read.
func cutOff(err error) bool {
	var said *pgconn.PgError
	if errors.As(err, &said) {
		return said.Code == adminShutdown || said.Code == crashShutdown
	}
	return pgconn.SafeToRetry(err) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF)
}

// What PostgreSQL says when it cuts a connection (its manual, appendix A).
const (
	adminShutdown = "57P01"
	crashShutdown = "57P02"
)
