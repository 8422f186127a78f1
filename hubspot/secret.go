package hubspot

import (
	"fmt"
	"io"
	"log/slog"
)

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
