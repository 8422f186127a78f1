package hubspot_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
)

// Exactly one quick retry, where the contract allows it; the time says that it
// was quick, or that it waited as long as HubSpot asked for.
func TestRetries(t *testing.T) {
	status := func(code int, header ...string) hubspottest.Fault {
		f := hubspottest.Fault{Status: code, Body: html, Header: http.Header{}}
		for i := 0; i < len(header); i += 2 {
			f.Header.Set(header[i], header[i+1])
		}
		return f
	}
	for name, tt := range map[string]struct {
		fault hubspottest.Fault
		calls int
		least time.Duration
		most  time.Duration
	}{
		"reset":                       {hubspottest.Fault{Reset: true}, 2, time.Millisecond, time.Second},
		"500":                         {status(500), 1, 0, 0},
		"502":                         {status(502), 2, time.Millisecond, time.Second},
		"503":                         {status(503), 2, time.Millisecond, time.Second},
		"504":                         {status(504), 2, time.Millisecond, time.Second},
		"521":                         {status(521), 1, 0, 0},
		"522":                         {status(522), 1, 0, 0},
		"523":                         {status(523), 1, 0, 0},
		"524":                         {status(524), 1, 0, 0},
		"503, wait fits":              {status(503, "Retry-After", "2"), 2, 2 * time.Second, 2 * time.Second},
		"503, long wait":              {status(503, "Retry-After", "4"), 1, 0, 0},
		"429":                         {status(429, "Retry-After", "1"), 1, 0, 0},
		"429, interval":               {hubspottest.FaultBurstLimit(), 1, 0, 0},
		"429 without a wait":          {status(429), 1, 0, 0},
		"429 daily":                   {hubspottest.FaultDailyLimit(), 1, 0, 0},
		"429 daily with a short wait": {hubspottest.Fault{Status: 429, Body: `{"policyName":"DAILY"}`, Header: http.Header{"Retry-After": {"1"}}}, 1, 0, 0},
		"477":                         {hubspottest.FaultMigrating(24 * time.Hour), 1, 0, 0},
		"477 with a short wait":       {hubspottest.FaultMigrating(time.Second), 1, 0, 0},
		"400":                         {status(400), 1, 0, 0},
		"401":                         {hubspottest.FaultUnauthorized(), 1, 0, 0},
		"403 scope":                   {hubspottest.FaultScope(), 1, 0, 0},
		"403 plan":                    {hubspottest.FaultPlan(), 1, 0, 0},
		"404":                         {status(404), 1, 0, 0},
		"423":                         {status(423), 1, 0, 0},
		"525":                         {status(525), 1, 0, 0},
		"526":                         {status(526), 1, 0, 0},
		"200 garbage":                 {hubspottest.Fault{Status: 200, Body: html}, 1, 0, 0},
		"200 cut short":               {hubspottest.Fault{Status: 200, Body: `{"token":"abcdefghijkl"}`, Reset: true}, 1, 0, 0},
		"hang":                        {hubspottest.Fault{Hang: true}, 1, 3 * time.Second, 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, s := emulated(t, hubspot.Config{})
				tokens := newTokens(t, client, hubspot.TokensConfig{})
				s.SetOutage(&tt.fault)
				began := time.Now()
				if _, err := tokens.Token(t.Context(), ada); err == nil {
					t.Error("no error")
				}
				took := time.Since(began)
				if calls := s.Calls(); len(calls) != tt.calls {
					t.Errorf("%d calls, want %d", len(calls), tt.calls)
				}
				if took < tt.least || took > tt.most {
					t.Errorf("took %v, want %v to %v", took, tt.least, tt.most)
				}
			})
		})
	}
}

func TestRetryHelps(t *testing.T) {
	for name, fault := range map[string]hubspottest.Fault{
		"reset": {Reset: true}, "502": hubspottest.FaultUnavailable(),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, s := emulated(t, hubspot.Config{})
				s.Queue(fault)
				token, err := newTokens(t, client, hubspot.TokensConfig{}).Token(t.Context(), ada)
				if err != nil {
					t.Fatal(err)
				}
				if err := s.Verify(ada.Email, token.Reveal()); err != nil || len(s.Calls()) != 2 {
					t.Errorf("%v after %d calls", err, len(s.Calls()))
				}
			})
		})
	}
}
