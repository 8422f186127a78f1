package hubspot

import (
	"strings"
	"testing"
	"time"
)

// The decision about a token in memory, by the time since its issue on both
// clocks. Tokens live for 12 hours and are handed out with 30 minutes left.
func TestFreshness(t *testing.T) {
	const h, m, life = time.Hour, time.Minute, 12 * time.Hour
	for name, tt := range map[string]struct {
		wall, steady time.Duration
		want         freshness
	}{
		"new":                                 {0, 0, fresh},
		"an hour old":                         {h, h, fresh},
		"just before the soft point":          {9*h + 36*m - 1, 9*h + 36*m - 1, fresh},
		"at the soft point":                   {9*h + 36*m, 9*h + 36*m, aging},
		"11 hours":                            {11 * h, 11 * h, aging},
		"exactly the margin left":             {11*h + 30*m, 11*h + 30*m, aging},
		"less than the margin left":           {11*h + 30*m + 1, 11*h + 30*m + 1, spent},
		"12 hours":                            {12 * h, 12 * h, spent},
		"a year":                              {365 * 24 * h, 365 * 24 * h, spent},
		"the machine slept":                   {13 * h, h, spent},
		"the machine slept less":              {10 * h, h, aging},
		"the clock was set forward":           {13 * h, m, spent},
		"the clock was set back":              {-3 * h, h, aging},
		"the clock was set back, and 10 h":    {-3 * h, 10 * h, aging},
		"the clock was set back, and 13 h":    {-3 * h, 13 * h, spent},
		"replicas' clocks differ by a minute": {-m, 0, fresh},
		"replicas' clocks differ by more":     {-m - 1, 0, aging},
	} {
		e := entry{softAge: int32((9*h + 36*m) / time.Second), maxAge: int32((life - 30*m) / time.Second)}
		if got := e.freshness(instant{tt.wall, tt.steady}); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
	// A token whose JWT ends after an hour: the margin is a quarter of it.
	e := entry{softAge: int32(40 * m / time.Second), maxAge: int32(45 * m / time.Second)}
	if got := e.freshness(instant{46 * m, 46 * m}); got != spent {
		t.Errorf("14 minutes left of an hour: %v", got)
	}
}

// Whoever changes anything that is sent is another visitor; no two share a key.
func TestVisitorKey(t *testing.T) {
	seen := map[string]int{}
	for i, v := range []Visitor{
		{Email: "ada@example.com"},
		{Email: "Ada@example.com"},
		{Email: "ada@example.com", FirstName: "Ada"},
		{Email: "\x00\x0fada@example.com\x03Ada\x00"}, // an address that is the key of the one before
		{Email: "ada@example.com", LastName: "Ada"},
		{Email: "ada@example.com", FirstName: "Ad", LastName: "a"},
		{Email: "ada@example.com", FirstName: "A", LastName: "da"},
		{Email: "ada@example.com", FirstName: "\x00Ada"},
		{Email: "ada@example.com", FirstName: "x\x00y"}, // for keys that are joined by NUL
		{Email: "ada@example.com", FirstName: "x", LastName: "y\x00"},
		{Email: "ada@example.com", AgentContext: map[string]string{"a": "b"}},
		{Email: "ada@example.com", AgentContext: map[string]string{"b": "a"}},
		{Email: "ada@example.com", AgentContext: map[string]string{"ab": ""}},
		{Email: "ada@example.com", AgentContext: map[string]string{"": "ab"}},
		{Email: "ada@example.com", AgentContext: map[string]string{"": ""}},
		{Email: "ada@example.com", AgentContext: map[string]string{"a": "b", "c": "d"}},
		{Email: "ada@example.com", AgentContext: map[string]string{"a": "d", "c": "b"}},
		{Email: "ada@example.com", FirstName: strings.Repeat("a", 200)},
		{Email: "ada@example.com", LastName: strings.Repeat("a", 200)},
	} {
		key := v.key()
		if other, ok := seen[key]; ok {
			t.Errorf("visitors %d and %d share a key", other, i)
		}
		seen[key] = i
		for range 20 { // maps have no order
			if v.key() != key {
				t.Errorf("visitor %d has two keys", i)
			}
		}
	}
	// Not sent: not a part of it.
	v := Visitor{Email: "ada@example.com"}
	verified := v
	verified.EmailVerified = true
	verified.AgentContext = map[string]string{}
	if v.key() != verified.key() {
		t.Error("what is not sent changes the key")
	}
}

func TestBetween(t *testing.T) {
	low, high := 50*time.Millisecond, 150*time.Millisecond
	least, most := high, low
	for range 10_000 {
		d := between(low, high)
		least, most = min(least, d), max(most, d)
	}
	if least < low || most >= high {
		t.Errorf("%v to %v, want within %v to %v", least, most, low, high)
	}
	// Ten thousand draws that miss a tenth of the range on a side: 0.9^10000.
	if least > 60*time.Millisecond || most < 140*time.Millisecond {
		t.Errorf("only %v to %v of %v to %v", least, most, low, high)
	}
}
