package auth

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
)

// Seal encrypts what this server keeps for itself (AES-256-GCM). Its key is made from the API secret and from purpose, so
// that what was sealed for one purpose opens for no other.
func (a *Authority) Seal(purpose string, plain []byte) ([]byte, error) {
	box, err := a.box(purpose)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, box.NonceSize())
	rand.Read(nonce) // never fails
	return box.Seal(nonce, nonce, plain, nil), nil
}

// Open is Seal undone. It fails for what was not sealed with this secret for this purpose.
func (a *Authority) Open(purpose string, sealed []byte) ([]byte, error) {
	box, err := a.box(purpose)
	if err != nil {
		return nil, err
	}
	if len(sealed) < box.NonceSize() {
		return nil, errors.New("open sealed bytes: too short")
	}
	plain, err := box.Open(nil, sealed[:box.NonceSize()], sealed[box.NonceSize():], nil)
	if err != nil {
		return nil, fmt.Errorf("open sealed bytes: %w", err)
	}
	return plain, nil
}

func (a *Authority) box(purpose string) (cipher.AEAD, error) {
	mac := hmac.New(sha256.New, a.secret)
	mac.Write([]byte("consilium box " + purpose))
	block, err := aes.NewCipher(mac.Sum(nil))
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	return cipher.NewGCM(block)
}
