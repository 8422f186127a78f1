package middleware_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/middleware"
)

// A name that HubSpot would not take is left out, an address that cannot be sent
// leaves the visitor anonymous; both are heard of, once a minute, by the field.
func TestFieldsThatCannotBeSent(t *testing.T) {
	const secret = "s3cret"
	for name, tt := range map[string]struct {
		visitor    hubspot.Visitor
		field      string
		identified bool
	}{
		"control character in a first name": {hubspot.Visitor{Email: ada.Email, FirstName: secret + "\x00"}, "FirstName", true},
		"last name that is not UTF-8":       {hubspot.Visitor{Email: ada.Email, LastName: secret + "\xff"}, "LastName", true},
		"long name":                         {hubspot.Visitor{Email: ada.Email, FirstName: strings.Repeat(secret, 100)}, "FirstName", true},
		"control character in the context":  {hubspot.Visitor{Email: ada.Email, AgentContext: map[string]string{"plan": secret + "\x00"}}, "AgentContext", true},
		"no address":                        {hubspot.Visitor{}, "Email", false},
		"display name":                      {hubspot.Visitor{Email: secret + " <" + ada.Email + ">"}, "Email", false},
		"no at":                             {hubspot.Visitor{Email: secret}, "Email", false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newApp(t)
				tt.visitor.EmailVerified = true
				for range 100 {
					w := serve(a.pages, navigation(tt.visitor))
					if tt.identified {
						wantIdentified(t, a, w, tt.visitor)
					} else {
						wantAnonymous(t, w)
					}
					time.Sleep(500 * time.Millisecond)
				}
				lines := a.log.at("WARN", "ERROR")
				if len(lines) != 1 || !strings.Contains(lines[0], `"field":"`+tt.field+`"`) || !strings.Contains(lines[0], `"reason":"`) {
					t.Errorf("in 50 s logged %q", lines)
				}
				if strings.Contains(a.log.String(), secret) {
					t.Errorf("the value is in the log: %s", a.log)
				}
				time.Sleep(time.Minute)
				serve(a.pages, navigation(tt.visitor))
				if lines := a.log.at("WARN"); len(lines) != 2 {
					t.Errorf("a minute later %d lines", len(lines))
				}
				for _, call := range a.hubspot.Calls() {
					if call.FirstName != "" || call.LastName != "" || call.AgentContext != nil {
						t.Errorf("sent: %+v", call)
					}
				}
			})
		})
	}
}

// The session goes on writing the map that identify gave as AgentContext, while
// the call to HubSpot is under way.
func TestAgentContextIsCloned(t *testing.T) {
	a := newApp(t)
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			session := map[string]string{"plan": "pro"}
			v := hubspot.Visitor{Email: fmt.Sprintf("visitor%d@example.com", i), EmailVerified: true, AgentContext: session}
			h := a.Handler(page(func(http.ResponseWriter, *http.Request) {
				for n := range 1000 {
					session[fmt.Sprint("visit ", n)] = "x"
				}
				session["plan"] = "basic"
			}))
			serve(h, navigation(v))
		})
	}
	group.Wait()
	for _, call := range a.hubspot.Calls() {
		if len(call.AgentContext) != 1 || call.AgentContext["plan"] != "pro" {
			t.Errorf("sent %v", call.AgentContext)
		}
	}
}

// Two mistakes that look as if nobody were signed in are heard of, once.
func TestHandlerOutsideOfTheAuthentication(t *testing.T) {
	a := newApp(t)
	h := a.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page(nil)(w, r.WithContext(middleware.WithVisitor(r.Context(), ada))) // authentication in there
	}))
	for range 3 {
		wantAnonymous(t, serve(h, navigation()))
	}
	if lines := a.log.at("WARN"); len(lines) != 1 || !strings.Contains(lines[0], "inside of the authentication") {
		t.Errorf("logged %q", lines)
	}
	wantAnonymous(t, serve(a.pages, navigation())) // nobody is signed in: no word
	if lines := a.log.at("WARN"); len(lines) != 1 {
		t.Errorf("logged %q", lines)
	}
}
