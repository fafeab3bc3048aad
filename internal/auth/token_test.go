package auth

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
)

const (
	mis           = "https://mis.example"
	consultationA = "0192a000-0000-7000-8000-00000000000a"
	participantB  = "0192a000-0000-7000-8000-00000000000b"
)

var (
	secret = []byte("0123456789abcdef0123456789abcdef")
	today  = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
)

// keys of a foreign issuer.
type keys struct {
	edPub  ed25519.PublicKey
	ed     ed25519.PrivateKey
	ec     *ecdsa.PrivateKey
	others ed25519.PrivateKey // of somebody else
}

func newKeys(t testing.TB) keys {
	t.Helper()
	var k keys
	var err error
	if k.edPub, k.ed, err = ed25519.GenerateKey(rand.Reader); err != nil {
		t.Fatal(err)
	}
	if _, k.others, err = ed25519.GenerateKey(rand.Reader); err != nil {
		t.Fatal(err)
	}
	if k.ec, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	return k
}

func newAuthority(t testing.TB, k keys, now time.Time) *Authority {
	t.Helper()
	a, err := New(secret, []Issuer{{Name: mis, Keys: map[string]any{"ed": k.edPub, "ec": &k.ec.PublicKey}}}, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestMintAndVerify(t *testing.T) {
	a := newAuthority(t, newKeys(t), today)
	want := Claims{
		Subject: "user-7", Role: RoleDevice, Consultation: consultationA, Participant: participantB, Name: "Камера 1",
		Consent: true, For: []string{participantB},
	}
	token, err := a.Mint(want, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	got, err := a.Verify(token)
	if err != nil {
		t.Fatal(err)
	}
	want.Issuer, want.ExpiresAt = OwnIssuer, today.Add(time.Hour)
	if diff := cmp.Diff(want, got, cmp.Comparer(time.Time.Equal)); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
}

func TestMintRefuses(t *testing.T) {
	a := newAuthority(t, newKeys(t), today)
	good := Claims{Subject: "s", Role: RoleService}
	tests := []struct {
		name   string
		claims Claims
		ttl    time.Duration
	}{
		{name: "no time to live", claims: good},
		{name: "an unknown role", claims: Claims{Subject: "s", Role: "root"}, ttl: time.Hour},
		{name: "no subject and no participant", claims: Claims{Role: RoleService}, ttl: time.Hour},
		{name: "a consultation that is no id", claims: Claims{Subject: "s", Role: RolePatient, Consultation: "../etc"}, ttl: time.Hour},
		{name: "a participant without a consultation", claims: Claims{Role: RolePatient, Participant: participantB}, ttl: time.Hour},
		{name: "a patient that is for others", claims: Claims{Subject: "s", Role: RolePatient, For: []string{participantB}}, ttl: time.Hour},
		{name: "a long name", claims: Claims{Subject: "s", Role: RolePatient, Name: strings.Repeat("ä", maxName+1)}, ttl: time.Hour},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if token, err := a.Mint(tt.claims, tt.ttl); err == nil {
				t.Errorf("minted %s", token)
			}
		})
	}
}

// payload is a right payload of a foreign token with changes; a nil value removes a claim.
func payload(changes map[string]any) jwt.MapClaims {
	m := jwt.MapClaims{
		"iss": mis, "aud": Audience, "sub": "dr-1", "role": RoleClinician, "consultation": consultationA,
		"nbf": today.Add(-time.Minute).Unix(), "exp": today.Add(time.Hour).Unix(),
	}
	maps.Copy(m, changes)
	maps.DeleteFunc(m, func(_ string, v any) bool { return v == nil })
	return m
}

func own(changes map[string]any) jwt.MapClaims {
	m := payload(map[string]any{"iss": OwnIssuer})
	maps.Copy(m, changes)
	maps.DeleteFunc(m, func(_ string, v any) bool { return v == nil })
	return m
}

func sign(t testing.TB, method jwt.SigningMethod, key any, kid string, claims jwt.Claims) string {
	t.Helper()
	token := jwt.NewWithClaims(method, claims)
	if kid != "" {
		token.Header["kid"] = kid
	}
	s, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestForeignTokens(t *testing.T) {
	k := newKeys(t)
	a := newAuthority(t, k, today)
	tests := []struct{ name, token string }{
		{name: "EdDSA", token: sign(t, jwt.SigningMethodEdDSA, k.ed, "ed", payload(nil))},
		{name: "ES256", token: sign(t, jwt.SigningMethodES256, k.ec, "ec", payload(nil))},
		{name: "a clock that is 50 s ahead", token: sign(t, jwt.SigningMethodEdDSA, k.ed, "ed", payload(map[string]any{"nbf": today.Add(50 * time.Second).Unix()}))},
		{name: "several audiences", token: sign(t, jwt.SigningMethodEdDSA, k.ed, "ed", payload(map[string]any{"aud": []string{"pharmacy", Audience}}))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := a.Verify(tt.token)
			if err != nil {
				t.Fatal(err)
			}
			if c.Issuer != mis || c.Role != RoleClinician || c.Subject != "dr-1" || c.Consultation != consultationA {
				t.Errorf("claims = %+v", c)
			}
		})
	}
	t.Run("the only key needs no kid", func(t *testing.T) {
		a, err := New(secret, []Issuer{{Name: mis, Keys: map[string]any{"": k.edPub}}}, func() time.Time { return today })
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Verify(sign(t, jwt.SigningMethodEdDSA, k.ed, "", payload(nil))); err != nil {
			t.Error(err)
		}
	})
	t.Run("a role that the operator granted", func(t *testing.T) {
		a, err := New(secret, []Issuer{{Name: mis, Roles: []string{RoleCompliance}, Keys: map[string]any{"ed": k.edPub}}}, func() time.Time { return today })
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Verify(sign(t, jwt.SigningMethodEdDSA, k.ed, "ed", payload(map[string]any{"role": RoleCompliance}))); err != nil {
			t.Error(err)
		}
	})
}

// demanding is a token of ours, rightly signed, whose header names an extension that must be understood (RFC 7515 §4.1.11).
func demanding(t *testing.T) string {
	t.Helper()
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, own(nil))
	token.Header["crit"], token.Header["once"] = []string{"once"}, true
	signed, err := token.SignedString(secret)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func TestBadTokens(t *testing.T) {
	k := newKeys(t)
	a := newAuthority(t, k, today)
	ed := func(changes map[string]any) string {
		return sign(t, jwt.SigningMethodEdDSA, k.ed, "ed", payload(changes))
	}
	hs := func(changes map[string]any) string { return sign(t, jwt.SigningMethodHS256, secret, "", own(changes)) }
	der, err := x509.MarshalPKIXPublicKey(k.edPub)
	if err != nil {
		t.Fatal(err)
	}
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	good := hs(nil)
	parts := strings.Split(good, ".")
	raw := func(header, payload string) string {
		enc := base64.RawURLEncoding.EncodeToString
		return enc([]byte(header)) + "." + enc([]byte(payload)) + "."
	}
	ownJSON, err := json.Marshal(own(nil))
	if err != nil {
		t.Fatal(err)
	}
	admin, err := json.Marshal(own(map[string]any{"role": RoleAdmin}))
	if err != nil {
		t.Fatal(err)
	}

	if _, err := a.Verify(good); err != nil {
		t.Fatalf("the token that the others are made from is not good: %v", err)
	}
	tests := []struct {
		name, token string
		want        error
	}{
		{"nothing", "", ErrInvalid},
		{"garbage", "not a token", ErrInvalid},
		{"binary garbage", "\x00\xff.\xfe.\x80", ErrInvalid},
		{"two dots", "..", ErrInvalid},
		{"four parts", good + ".x", ErrInvalid},
		{"huge", strings.Repeat("a", 1<<20), ErrInvalid},
		{"huge name, rightly signed", hs(map[string]any{"name": strings.Repeat("n", maxToken)}), ErrInvalid},
		{"algorithm none", raw(`{"alg":"none","typ":"JWT"}`, string(ownJSON)), ErrInvalid},
		{"algorithm None", raw(`{"alg":"None"}`, string(ownJSON)), ErrInvalid},
		{"no algorithm", raw(`{"typ":"JWT"}`, string(ownJSON)), ErrInvalid},
		{"algorithm that is no text", raw(`{"alg":256}`, string(ownJSON)), ErrInvalid},
		{"payload null", raw(`{"alg":"HS256"}`, `null`), ErrInvalid},
		{"HS256 with another secret", sign(t, jwt.SigningMethodHS256, []byte("another secret, long enough!!!!!"), "", own(nil)), ErrInvalid},
		{"HS256 with an empty secret", sign(t, jwt.SigningMethodHS256, []byte{}, "", own(nil)), ErrInvalid},
		{"HS384 with our secret", sign(t, jwt.SigningMethodHS384, secret, "", own(nil)), ErrInvalid},
		{"HS512 with our secret", sign(t, jwt.SigningMethodHS512, secret, "", own(nil)), ErrInvalid},
		{"HS256 with a foreign public key as secret", sign(t, jwt.SigningMethodHS256, []byte(k.edPub), "ed", payload(nil)), ErrInvalid},
		{"HS256 with a foreign public key in PEM as secret", sign(t, jwt.SigningMethodHS256, publicPEM, "ed", payload(nil)), ErrInvalid},
		{"HS256 with our secret in a foreign name", sign(t, jwt.SigningMethodHS256, secret, "ed", payload(nil)), ErrInvalid},
		{"EdDSA in our name", sign(t, jwt.SigningMethodEdDSA, k.ed, "ed", own(nil)), ErrInvalid},
		{"EdDSA with somebody else's key", sign(t, jwt.SigningMethodEdDSA, k.others, "ed", payload(nil)), ErrInvalid},
		{"EdDSA under the id of an ECDSA key", sign(t, jwt.SigningMethodEdDSA, k.ed, "ec", payload(nil)), ErrInvalid},
		{"RS256", sign(t, jwt.SigningMethodRS256, rsaKey, "ed", payload(nil)), ErrInvalid},
		{"an unknown key id", sign(t, jwt.SigningMethodEdDSA, k.ed, "old", payload(nil)), ErrInvalid},
		{"no key id where there are two keys", sign(t, jwt.SigningMethodEdDSA, k.ed, "", payload(nil)), ErrInvalid},
		{"a key in the header", embeddedKey(t, k), ErrInvalid},
		{"a header that demands an extension", demanding(t), ErrInvalid},
		{"an unknown issuer", ed(map[string]any{"iss": "https://other.example"}), ErrInvalid},
		{"no issuer", ed(map[string]any{"iss": nil}), ErrInvalid},
		{"another audience", hs(map[string]any{"aud": "pharmacy"}), ErrInvalid},
		{"no audience", hs(map[string]any{"aud": nil}), ErrInvalid},
		{"no expiry", hs(map[string]any{"exp": nil}), ErrInvalid},
		{"no expiry, foreign", ed(map[string]any{"exp": nil}), ErrInvalid},
		{"an expiry that is no number", hs(map[string]any{"exp": "tomorrow"}), ErrInvalid},
		{"expired a second ago", hs(map[string]any{"exp": today.Add(-time.Second).Unix()}), ErrExpired},
		{"expired two minutes ago, foreign", ed(map[string]any{"exp": today.Add(-2 * time.Minute).Unix()}), ErrExpired},
		{"valid from tomorrow", hs(map[string]any{"nbf": today.Add(24 * time.Hour).Unix()}), ErrEarly},
		{"valid from in two minutes, foreign", ed(map[string]any{"nbf": today.Add(2 * time.Minute).Unix()}), ErrEarly},
		{"expired and for somebody else", hs(map[string]any{"exp": today.Add(-time.Hour).Unix(), "aud": "pharmacy"}), ErrInvalid},
		{"expired with a wrong signature", sign(t, jwt.SigningMethodHS256, []byte("another secret, long enough!!!!!"), "", own(map[string]any{"exp": 1})), ErrInvalid},
		{"altered payload", parts[0] + "." + base64.RawURLEncoding.EncodeToString(admin) + "." + parts[2], ErrInvalid},
		{"altered header", base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"jwt"}`)) + "." + parts[1] + "." + parts[2], ErrInvalid},
		{"last character altered", flipLast(good), ErrInvalid},
		{"signature cut", parts[0] + "." + parts[1] + "." + parts[2][:20], ErrInvalid},
		{"no signature", parts[0] + "." + parts[1] + ".", ErrInvalid},
		{"padding", good + "=", ErrInvalid},
		{"an unknown role", hs(map[string]any{"role": "root"}), ErrInvalid},
		{"no role", hs(map[string]any{"role": nil}), ErrInvalid},
		{"no subject", hs(map[string]any{"sub": nil}), ErrInvalid},
		{"a consultation that is a path", hs(map[string]any{"consultation": "../../etc/passwd"}), ErrInvalid},
		{"a participant without a consultation", hs(map[string]any{"consultation": nil, "participant": participantB}), ErrInvalid},
		{"a foreign issuer that names an admin", ed(map[string]any{"role": RoleAdmin}), ErrInvalid},
		{"a foreign issuer that names a service", ed(map[string]any{"role": RoleService}), ErrInvalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := a.Verify(tt.token)
			if !errors.Is(err, tt.want) {
				t.Fatalf("claims %+v, error = %v, want %v", c, err, tt.want)
			}
			if diff := cmp.Diff(Claims{}, c); diff != "" {
				t.Errorf("claims of a bad token came out:\n%s", diff)
			}
			for _, other := range []error{ErrExpired, ErrEarly, ErrInvalid} {
				if other != tt.want && errors.Is(err, other) {
					t.Errorf("error is also %v", other)
				}
			}
		})
	}
}

// embeddedKey signs with a key that only the token's own header vouches for.
func embeddedKey(t *testing.T, k keys) string {
	t.Helper()
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, payload(nil))
	token.Header["jwk"] = map[string]string{
		"kty": "OKP", "crv": "Ed25519", "x": base64.RawURLEncoding.EncodeToString(k.others.Public().(ed25519.PublicKey)),
	}
	s, err := token.SignedString(k.others)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// flipLast changes bits of the last character that the decoder may ignore.
func flipLast(token string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, token[len(token)-1])
	return token[:len(token)-1] + string(alphabet[last^1])
}

func TestOwnTokenOverTime(t *testing.T) {
	k := newKeys(t)
	token, err := newAuthority(t, k, today).Mint(Claims{Subject: "s", Role: RoleService}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		at   time.Duration
		want error
	}{
		{name: "on a node whose clock is a little behind", at: -20 * time.Second},
		{name: "long before it was made", at: -time.Hour, want: ErrEarly},
		{name: "just before its end", at: 59 * time.Second},
		{name: "at its end", at: time.Minute, want: ErrExpired},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := newAuthority(t, k, today.Add(tt.at)).Verify(token); !errors.Is(err, tt.want) {
				t.Errorf("error = %v, want %v", err, tt.want)
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	k := newKeys(t)
	now := func() time.Time { return today }
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	one := func(i Issuer) []Issuer { return []Issuer{i} }
	tests := []struct {
		name    string
		secret  []byte
		issuers []Issuer
		now     func() time.Time
	}{
		{name: "a short secret", secret: []byte("short"), now: now},
		{name: "no clock", secret: secret},
		{name: "an issuer with our name", secret: secret, issuers: one(Issuer{Name: OwnIssuer, Keys: map[string]any{"": k.edPub}}), now: now},
		{name: "an issuer without a name", secret: secret, issuers: one(Issuer{Keys: map[string]any{"": k.edPub}}), now: now},
		{name: "an issuer without keys", secret: secret, issuers: one(Issuer{Name: mis}), now: now},
		{name: "a shared secret as a key", secret: secret, issuers: one(Issuer{Name: mis, Keys: map[string]any{"": []byte("x")}}), now: now},
		{name: "a curve that ES256 does not use", secret: secret, issuers: one(Issuer{Name: mis, Keys: map[string]any{"": &p384.PublicKey}}), now: now},
		{name: "an unknown role", secret: secret, issuers: one(Issuer{Name: mis, Roles: []string{"root"}, Keys: map[string]any{"": k.edPub}}), now: now},
		{name: "an issuer twice", secret: secret, issuers: []Issuer{{Name: mis, Keys: map[string]any{"": k.edPub}}, {Name: mis, Keys: map[string]any{"": k.edPub}}}, now: now},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := New(tt.secret, tt.issuers, tt.now); err == nil {
				t.Error("no error")
			}
		})
	}
}

func TestParseIssuers(t *testing.T) {
	k := newKeys(t)
	pemOf := func(key any) string {
		der, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	}
	type j = map[string]any
	encode := func(v any) []byte {
		raw, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	got, err := ParseIssuers(encode([]j{{"issuer": mis, "roles": []string{RolePatient}, "keys": []j{
		{"kid": "ed", "pem": pemOf(k.edPub)}, {"kid": "ec", "pem": pemOf(&k.ec.PublicKey)},
	}}}))
	if err != nil {
		t.Fatal(err)
	}
	want := []Issuer{{Name: mis, Roles: []string{RolePatient}, Keys: map[string]any{"ed": k.edPub, "ec": &k.ec.PublicKey}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("issuers (-want +got):\n%s", diff)
	}
	for name, raw := range map[string][]byte{
		"no JSON":         []byte("issuer=x"),
		"no keys":         encode([]j{{"issuer": mis}}),
		"no PEM":          encode([]j{{"issuer": mis, "keys": []j{{"kid": "a", "pem": "AAAA"}}}}),
		"a private key":   encode([]j{{"issuer": mis, "keys": []j{{"kid": "a", "pem": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"}}}}),
		"a key id twice":  encode([]j{{"issuer": mis, "keys": []j{{"kid": "a", "pem": pemOf(k.edPub)}, {"kid": "a", "pem": pemOf(k.edPub)}}}}),
		"an unknown role": encode([]j{{"issuer": mis, "roles": []string{"root"}, "keys": []j{{"pem": pemOf(k.edPub)}}}}),
	} {
		if _, err := ParseIssuers(raw); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestNamesStayOutOfLogs(t *testing.T) {
	c := Claims{Subject: "user-7", Role: RolePatient, Name: "Erika Mustermann"}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("seen", "claims", c)
	slog.New(slog.NewTextHandler(&log, nil)).Info("seen", "claims", c)
	fmt.Fprintf(&log, "%v %s %+v", c, c, c)
	if strings.Contains(log.String(), "Erika") {
		t.Errorf("the name is in the log:\n%s", log.String())
	}
}

// FuzzVerify expects that nothing is believed but what was signed here, byte for byte.
func FuzzVerify(f *testing.F) {
	k := newKeys(f)
	a := newAuthority(f, k, today)
	signed := []string{
		sign(f, jwt.SigningMethodHS256, secret, "", own(nil)),
		sign(f, jwt.SigningMethodEdDSA, k.ed, "ed", payload(nil)),
	}
	for _, token := range signed {
		f.Add(token)
	}
	f.Add("eyJhbGciOiJub25lIn0.bnVsbA.")
	f.Fuzz(func(t *testing.T, token string) {
		_, err := a.Verify(token)
		if err == nil && !slices.Contains(signed, token) {
			t.Errorf("believed %q", token)
		}
		if err != nil && !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrExpired) && !errors.Is(err, ErrEarly) {
			t.Errorf("error = %v", err)
		}
	})
}

func TestWhoseLate(t *testing.T) {
	a := newAuthority(t, newKeys(t), today)
	hs := func(key []byte, changes map[string]any) string {
		return sign(t, jwt.SigningMethodHS256, key, "", own(changes))
	}
	over, early := map[string]any{"exp": today.Add(-time.Hour).Unix()}, map[string]any{"nbf": today.Add(time.Hour).Unix()}
	for _, tt := range []struct {
		name, token string
		want        bool
	}{
		{name: "expired", token: hs(secret, over), want: true},
		{name: "early", token: hs(secret, early), want: true},
		{name: "valid", token: hs(secret, nil)},
		{name: "expired and signed by somebody else", token: hs([]byte("another secret, long enough!!!!!"), over)},
		{name: "garbage", token: "garbage"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, ok := a.WhoseLate(tt.token)
			if ok != tt.want || ok && c.Consultation == "" || !ok && c.Subject != "" {
				t.Errorf("%+v, %v, want %v", c, ok, tt.want)
			}
		})
	}
}
