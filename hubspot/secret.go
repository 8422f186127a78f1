package hubspot

import (
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
)

const redacted = "[redacted]"

// hidden keeps a value where printers do not find it. They cannot call methods
// on what is in somebody's unexported field and go through it by reflection,
// some along pointers (go-cmp, debuggers' dumps); all of them stop at an atomic's
// unsafe.Pointer.
type hidden[T any] struct{ value atomic.Pointer[T] }

func hide[T any](value T) *hidden[T] {
	h := new(hidden[T])
	h.value.Store(&value)
	return h
}

// get is the value; the zero value of a nil h.
func (h *hidden[T]) get() (value T) {
	if h == nil {
		return value
	}
	return *h.value.Load()
}

// Secret is a credential in a [Config]. Like a [Token] it prints as [redacted]
// in every place; only [Secret.Reveal] gives it away. The zero Secret is none,
// and prints as nothing. Compare Secrets by [Secret.Equal]: == tells only a copy
// from another.
type Secret struct{ data *hidden[string] }

// NewSecret is value as a Secret; of "" the zero Secret.
func NewSecret(value string) Secret {
	if value == "" {
		return Secret{}
	}
	return Secret{hide(value)}
}

// Reveal is the secret itself.
func (s Secret) Reveal() string { return s.data.get() }

// IsZero reports whether s is none.
func (s Secret) IsZero() bool { return s.data == nil }

// Equal reports whether s and other are the same credential.
func (s Secret) Equal(other Secret) bool { return s.Reveal() == other.Reveal() }

// UnmarshalText makes s the Secret of text, as an environment variable has it.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = NewSecret(string(text))
	return nil
}

// String is "[redacted]", or "" for the zero Secret.
func (s Secret) String() string {
	if s.IsZero() {
		return ""
	}
	return redacted
}

// Format prints "[redacted]" for every verb, and nothing for the zero Secret.
func (s Secret) Format(f fmt.State, _ rune) { io.WriteString(f, s.String()) }

// LogValue is "[redacted]", or "" for the zero Secret.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText is "[redacted]", or "" for the zero Secret; JSON uses it too.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
