package api

import (
	"crypto/sha256"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"consilium/internal/auth"

	"golang.org/x/time/rate"
)

// limit is a rate of requests a second and how many may come at once.
type limit struct {
	rate  rate.Limit
	burst int
}

// The limits. A calling system acts for many people; who guesses tokens is a person or a program at one address.
var (
	limitPeople  = limit{100, 400}
	limitService = limit{1000, 2000}
	limitRefused = limit{50, 500} // requests that were refused for their token, of one address
)

// maxBuckets bounds the memory that strangers can make us use.
const maxBuckets = 50_000

// buckets are the token buckets of callers and addresses.
type buckets struct {
	now func() time.Time

	mu  sync.Mutex // guards all
	all map[string]*bucket
}

type bucket struct {
	*rate.Limiter
	used time.Time
}

func newBuckets(now func() time.Time) *buckets {
	return &buckets{now: now, all: map[string]*bucket{}}
}

// of gives the bucket of a key.
func (b *buckets) of(key string, l limit) *rate.Limiter {
	now := b.now()
	b.mu.Lock()
	defer b.mu.Unlock()
	found := b.all[key]
	if found == nil {
		if len(b.all) >= maxBuckets {
			b.forgetLocked(now)
		}
		found = &bucket{Limiter: rate.NewLimiter(l.rate, l.burst)}
		b.all[key] = found
	}
	found.used = now
	return found.Limiter
}

// forgetLocked drops buckets that are full again: a new one is the same. If too many are in use, all go.
func (b *buckets) forgetLocked(now time.Time) {
	for key, one := range b.all {
		if now.Sub(one.used) > time.Minute {
			delete(b.all, key)
		}
	}
	if len(b.all) >= maxBuckets {
		clear(b.all)
	}
}

// limited answers 429 to callers who ask too often, and to addresses from which too many wrong tokens came.
func (s *Server) limited(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		now := s.deps.Now()
		address, _, err := net.SplitHostPort(r.RemoteAddr)
		if err != nil {
			address = r.RemoteAddr
		}
		refused := s.buckets.of("refused "+address, limitRefused)
		if refused.TokensAt(now) < 1 {
			tooMany(w)
			return
		}
		who, err := s.callerOf(r)
		switch {
		case err != nil: // sessions and signaling come without one
			next.ServeHTTP(&refusals{ResponseWriter: w, count: func() { refused.AllowN(now, 1) }}, r)
			return
		case !s.buckets.of(who.key(), limitOf(who.Role)).AllowN(now, 1):
			tooMany(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func limitOf(role string) limit {
	if role == auth.RoleService {
		return limitService
	}
	return limitPeople
}

// key tells callers apart, without keeping who they are.
func (c caller) key() string {
	sum := sha256.Sum256([]byte(strings.Join([]string{c.Issuer, c.Subject, c.Role, c.Consultation, c.Participant}, "\x00")))
	return string(sum[:])
}

func tooMany(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "1")
	writeProblem(w, problem(http.StatusTooManyRequests, "too_many_requests", "These are too many requests at once. Please try again in a moment."))
}

// refusals counts answers that say that a token is wrong.
type refusals struct {
	http.ResponseWriter
	count func()
}

// WriteHeader counts 401.
func (r *refusals) WriteHeader(status int) {
	if status == http.StatusUnauthorized {
		r.count()
	}
	r.ResponseWriter.WriteHeader(status)
}

// Unwrap lets a WebSocket take the connection over.
func (r *refusals) Unwrap() http.ResponseWriter { return r.ResponseWriter }
