package hubspottest_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
)

// limitHeaders are the five rate limit headers of an answer.
func limitHeaders(a answer) [5]string {
	return [5]string{
		a.Header.Get("X-HubSpot-RateLimit-Max"),
		a.Header.Get("X-HubSpot-RateLimit-Remaining"),
		a.Header.Get("X-HubSpot-RateLimit-Interval-Milliseconds"),
		a.Header.Get("X-HubSpot-RateLimit-Daily"),
		a.Header.Get("X-HubSpot-RateLimit-Daily-Remaining"),
	}
}

func TestLimitHeadersOnEveryAnswer(t *testing.T) {
	s := hubspottest.New()
	for _, step := range []struct {
		name    string
		request *http.Request
		want    [5]string
	}{
		{"200", request(nil), [5]string{"190", "189", "10000", "625000", "624999"}},
		{"400", withBody(`{}`), [5]string{"190", "188", "10000", "625000", "624998"}},
		{"401", request(func(r *http.Request) { r.Header.Del("Authorization") }), [5]string{"190", "188", "10000", "625000", "624998"}},
		{"405", request(func(r *http.Request) { r.Method = "PUT" }), [5]string{"190", "188", "10000", "625000", "624998"}},
	} {
		if diff := cmp.Diff(step.want, limitHeaders(serve(t, s, step.request))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.name, diff)
		}
	}
}

func TestBurstLimitRolls(t *testing.T) {
	s := hubspottest.New()
	s.SetRateLimit(2, 10*time.Second)
	call := func(want int) answer {
		t.Helper()
		got := serve(t, s, request(nil))
		if got.Status != want {
			t.Fatalf("status %d, want %d", got.Status, want)
		}
		return got
	}
	call(200)
	s.Advance(6 * time.Second)
	call(200)
	refused := call(429)
	if refused.PolicyName != "TEN_SECONDLY_ROLLING" || refused.ErrorType != "RATE_LIMIT" ||
		refused.Message != "You have reached your ten_secondly_rolling limit." {
		t.Errorf("got %+v", refused)
	}
	if got := limitHeaders(refused); got[1] != "0" {
		t.Errorf("headers %v", got)
	}
	s.Advance(5 * time.Second) // the first one is 11 s ago, the second 5 s
	call(200)
	call(429)
	s.SetRateLimit(0, 0)
	call(200)
}

func TestDailyLimit(t *testing.T) {
	s := hubspottest.New()
	s.SetDailyLimit(1)
	if got := serve(t, s, request(nil)); got.Status != 200 {
		t.Fatalf("status %d", got.Status)
	}
	got := serve(t, s, request(nil))
	if got.Status != 429 || got.PolicyName != "DAILY" || got.Header.Get("X-HubSpot-RateLimit-Daily-Remaining") != "0" {
		t.Errorf("got %+v", got)
	}
	s.Advance(24 * time.Hour)
	if got := serve(t, s, request(nil)); got.Status != 200 {
		t.Errorf("the next day: %d", got.Status)
	}
}
