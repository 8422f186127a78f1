package hubspot

import (
	"sync/atomic"
	"time"

	"github.com/seed84b9cbbc/hubspot-visitor/internal/wait"
)

// clockSkew is how far two replicas' clocks may differ before a token "from the
// future" tells that a clock was set.
const clockSkew = time.Minute

// entry is a token in memory, with the moment from which it is to be renewed.
type entry struct {
	token   Token
	softAge time.Duration
	// nextRenewal is the monotonic time, since born, of the next try.
	nextRenewal atomic.Int64
	born        time.Time
}

// newEntry draws the moment of renewal, so that tokens made together (after a
// deploy) are not renewed together: between 82 and 85 % of the life. Renewed
// before 80 %, a visitor would cost more than 2.5 calls a day; at 85 %, an outage
// of an hour and more passes before the margin.
//
// A large margin brings the moment forward: some of the time in which the token
// is handed out has to be left for the renewal.
func newEntry(token Token, now time.Time, margin time.Duration) *entry {
	life := lifeOf(token)
	life = max(0, min(life, (life-margin)*100/94)) // none at all: another replica's margin may be smaller
	return &entry{token: token, born: now, softAge: wait.Between(life*82/100, life*85/100+1)}
}

type freshness int

const (
	spent freshness = iota // not to be handed out
	aging                  // good, and to be renewed
	fresh
)

func (e *entry) freshness(now time.Time, margin time.Duration) freshness {
	wall, steady := elapsed(e.token.IssuedAt(), now)
	return judge(wall, steady, lifeOf(e.token), e.softAge, margin)
}

// judge decides on a token by the time since its issue, as the wall clock and as
// the monotonic clock tell it. The wall clock can be set; the monotonic one
// stands still while the machine sleeps: the larger is believed, and a token
// from the future is served but renewed.
func judge(wall, steady, life, softAge, margin time.Duration) freshness {
	age := max(wall, steady)
	switch {
	case life-age < margin:
		return spent
	case age >= softAge, wall < -clockSkew:
		return aging
	}
	return fresh
}

// elapsed is the time from t to now on both clocks.
func elapsed(t, now time.Time) (wall, steady time.Duration) {
	return now.Round(0).Sub(t.Round(0)), now.Sub(t)
}

func lifeOf(token Token) time.Duration {
	return token.ExpiresAt().Round(0).Sub(token.IssuedAt().Round(0))
}

// claimRenewal reports whether the caller is to renew e now. Whatever comes of
// it, the next try is 5 to 10 minutes away: a success replaces the entry.
func (e *entry) claimRenewal(now time.Time) bool {
	since := now.Sub(e.born)
	next := e.nextRenewal.Load()
	if int64(since) < next {
		return false
	}
	return e.nextRenewal.CompareAndSwap(next, int64(since+wait.Between(5*time.Minute, 10*time.Minute)))
}
