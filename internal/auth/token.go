package auth

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"consilium/internal/events"
)

// Issuer and Audience of our own tokens. Foreign tokens are for the same audience.
const (
	OwnIssuer = "consilium"
	Audience  = "consilium"
)

// The reasons why a token is not believed. What Verify returns wraps exactly one of them.
var (
	ErrExpired = errors.New("the token has expired")
	ErrEarly   = errors.New("the token is not valid yet")
	ErrInvalid = errors.New("the token is not valid")
)

const (
	// maxToken is far above any token of ours: what is longer is not even parsed.
	maxToken = 8 << 10
	// MinSecret is how many bytes the secret must have: a shorter one can be guessed from a single token.
	MinSecret = 16
	// early is how much before its making a token of ours is valid, for nodes whose clocks differ a little.
	early = 30 * time.Second
	// foreignLeeway is the clock difference that foreign issuers are granted.
	foreignLeeway = 60 * time.Second
	maxName       = 200 // characters, as in the directory
)

// Claims is what a believed token says.
type Claims struct {
	Issuer       string
	Subject      string // user id at the issuer
	Role         string
	Consultation string   // empty: not bound to one
	Participant  string   // empty: not one; only with Consultation
	Name         string   // as shown to others; may be empty
	Consent      bool     // the issuer asserts the participant's consent to the recording
	For          []string // of a device: the participants whose consent it needs
	ExpiresAt    time.Time
}

// LogValue keeps the name out of logs.
func (c Claims) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("issuer", c.Issuer), slog.String("role", c.Role),
		slog.String("consultation", c.Consultation), slog.String("participant", c.Participant),
	)
}

// String keeps the name out of whatever prints claims.
func (c Claims) String() string {
	return fmt.Sprintf("%s of consultation %q", c.Role, c.Consultation)
}

// wire is the JSON of a token's payload.
type wire struct {
	jwt.RegisteredClaims
	Role         string   `json:"role"`
	Consultation string   `json:"consultation,omitempty"`
	Participant  string   `json:"participant,omitempty"`
	Name         string   `json:"name,omitempty"`
	Consent      bool     `json:"consent,omitempty"`
	For          []string `json:"for,omitempty"`
}

func (w *wire) claims() Claims {
	c := Claims{
		Issuer: w.Issuer, Subject: w.Subject, Role: w.Role, Consultation: w.Consultation, Participant: w.Participant,
		Name: w.Name, Consent: w.Consent, For: w.For,
	}
	if w.ExpiresAt != nil {
		c.ExpiresAt = w.ExpiresAt.Time
	}
	return c
}

// check says what is wrong with claims of any origin. It never repeats a value.
func (c Claims) check() error {
	switch {
	case !slices.Contains(Roles, c.Role):
		return errors.New("unknown role")
	case c.Subject == "":
		return errors.New("no subject")
	case c.Consultation != "" && !events.ValidID(c.Consultation):
		return errors.New("the consultation is not a UUID")
	case c.Participant != "" && !events.ValidID(c.Participant):
		return errors.New("the participant is not a UUID")
	case c.Participant != "" && c.Consultation == "":
		return errors.New("a participant without a consultation")
	case len([]rune(c.Name)) > maxName:
		return fmt.Errorf("the name is longer than %d characters", maxName)
	case len(c.For) > 0 && c.Role != RoleDevice:
		return errors.New("only a device is for others")
	}
	for _, id := range c.For {
		if !events.ValidID(id) {
			return errors.New("a participant in for is not a UUID")
		}
	}
	return nil
}

// Authority makes our own tokens and checks all. It is safe for concurrent use.
type Authority struct {
	secret  []byte
	issuers map[string]Issuer
	now     func() time.Time
}

// New takes the API secret, which signs our own tokens (HS256, nothing else), and the foreign issuers whose tokens are
// believed as well. There may be none.
func New(secret []byte, issuers []Issuer, now func() time.Time) (*Authority, error) {
	if len(secret) < MinSecret {
		return nil, fmt.Errorf("auth: the API secret has %d bytes, it needs at least %d", len(secret), MinSecret)
	}
	if now == nil {
		return nil, errors.New("auth: no clock given")
	}
	a := &Authority{secret: slices.Clone(secret), issuers: map[string]Issuer{}, now: now}
	for _, i := range issuers {
		if err := i.check(); err != nil {
			return nil, fmt.Errorf("auth: %w", err)
		}
		if _, twice := a.issuers[i.Name]; twice {
			return nil, fmt.Errorf("auth: issuer %s is named twice", i.Name)
		}
		a.issuers[i.Name] = i
	}
	return a, nil
}

// Mint signs c as ours, valid from now for ttl. Issuer and ExpiresAt of c are set here; an empty Subject becomes the
// participant.
func (a *Authority) Mint(c Claims, ttl time.Duration) (string, error) {
	if ttl <= 0 {
		return "", errors.New("mint token: the time to live must be positive")
	}
	if c.Subject == "" {
		c.Subject = c.Participant
	}
	if err := c.check(); err != nil {
		return "", fmt.Errorf("mint token: %w", err)
	}
	now := a.now()
	signed, err := jwt.NewWithClaims(jwt.SigningMethodHS256, &wire{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: OwnIssuer, Audience: jwt.ClaimStrings{Audience}, Subject: c.Subject,
			IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now.Add(-early)), ExpiresAt: jwt.NewNumericDate(now.Add(ttl)),
		},
		Role: c.Role, Consultation: c.Consultation, Participant: c.Participant, Name: c.Name, Consent: c.Consent, For: c.For,
	}).SignedString(a.secret)
	if err != nil {
		return "", fmt.Errorf("mint token: %w", err)
	}
	if len(signed) > maxToken {
		return "", fmt.Errorf("mint token: %d bytes are more than a token may have (%d)", len(signed), maxToken)
	}
	return signed, nil
}

// Verify checks signature, issuer, audience and times, in that order: only of a token with a right signature it is said
// that it has expired. The error wraps ErrExpired, ErrEarly or ErrInvalid and repeats nothing of the token.
func (a *Authority) Verify(token string) (Claims, error) {
	if len(token) > maxToken {
		return Claims{}, fmt.Errorf("%w: it has %d bytes", ErrInvalid, len(token))
	}
	var peek wire
	unverified, _, err := jwt.NewParser(jwt.WithStrictDecoding()).ParseUnverified(token, &peek)
	if err != nil {
		return Claims{}, fmt.Errorf("%w: it cannot be read", ErrInvalid)
	}
	if _, ok := unverified.Header["crit"]; ok { // RFC 7515 §4.1.11: we understand no extension
		return Claims{}, fmt.Errorf("%w: its header demands what is not known here", ErrInvalid)
	}
	parser, key, err := a.rulesFor(peek.Issuer)
	if err != nil {
		return Claims{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	var w wire
	if _, err := parser.ParseWithClaims(token, &w, key); err != nil {
		return Claims{}, reason(err)
	}
	c := w.claims()
	if err := c.check(); err != nil {
		return Claims{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if i, foreign := a.issuers[c.Issuer]; foreign && !slices.Contains(i.roles(), c.Role) {
		return Claims{}, fmt.Errorf("%w: this issuer may not name a %s", ErrInvalid, c.Role)
	}
	return c, nil
}

// WhoseLate says whom a rightly signed token speaks for whose time is over or has not come. It proves nothing about now:
// the caller may tell of the attempt and must not let anybody in.
func (a *Authority) WhoseLate(token string) (Claims, bool) {
	if _, err := a.Verify(token); !errors.Is(err, ErrExpired) && !errors.Is(err, ErrEarly) {
		return Claims{}, false
	}
	var w wire // Verify has believed its signature, issuer and audience
	if _, _, err := jwt.NewParser(jwt.WithStrictDecoding()).ParseUnverified(token, &w); err != nil {
		return Claims{}, false
	}
	c := w.claims()
	return c, c.check() == nil
}

// rulesFor gives what a token must be signed with that says it comes from issuer.
func (a *Authority) rulesFor(issuer string) (*jwt.Parser, jwt.Keyfunc, error) {
	common := []jwt.ParserOption{
		jwt.WithStrictDecoding(), jwt.WithExpirationRequired(), jwt.WithAudience(Audience), jwt.WithIssuer(issuer), jwt.WithTimeFunc(a.now),
	}
	if issuer == OwnIssuer {
		own := jwt.NewParser(append(common, jwt.WithValidMethods([]string{"HS256"}))...)
		return own, func(*jwt.Token) (any, error) { return a.secret, nil }, nil
	}
	i, ok := a.issuers[issuer]
	if !ok {
		return nil, nil, errors.New("its issuer is not known here")
	}
	foreign := jwt.NewParser(append(common, jwt.WithLeeway(foreignLeeway), jwt.WithValidMethods([]string{"EdDSA", "ES256"}))...)
	return foreign, i.key, nil
}

// reason turns the library's error into one of ours.
func reason(err error) error {
	switch {
	case errors.Is(err, jwt.ErrTokenSignatureInvalid), errors.Is(err, jwt.ErrTokenUnverifiable):
		return fmt.Errorf("%w: its signature is wrong", ErrInvalid)
	case errors.Is(err, jwt.ErrTokenInvalidAudience), errors.Is(err, jwt.ErrTokenInvalidIssuer):
		return fmt.Errorf("%w: it is not for this service", ErrInvalid)
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return fmt.Errorf("%w: a claim is missing", ErrInvalid)
	case errors.Is(err, jwt.ErrTokenExpired):
		return ErrExpired
	case errors.Is(err, jwt.ErrTokenNotValidYet):
		return ErrEarly
	default:
		return ErrInvalid
	}
}
