package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	"github.com/golang-jwt/jwt/v5"
)

// Issuer is another system whose tokens are believed here, such as the hospital's information system. It signs with
// EdDSA (Ed25519) or ES256 (ECDSA on P-256), never with a secret that we share.
type Issuer struct {
	Name string // the token's iss
	// Roles that it may name. Empty: those that take part in a consultation.
	Roles []string
	// Keys by key id (the token's kid). The only key of an issuer also counts for tokens without a kid.
	Keys map[string]any // ed25519.PublicKey or *ecdsa.PublicKey
}

// takePart are the roles of people and things in a consultation.
var takePart = []string{RoleClinician, RolePatient, RoleInterpreter, RoleObserver, RoleDevice}

func (i Issuer) roles() []string {
	if len(i.Roles) == 0 {
		return takePart
	}
	return i.Roles
}

func (i Issuer) check() error {
	if i.Name == "" || i.Name == OwnIssuer {
		return fmt.Errorf("issuer %q: it needs a name of its own", i.Name)
	}
	if len(i.Keys) == 0 {
		return fmt.Errorf("issuer %s: no keys", i.Name)
	}
	for _, role := range i.Roles {
		if !slices.Contains(Roles, role) {
			return fmt.Errorf("issuer %s: unknown role %q", i.Name, role)
		}
	}
	for id, key := range i.Keys {
		if _, err := algorithm(key); err != nil {
			return fmt.Errorf("issuer %s, key %q: %w", i.Name, id, err)
		}
	}
	return nil
}

// key finds the key for a token of this issuer. The algorithm is the key's, not the token's.
func (i Issuer) key(t *jwt.Token) (any, error) {
	id, named := t.Header["kid"].(string)
	key, ok := i.Keys[id]
	if !ok && !named && len(i.Keys) == 1 {
		for _, only := range i.Keys {
			key, ok = only, true
		}
	}
	if !ok {
		return nil, errors.New("unknown key")
	}
	if alg, err := algorithm(key); err != nil || alg != t.Method.Alg() {
		return nil, errors.New("the key is for another algorithm")
	}
	return key, nil
}

// algorithm is the only one that a key is used with.
func algorithm(key any) (string, error) {
	switch k := key.(type) {
	case ed25519.PublicKey:
		if len(k) == ed25519.PublicKeySize {
			return "EdDSA", nil
		}
	case *ecdsa.PublicKey:
		if k != nil && k.Curve == elliptic.P256() {
			return "ES256", nil
		}
	}
	return "", errors.New("it must be an Ed25519 or an ECDSA P-256 public key")
}

// ParseIssuers reads issuers from JSON:
//
//	[{"issuer": "https://mis.example", "roles": ["clinician", "patient"],
//	  "keys": [{"kid": "2026", "pem": "-----BEGIN PUBLIC KEY-----\n…"}]}]
func ParseIssuers(raw []byte) ([]Issuer, error) {
	var file []struct {
		Issuer string   `json:"issuer"`
		Roles  []string `json:"roles"`
		Keys   []struct {
			ID  string `json:"kid"`
			PEM string `json:"pem"`
		} `json:"keys"`
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		return nil, fmt.Errorf("issuers: %w", err)
	}
	var all []Issuer
	for _, f := range file {
		i := Issuer{Name: f.Issuer, Roles: f.Roles, Keys: map[string]any{}}
		for _, k := range f.Keys {
			if _, twice := i.Keys[k.ID]; twice {
				return nil, fmt.Errorf("issuers: %s has two keys with the id %q", f.Issuer, k.ID)
			}
			key, err := parseKey(k.PEM)
			if err != nil {
				return nil, fmt.Errorf("issuers: %s, key %q: %w", f.Issuer, k.ID, err)
			}
			i.Keys[k.ID] = key
		}
		if err := i.check(); err != nil {
			return nil, fmt.Errorf("issuers: %w", err)
		}
		all = append(all, i)
	}
	return all, nil
}

func parseKey(text string) (any, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil || block.Type != "PUBLIC KEY" {
		return nil, errors.New("not a public key in PEM form")
	}
	return x509.ParsePKIXPublicKey(block.Bytes)
}
