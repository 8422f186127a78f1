package hubspot

import (
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// clockSkew is how far two replicas' clocks may differ before a token "from the
// future" tells that a clock was set.
const clockSkew = time.Minute

// lives decides how long tokens are handed out.
type lives struct {
	margin time.Duration
	epoch  time.Time // of the monotonic clock
}

// instant is a time on both clocks: the wall clock's since 1970, the monotonic
// one's since the epoch.
type instant struct{ wall, steady time.Duration }

func (l lives) instant(t time.Time) instant {
	return instant{time.Duration(t.UnixNano()), t.Sub(l.epoch)}
}

func (l lives) now() instant { return l.instant(time.Now()) }

// entry is a token in memory with all that a page view wants to know of it, small
// enough to lie on one cache line with its key. Ages are in seconds.
type entry struct {
	data            opaque[tokenData]
	issued          instant
	softAge, maxAge int32
	nextRenewal     int32 // atomic: on the monotonic clock
}

// entry draws the moment of renewal, so that tokens made together (after a
// deploy) are not renewed together: between 82 and 85 % of the life. Renewed
// before 80 %, a visitor would cost more than 2.5 calls a day; at 85 %, an outage
// of an hour and more passes before the margin.
//
// A large margin brings the moment forward: some of the time in which the token
// is handed out has to be left for the renewal. Of a short life the margin is a
// quarter.
func (l lives) entry(token Token) entry {
	life := token.get().life
	margin := min(l.margin, life/4)
	renewed := max(0, min(life, (life-margin)*100/94))
	return entry{
		data:    token.opaque,
		issued:  l.instant(token.IssuedAt()),
		softAge: int32(between(renewed*82/100, renewed*85/100+1) / time.Second),
		maxAge:  int32((life - margin) / time.Second),
	}
}

func (e *entry) token() Token { return Token{opaque: e.data} }

type freshness int

const (
	spent freshness = iota // not to be handed out
	aging                  // good, and to be renewed
	fresh
)

// left is how much longer e may be handed out.
func (e *entry) left(now instant) time.Duration {
	return time.Duration(e.maxAge)*time.Second - e.age(now)
}

// age is the time since the issue as the wall clock and as the monotonic clock
// tell it. The wall clock can be set; the monotonic one stands still while the
// machine sleeps: the larger is believed.
func (e *entry) age(now instant) time.Duration {
	return max(now.wall-e.issued.wall, now.steady-e.issued.steady)
}

// freshness serves a token from the future, but has it renewed.
func (e *entry) freshness(now instant) freshness {
	switch age := e.age(now); {
	case age > time.Duration(e.maxAge)*time.Second:
		return spent
	case age >= time.Duration(e.softAge)*time.Second, now.wall-e.issued.wall < -clockSkew:
		return aging
	}
	return fresh
}

// claimRenewal reports whether the caller is to renew e now. Whatever comes of
// it, the next try is 5 to 10 minutes away: a success replaces the entry.
func (e *entry) claimRenewal(now instant) bool {
	next := atomic.LoadInt32(&e.nextRenewal)
	if int32(now.steady/time.Second) < next {
		return false
	}
	return atomic.CompareAndSwapInt32(&e.nextRenewal, next, int32((now.steady+between(5*time.Minute, 10*time.Minute))/time.Second))
}

// between is a random duration from low up to high, so that what failed together
// is not tried again together.
func between(low, high time.Duration) time.Duration { return low + rand.N(high-low) }
