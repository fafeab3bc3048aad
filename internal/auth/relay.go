package auth

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // the scheme's own; see relayPassword
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"consilium/internal/events"
)

// RelayTTL is how long a new relay may be asked for with a credential. A relay that is there outlives it; it ends with
// its participant.
const RelayTTL = 6 * time.Hour

// RelayCredential is what a participant's browser shows to the TURN server.
type RelayCredential struct {
	Username string // "expiry:participant", the expiry in seconds since 1970
	Password string
}

// Relay makes the credential of a participant, valid from now for RelayTTL.
func (a *Authority) Relay(participant string) RelayCredential {
	username := strconv.FormatInt(a.now().Add(RelayTTL).Unix(), 10) + ":" + participant
	return RelayCredential{Username: username, Password: a.relayPassword(username)}
}

// CheckRelay gives the participant whom a TURN user name speaks for and the password that belongs to it, and whether its
// time is over. It believes nobody: who knows the password is who was given it.
func (a *Authority) CheckRelay(username string) (participant, password string, expired bool, err error) {
	expiry, participant, found := strings.Cut(username, ":")
	seconds, parseErr := strconv.ParseInt(expiry, 10, 64)
	if !found || parseErr != nil || !events.ValidID(participant) {
		return "", "", false, fmt.Errorf("%w: it is no user name of ours", ErrInvalid)
	}
	return participant, a.relayPassword(username), a.now().Unix() >= seconds, nil
}

// relayPassword follows the draft that all TURN servers know (draft-uberti-behave-turn-rest-00): HMAC-SHA1 of the user
// name. The key is made from the API secret and is good for nothing else.
func (a *Authority) relayPassword(username string) string {
	key := hmac.New(sha256.New, a.secret)
	key.Write([]byte("consilium relay"))
	mac := hmac.New(sha1.New, key.Sum(nil))
	mac.Write([]byte(username))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
