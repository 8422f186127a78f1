package hubspottest_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
)

// post calls the API as a client does.
func post(ctx context.Context, client *http.Client, base string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, "POST", base+tokenPath, strings.NewReader(annBody))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+hubspottest.AccessToken.Reveal())
	r.Header.Set("Content-Type", "application/json")
	return client.Do(r)
}

// mustPost returns status and body of a call that is answered.
func mustPost(t testing.TB, client *http.Client, base string) (int, string, http.Header) {
	t.Helper()
	resp, err := post(t.Context(), client, base)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body), resp.Header
}

func TestReadyMadeFaults(t *testing.T) {
	tests := []struct {
		name        string
		fault       hubspottest.Fault
		status      int
		contains    string
		contentType string
	}{
		{"burst limit", hubspottest.FaultBurstLimit(), 429, `"policyName":"TEN_SECONDLY_ROLLING"`, "application/json"},
		{"daily limit", hubspottest.FaultDailyLimit(), 429, `"policyName":"DAILY"`, "application/json"},
		{"unauthorized", hubspottest.FaultUnauthorized(), 401, `"category":"INVALID_AUTHENTICATION"`, "application/json"},
		{"scope", hubspottest.FaultScope(), 403, `"category":"MISSING_SCOPES"`, "application/json"},
		{"plan", hubspottest.FaultPlan(), 403, `"status":"error"`, "application/json"},
		{"server error", hubspottest.FaultServerError(), 500, "<html>", "text/html"},
		{"unavailable", hubspottest.FaultUnavailable(), 502, "<html>", "text/html"},
		{"migrating", hubspottest.FaultMigrating(time.Hour), 477, `"status":"error"`, "application/json"},
		{"other data center", hubspottest.FaultOtherDataCenter("eu1"), 488, `"correctHublet":["eu1"]`, "application/json"},
		{"garbage", hubspottest.Fault{Body: "what?"}, 200, "what?", "text/plain"},
		{"status only", hubspottest.Fault{Status: 504}, 504, "", ""},
		{"header only", hubspottest.Fault{Header: http.Header{"content-type": {"text/plain"}}}, 200, `"token"`, "text/plain"},
	}
	s := hubspottest.NewServer(t)
	client := s.Client()
	for _, tt := range tests {
		s.Queue(tt.fault)
		status, body, header := mustPost(t, client, s.URL)
		if status != tt.status || !strings.Contains(body, tt.contains) || !strings.HasPrefix(header.Get("Content-Type"), tt.contentType) {
			t.Errorf("%s: got %d %q %v", tt.name, status, body, header)
		}
		if tt.status == 477 && header.Get("Retry-After") != "3600" {
			t.Errorf("%s: headers %v", tt.name, header)
		}
		calls := s.Calls()
		if last := calls[len(calls)-1]; last.Status != tt.status {
			t.Errorf("%s: recorded as %d", tt.name, last.Status)
		}
	}
	if status, _, _ := mustPost(t, client, s.URL); status != 200 {
		t.Errorf("after the queue: %d", status)
	}
}

func TestQueueBeforeOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := hubspottest.New()
		t.Cleanup(s.Close)
		client := s.Client()
		s.SetOutage(&hubspottest.Fault{Status: 503})
		s.Queue(hubspottest.FaultServerError(), hubspottest.Fault{})
		for i, want := range []int{500, 200, 503, 503} {
			if got, _, _ := mustPost(t, client, "https://api.hubapi.com"); got != want {
				t.Errorf("call %d: %d, want %d", i, got, want)
			}
		}
		s.SetOutage(nil)
		if got, _, _ := mustPost(t, client, "https://api.hubapi.com"); got != 200 {
			t.Errorf("after the outage: %d", got)
		}
	})
}

func TestSlowFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := hubspottest.New()
		t.Cleanup(s.Close)
		client := s.Client()
		const base = "https://api.hubapi.com"

		start := time.Now()
		s.Queue(hubspottest.Fault{Latency: 3 * time.Second})
		if status, body, _ := mustPost(t, client, base); status != 200 || !strings.Contains(body, "token") || time.Since(start) != 3*time.Second {
			t.Errorf("latency: %d %q after %v", status, body, time.Since(start))
		}

		start = time.Now()
		s.Queue(hubspottest.Fault{Body: "drop", Drip: time.Second})
		if status, body, _ := mustPost(t, client, base); status != 200 || body != "drop" || time.Since(start) != 4*time.Second {
			t.Errorf("drip: %d %q after %v", status, body, time.Since(start))
		}

		s.Queue(hubspottest.Fault{Oversize: 3 << 20})
		if status, body, _ := mustPost(t, client, base); status != 200 || len(body) != 3<<20 || !strings.Contains(body, "token") {
			t.Errorf("oversize: %d, %d bytes", status, len(body))
		}

		s.Queue(hubspottest.Fault{Hang: true})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start = time.Now()
		if _, err := post(ctx, client, base); err == nil || time.Since(start) != time.Minute {
			t.Errorf("hang: %v after %v", err, time.Since(start))
		}
		if calls := s.Calls(); len(calls) != 4 || calls[3].Status != 0 {
			t.Errorf("a call that was never answered: %+v", calls)
		}
	})
}

func TestCloseEndsHangingCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := hubspottest.New()
		client := s.Client()
		s.SetOutage(&hubspottest.Fault{Hang: true})
		done := make(chan error)
		go func() {
			_, err := post(t.Context(), client, "https://api.hubapi.com")
			done <- err
		}()
		synctest.Wait()
		s.Close()
		if err := <-done; err == nil {
			t.Error("a hanging call was answered")
		}
		s.Close()
		if _, err := post(t.Context(), client, "https://api.hubapi.com"); err == nil {
			t.Error("a closed server answered")
		}
		if _, err := post(t.Context(), s.Client(), "https://api.hubapi.com"); err == nil {
			t.Error("a closed server answered a new client")
		}
	})
}

func TestReset(t *testing.T) {
	listening := hubspottest.NewServer(t)
	defer http.DefaultClient.CloseIdleConnections()
	for name, client := range map[string]*http.Client{"tcp": http.DefaultClient, "memory": listening.Client()} {
		listening.Queue(hubspottest.Fault{Reset: true})
		if _, err := post(t.Context(), client, listening.URL); err == nil {
			t.Errorf("%s: a reset connection gave an answer", name)
		}
		listening.Queue(hubspottest.Fault{Reset: true, Body: "cut in half"})
		resp, err := post(t.Context(), client, listening.URL)
		if err != nil {
			continue // the reset overtook the headers
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err == nil || len(body) > len("cut i") {
			t.Errorf("%s: got %q, %v", name, body, err)
		}
	}
}
