package hubspot

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
)

const redacted = "[redacted]"

// opaque keeps a value where printers do not find it, and prints as [redacted].
// Printers cannot call methods on what is in somebody's unexported field and go
// through it by reflection, some along pointers (go-cmp, debuggers' dumps); all of
// them stop at an atomic's unsafe.Pointer.
type opaque[T any] struct{ hidden *atomic.Pointer[T] }

func hide[T any](value T) opaque[T] {
	o := opaque[T]{new(atomic.Pointer[T])}
	o.hidden.Store(&value)
	return o
}

// get is the value; the zero value where nothing is hidden.
func (o opaque[T]) get() (value T) {
	if o.hidden == nil {
		return value
	}
	return *o.hidden.Load()
}

// String returns "[redacted]", or "" for a zero Secret, which shows that nothing
// is set.
func (o opaque[T]) String() string {
	if any(o.get()) == any("") {
		return ""
	}
	return redacted
}

// Format prints what String returns, whatever the verb.
func (o opaque[T]) Format(f fmt.State, _ rune) { io.WriteString(f, o.String()) }

// LogValue returns what String returns, for log/slog.
func (o opaque[T]) LogValue() slog.Value { return slog.StringValue(o.String()) }

// MarshalText returns what String returns; JSON uses it, too. (gob encodes
// neither Secrets nor Tokens.)
func (o opaque[T]) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// Secret is a credential in a [Config]. Like a [Token] it prints as [redacted]
// everywhere; only [Secret.Reveal] returns its value. The zero Secret means that
// none is set, and prints as nothing. Compare Secrets with [Secret.Equal], since
// == reports only whether one is a copy of the other.
type Secret struct{ opaque[string] }

// NewSecret returns a Secret with the given value, or the zero Secret for "".
func NewSecret(value string) Secret {
	if value == "" {
		return Secret{}
	}
	return Secret{hide(value)}
}

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return s.get() }

// IsZero reports whether s is the zero Secret.
func (s Secret) IsZero() bool { return s.hidden == nil }

// Equal reports whether s and other are the same credential. go-cmp uses it, too.
func (s Secret) Equal(other Secret) bool { return s.get() == other.get() }

// UnmarshalText sets s to the secret in text, such as an environment variable's
// value. It rejects [redacted], which is what a Secret prints as.
func (s *Secret) UnmarshalText(text []byte) error {
	if string(text) == redacted {
		return errors.New("hubspot: [redacted] is no secret, but what one prints as")
	}
	*s = NewSecret(string(text))
	return nil
}
