package hubspottest_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
)

func TestClientReachesAnyHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := hubspottest.New()
		defer s.Close()
		client := s.Client()
		for _, host := range []string{"api.hubapi.com", "api-eu1.hubapi.com", "hubspot.test:8443"} {
			if status, _, _ := mustPost(t, client, "https://"+host); status != 200 {
				t.Errorf("https://%s: %d", host, status)
			}
			if status, _, _ := mustPost(t, client, "http://"+host); status != 200 {
				t.Errorf("http://%s: %d", host, status)
			}
		}
		if got := s.Calls()[2].Host; got != "api-eu1.hubapi.com" {
			t.Errorf("host %q", got)
		}
	})
}

func TestClientReusesConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := hubspottest.New()
		defer s.Close()
		client := s.Client()
		mustPost(t, client, "https://api.hubapi.com")
		var reused bool
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			GotConn: func(info httptrace.GotConnInfo) { reused = info.Reused },
		})
		resp, err := post(ctx, client, "https://api.hubapi.com")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if !reused {
			t.Error("the second call opened another connection")
		}
	})
}

// A server made outside a bubble must not keep the bubble's clock from moving.
func TestServerFromOutsideTheBubble(t *testing.T) {
	s := hubspottest.New()
	synctest.Test(t, func(t *testing.T) {
		client := s.Client()
		t.Cleanup(client.CloseIdleConnections)
		s.Queue(hubspottest.Fault{Hang: true})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if _, err := post(ctx, client, "https://api.hubapi.com"); err == nil {
			t.Error("a hanging call was answered")
		}
	})
	s.Close()
}

func TestManyCallsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := hubspottest.New()
		t.Cleanup(s.Close)
		s.SetRateLimit(0, 0)
		client := s.Client()
		const workers, each = 50, 40
		var wg sync.WaitGroup
		for range workers {
			wg.Go(func() {
				for range each {
					resp, err := post(t.Context(), client, "https://api.hubapi.com")
					if err != nil {
						t.Error(err)
						return
					}
					_, _ = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
				s.Queue(hubspottest.Fault{})
				s.Advance(time.Second)
				s.Calls()
				s.Inbox()
				_ = s.Verify("ann@example.com", "x")
			})
		}
		wg.Wait()
		if got := len(s.Calls()); got != workers*each {
			t.Errorf("%d calls", got)
		}
	})
}

func TestNewServerListens(t *testing.T) {
	s := hubspottest.NewServer(t)
	if !strings.HasPrefix(s.URL, "http://127.0.0.1:") {
		t.Fatalf("URL %q", s.URL)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	if status, _, _ := mustPost(t, &http.Client{Transport: transport}, s.URL); status != 200 {
		t.Errorf("status %d", status)
	}
}
