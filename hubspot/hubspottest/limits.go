package hubspottest

import (
	"net/http"
	"strconv"
	"time"
)

// limits counts the calls of the account. A zero maximum means no limit.
type limits struct {
	max      int
	interval time.Duration
	recent   []time.Time // calls in the window, oldest first

	dailyMax  int
	dailyUsed int
	day       string
}

// defaultLimits are those of a Professional account.
func defaultLimits() limits {
	return limits{max: 190, interval: 10 * time.Second, dailyMax: 625_000}
}

// SetRateLimit sets the burst limit: max calls in any interval. A new server
// allows 190 calls in 10 seconds; max 0 or an interval of 0 lifts the limit.
// Calls refused for a limit, or without a valid credential, do not count.
func (s *Server) SetRateLimit(max int, interval time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limits.max, s.limits.interval = max, interval
}

// SetDailyLimit sets how many calls the account has each day (UTC). A new
// server allows 625,000; 0 lifts the limit.
func (s *Server) SetDailyLimit(max int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limits.dailyMax = max
}

// take counts a call at now, or returns the policy that refuses it.
func (l *limits) take(now time.Time) (policy string) {
	l.roll(now)
	if l.dailyMax > 0 && l.dailyUsed >= l.dailyMax {
		return "DAILY"
	}
	if l.bursts() && len(l.recent) >= l.max {
		return "TEN_SECONDLY_ROLLING"
	}
	l.dailyUsed++
	if l.bursts() {
		l.recent = append(l.recent, now)
	}
	return ""
}

func (l *limits) bursts() bool { return l.max > 0 && l.interval > 0 }

// roll forgets what no longer counts at now.
func (l *limits) roll(now time.Time) {
	if day := now.UTC().Format(time.DateOnly); day != l.day {
		l.day, l.dailyUsed = day, 0
	}
	passed := 0
	for passed < len(l.recent) && now.Sub(l.recent[passed]) >= l.interval {
		passed++
	}
	l.recent = l.recent[passed:]
}

// header sets the five rate limit headers as of now.
func (l *limits) header(h http.Header, now time.Time) {
	l.roll(now)
	if l.bursts() {
		setInt(h, "X-HubSpot-RateLimit-Max", l.max)
		setInt(h, "X-HubSpot-RateLimit-Remaining", max(0, l.max-len(l.recent)))
		setInt(h, "X-HubSpot-RateLimit-Interval-Milliseconds", int(l.interval.Milliseconds()))
	}
	if l.dailyMax > 0 {
		setInt(h, "X-HubSpot-RateLimit-Daily", l.dailyMax)
		setInt(h, "X-HubSpot-RateLimit-Daily-Remaining", max(0, l.dailyMax-l.dailyUsed))
	}
}

func setInt(h http.Header, key string, value int) { h.Set(key, strconv.Itoa(value)) }
