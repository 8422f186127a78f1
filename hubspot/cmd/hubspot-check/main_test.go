package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
)

func TestMain(m *testing.M) {
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"} {
		_ = os.Unsetenv(name) // the hosts here are reached directly, or not at all
	}
	goleak.VerifyTestMain(m)
}

const email = "you@example.com"

// sessionCookie is the cookie of who is signed in as email.
const sessionCookie = "session=" + session

const session = "5d1f7c0e9ab34826"

// printed is what a run gave.
type printed struct {
	code     int
	out, err string
}

// check is the program with -email, against the HubSpot of cfg.
func check(t *testing.T, cfg hubspot.Config, args ...string) printed {
	t.Helper()
	return start(t, func() (hubspot.Config, error) { return cfg, nil }, append([]string{"-email", email}, args...)...)
}

// start is the program. Whatever it prints, no secret is in it.
func start(t *testing.T, env func() (hubspot.Config, error), args ...string) printed {
	t.Helper()
	var out, err bytes.Buffer
	code := run(t.Context(), args, env, strings.NewReader(sessionCookie+"\n"), &out, &err)
	p := printed{code, out.String(), err.String()}
	for _, secret := range []string{hubspottest.AccessToken.Reveal(), email, "eyJ", "ada@example.com", session} {
		if strings.Contains(p.out+p.err, secret) {
			t.Errorf("%q is printed:\n%s%s", secret, p.out, p.err)
		}
	}
	return p
}

// failures are the lines with a cross.
func (p printed) failures() (lines []string) {
	for line := range strings.Lines(p.out) {
		if strings.HasPrefix(line, "✗ ") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

// expect is that just these checks failed, in those words.
func (p printed) expect(t *testing.T, want ...string) {
	t.Helper()
	got := p.failures()
	code := 1
	if len(want) == 0 {
		code = 0
	}
	if p.code != code {
		t.Errorf("exit code %d, want %d", p.code, code)
	}
	for i, line := range got {
		if !strings.Contains(line, ". To mend it: ") {
			t.Errorf("the line does not say how to mend it: %s", line)
		}
		if i < len(want) && !strings.HasPrefix(line, "✗ "+want[i]) {
			t.Errorf("got\n%s\nwant\n✗ %s", line, want[i])
		}
	}
	if len(got) != len(want) {
		t.Errorf("failures:\n%s\nwant %d:\n%s", strings.Join(got, "\n"), len(want), strings.Join(want, "\n"))
	}
}

// account is how an application would be configured for emulator.
func account(emulator *hubspottest.Server) hubspot.Config {
	return hubspot.Config{AccessToken: hubspottest.AccessToken, PortalID: hubspottest.PortalID, APIURL: emulator.URL, LoaderURL: emulator.URL}
}
