package webhook

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"
	"time"
)

// secretPrefix marks a secret for people and tools.
const secretPrefix = "whsec_"

// secretSize is between the 24 and 64 bytes that the specification asks for.
const secretSize = 32

// secret signs messages. It prints as its prefix only.
type secret []byte

func newSecret() secret {
	s := make(secret, secretSize)
	rand.Read(s) // never fails
	return s
}

// Text is the form in which a receiver gets it, once.
func (s secret) Text() string { return secretPrefix + base64.StdEncoding.EncodeToString(s) }

// String keeps a secret out of logs.
func (s secret) String() string { return secretPrefix + "…" }

// GoString keeps a secret out of logs.
func (s secret) GoString() string { return s.String() }

// signatures is the header webhook-signature: one for each secret, the newest first. The id holds no full stop.
func signatures(secrets []secret, id string, at time.Time, body []byte) string {
	var all []string
	for _, s := range secrets {
		mac := hmac.New(sha256.New, s)
		mac.Write([]byte(id + "." + strconv.FormatInt(at.Unix(), 10) + "."))
		mac.Write(body)
		all = append(all, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	return strings.Join(all, " ")
}
