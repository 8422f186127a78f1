// Package seal protects what leaves the process for a shared store: names of
// keys that do not tell whom they are for, and records that nobody without the
// secret can read, alter, or put in another record's place.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
)

// Sealer names and seals with keys derived from one secret. It may be used
// concurrently.
type Sealer struct {
	nameKey []byte
	aead    cipher.AEAD
}

// New derives the keys. secret should have at least 32 bytes of a random string:
// one under 14 is an error where only FIPS 140 is allowed.
func New(secret []byte) (*Sealer, error) {
	nameKey, err1 := hkdf.Key(sha256.New, secret, nil, "hubspot-visitor name", 32)
	recordKey, err2 := hkdf.Key(sha256.New, secret, nil, "hubspot-visitor record", 32)
	block, err3 := aes.NewCipher(recordKey)
	aead, err4 := cipher.NewGCMWithRandomNonce(block)
	return &Sealer{nameKey, aead}, errors.Join(err1, err2, err3, err4)
}

// Name is an HMAC-SHA-256 of s in hexadecimal: the same for the same s and
// secret, and of no use to anybody else.
func (s *Sealer) Name(of string) string {
	mac := hmac.New(sha256.New, s.nameKey)
	mac.Write([]byte(of))
	return hex.EncodeToString(mac.Sum(nil))
}

// Seal encrypts record with AES-256-GCM, bound to name.
func (s *Sealer) Seal(name string, record []byte) []byte {
	return s.aead.Seal(nil, nil, record, []byte(name))
}

// Open is the record that was sealed for name. It fails on everything else.
func (s *Sealer) Open(name string, sealed []byte) ([]byte, error) {
	return s.aead.Open(nil, nil, sealed, []byte(name))
}
