package natslog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The names of streams and buckets. Package jobs uses the last two by the same names.
const (
	eventsStream   = "EVENTS"
	jobsStream     = "JOBS"
	progressBucket = "progress"
)

const (
	// DefaultMaxBytes is how large the log may become when nothing else is said. A consultation of an hour with three
	// participants has about 3 MB.
	DefaultMaxBytes = 16 << 30
	jobsMaxBytes    = 256 << 20
	progressBytes   = 64 << 20
	keepJobs        = 7 * 24 * time.Hour
	// duplicates is how long the server knows the id of an event that is appended again behind a newer version.
	duplicates = 2 * time.Minute
)

// Streams says how the streams are made when they are missing.
type Streams struct {
	MaxBytes int64 // of the event log; a full log refuses new events. 0 = DefaultMaxBytes
	Replicas int   // 0 = 3 on a cluster, 1 on a single server
}

// EnsureStreams creates what is missing and checks what is there: a log that could lose or change events is refused. It
// never makes anything smaller. nc must be allowed to create streams; when nothing is missing it need not.
func EnsureStreams(ctx context.Context, nc *nats.Conn, s Streams) error {
	if s.MaxBytes == 0 {
		s.MaxBytes = DefaultMaxBytes
	}
	if s.Replicas == 0 {
		s.Replicas = 1
		if nc.ConnectedClusterName() != "" {
			s.Replicas = 3
		}
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("prepare the event log: %w", err)
	}
	for _, want := range []jetstream.StreamConfig{eventsConfig(s), jobsConfig(s)} {
		if err := ensureStream(ctx, js, want); err != nil {
			return fmt.Errorf("prepare stream %s: %w", want.Name, err)
		}
	}
	if err := ensureBucket(ctx, js, s); err != nil {
		return fmt.Errorf("prepare bucket %s: %w", progressBucket, err)
	}
	return nil
}

func eventsConfig(s Streams) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: eventsStream, Description: "Consilium: every fact of every consultation", Subjects: []string{"ev.>"},
		Retention: jetstream.LimitsPolicy, Storage: jetstream.FileStorage, Replicas: s.Replicas,
		MaxBytes: s.MaxBytes, Discard: jetstream.DiscardNew, DenyDelete: true, DenyPurge: true,
		AllowDirect: true, AllowAtomicPublish: true, Duplicates: duplicates,
	}
}

func jobsConfig(s Streams) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: jobsStream, Description: "Consilium: work for stitchers", Subjects: []string{"job.>"},
		Retention: jetstream.LimitsPolicy, Storage: jetstream.FileStorage, Replicas: s.Replicas,
		MaxAge: keepJobs, MaxBytes: jobsMaxBytes, Discard: jetstream.DiscardOld, AllowDirect: true, Duplicates: duplicates,
	}
}

func ensureStream(ctx context.Context, js jetstream.JetStream, want jetstream.StreamConfig) error {
	stream, err := js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		if _, err = js.CreateStream(ctx, want); err != nil {
			return fmt.Errorf("it is missing and this user could not create it: %w", err) // a denied request is a time-out
		}
		return nil
	}
	if err != nil {
		return err
	}
	got := stream.CachedInfo().Config
	if want.Name == eventsStream {
		if err := safe(got); err != nil {
			return err
		}
	}
	if got.MaxBytes > 0 && got.MaxBytes < want.MaxBytes {
		got.MaxBytes = want.MaxBytes
		_, err = js.UpdateStream(ctx, got)
	}
	return err
}

// safe says why a stream must not hold the event log.
func safe(c jetstream.StreamConfig) error {
	var faults []error
	check := func(ok bool, fault string) {
		if !ok {
			faults = append(faults, errors.New(fault))
		}
	}
	check(c.Retention == jetstream.LimitsPolicy, "its retention is not limits")
	check(c.Storage == jetstream.FileStorage, "it is not on disk")
	check(c.MaxAge == 0 && c.MaxMsgs <= 0 && c.MaxMsgsPerSubject <= 0, "it drops old events (age or number is limited)")
	check(c.Discard == jetstream.DiscardNew, "it drops old events when it is full (discard is not new)")
	check(c.DenyDelete && c.DenyPurge, "events can be deleted (deny_delete and deny_purge are not set)")
	check(!c.AllowRollup && !c.AllowMsgTTL && !c.AllowMsgSchedules, "publishers can remove events (rollup, ttl or schedules)")
	check(c.PersistMode == jetstream.DefaultPersistMode, "it answers before events are on disk (persist mode async)")
	check(c.AllowDirect, "allow_direct is not set")
	check(c.AllowAtomicPublish, "allow_atomic is not set (NATS 2.12 or newer)")
	return errors.Join(faults...)
}

// ensureBucket makes the last values of progress. They are in memory: progress is gone with its worker, and a synced
// write each second would be a price for nothing.
func ensureBucket(ctx context.Context, js jetstream.JetStream, s Streams) error {
	_, err := js.KeyValue(ctx, progressBucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		_, err = js.CreateKeyValue(ctx, jetstream.KeyValueConfig{
			Bucket: progressBucket, Description: "Consilium: how far archives are", History: 1, TTL: keepJobs,
			Storage: jetstream.MemoryStorage, MaxBytes: progressBytes, Replicas: s.Replicas,
		})
	}
	return err
}
