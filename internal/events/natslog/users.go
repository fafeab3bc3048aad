package natslog

import (
	"fmt"
	"slices"

	"github.com/nats-io/nats-server/v2/server"
	"golang.org/x/crypto/bcrypt"

	"consilium/internal/events"
)

// The users of the embedded server.
const (
	userLive     = "live"     // appends and reads; cannot change, purge or delete a stream
	userStitcher = "stitcher" // appends the three archive facts only; reads; takes jobs
	userAdmin    = "admin"    // creates, changes and deletes streams; nobody uses it after the start
)

// inbox is where a user's answers come in. Every user has its own, so that none can listen to another's.
func inbox(user string) string {
	return "_INBOX." + user
}

// Permissions lists the subjects that a user of the log needs: "live" or "stitcher". The embedded server grants exactly
// these; an external one should do the same, and have SyncAlways set ("sync_interval: always").
func Permissions(user string) (publish, subscribe []string) {
	subscribe = []string{inbox(user) + ".>"}
	switch user {
	case userLive:
		publish = slices.Concat([]string{"ev.*.*.*", "job.>", "progress.>", "$KV.progress.>"},
			reading("EVENTS"), reading("JOBS"), reading("KV_progress"))
		subscribe = append(subscribe, "progress.>")
	case userStitcher:
		publish = slices.Concat([]string{"job.chunk.>", "progress.>", "$KV.progress.>", "$JS.ACK.JOBS.>"},
			reading("EVENTS"), reading("JOBS"), reading("KV_progress"))
		for _, t := range []events.Type{events.TypeArchiveStarted, events.TypeArchiveRendered, events.TypeArchiveFailed} {
			publish = append(publish, events.SubjectOfAll(t))
		}
		subscribe = append(subscribe, "progress.piece.>") // who waits for a chunk, and who could make one
	}
	return publish, subscribe
}

// reading is what it takes to read a stream, by request and by consumer.
func reading(stream string) []string {
	return []string{
		"$JS.API.STREAM.INFO." + stream,
		"$JS.API.STREAM.MSG.GET." + stream,
		"$JS.API.DIRECT.GET." + stream,
		"$JS.API.DIRECT.GET." + stream + ".>",
		"$JS.API.CONSUMER.CREATE." + stream + ".>",
		"$JS.API.CONSUMER.INFO." + stream + ".*",
		"$JS.API.CONSUMER.DELETE." + stream + ".*",
		"$JS.API.CONSUMER.MSG.NEXT." + stream + ".*",
		"$JS.FC." + stream + ".>",
	}
}

// serverUsers are the three users. The server gets hashes; the passwords are random, so the cheapest ones do.
func serverUsers(passwords map[string]string) ([]*server.User, error) {
	var users []*server.User
	for _, name := range []string{userLive, userStitcher, userAdmin} {
		hash, err := bcrypt.GenerateFromPassword([]byte(passwords[name]), bcrypt.MinCost)
		if err != nil {
			return nil, fmt.Errorf("make user %s: %w", name, err)
		}
		user := &server.User{Username: name, Password: string(hash)}
		if name != userAdmin {
			publish, subscribe := Permissions(name)
			user.Permissions = &server.Permissions{
				Publish:   &server.SubjectPermission{Allow: publish},
				Subscribe: &server.SubjectPermission{Allow: subscribe},
			}
		}
		users = append(users, user)
	}
	return users, nil
}
