// Command demo is a small shop whose chat knows who is signed in.
//
//	go run ./examples/demo
//
// The shop is on ADDR (default 127.0.0.1:8080). HubSpot is emulated on
// HUBSPOT_EMULATOR_ADDR (default 127.0.0.1:8081), with the inbox where the chats
// arrive; no account is needed, and the other HUBSPOT_* variables have no effect.
//
// With HUBSPOT_ACCESS_TOKEN and HUBSPOT_PORTAL_ID set, the shop talks to the real
// HubSpot instead, and all HUBSPOT_* variables apply. The emulator's access token,
// which the demo prints for other applications, does not count as set.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	if err := run(ctx, configFromEnv(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

type config struct {
	addr         string
	emulatorAddr string // empty for the real HubSpot
}

func configFromEnv() config {
	cfg := config{addr: cmp.Or(os.Getenv("ADDR"), "127.0.0.1:8080")}
	token := os.Getenv("HUBSPOT_ACCESS_TOKEN")
	if token == "" || token == hubspottest.AccessToken.Reveal() || os.Getenv("HUBSPOT_PORTAL_ID") == "" {
		cfg.emulatorAddr = cmp.Or(os.Getenv("HUBSPOT_EMULATOR_ADDR"), "127.0.0.1:8081")
	}
	return cfg
}

// run serves until ctx ends.
func run(ctx context.Context, cfg config, out io.Writer) error {
	var running servers
	defer running.stop()

	origin := "" // of the emulated HubSpot
	if cfg.emulatorAddr != "" {
		emulator := hubspottest.New()
		defer emulator.Close()
		var err error
		if origin, err = running.start("HUBSPOT_EMULATOR_ADDR", cfg.emulatorAddr, emulator.Handler()); err != nil {
			return err
		}
	}
	shop, err := newShop(origin)
	if err != nil {
		return err
	}
	address, err := running.start("ADDR", cfg.addr, shop)
	if err != nil {
		return err
	}
	explain(out, address, origin)
	return running.wait(ctx)
}

func explain(out io.Writer, shop, emulator string) {
	inbox := "your HubSpot inbox"
	fmt.Fprintf(out, "Shop      %s\n", shop)
	if emulator == "" {
		fmt.Fprintln(out, "HubSpot   the account in HUBSPOT_PORTAL_ID")
	} else {
		inbox = emulator + "/inbox"
		fmt.Fprintf(out, "HubSpot   %s (emulated)\n", emulator)
	}
	fmt.Fprintf(out, `
What to try
  1. Write in the chat, signed out: %[2]s shows an Unknown Visitor.
  2. Sign in at %[1]s/login and write again: the inbox shows who it is.
  3. Sign out, sign in as the other person and write: the inbox shows both.
  4. %[1]s/help never identifies anybody.
  5. %[1]s/workshop, in a private window: the chat comes with a click.

`, shop, inbox)
	if emulator != "" {
		fmt.Fprintln(out, "An application of your own meets the same HubSpot with these lines, in its shell")
		for _, line := range hubspottest.Env(emulator) {
			fmt.Fprintln(out, "  export", line)
		}
		fmt.Fprintln(out)
	}
	fmt.Fprintln(out, "Ctrl-C ends the demo.")
}

// servers are the HTTP servers of the program.
type servers struct {
	all    []*http.Server
	failed chan error
}

// start begins to serve and returns the origin to open in a browser. variable is
// where addr came from.
func (s *servers) start(variable, addr string, handler http.Handler) (origin string, err error) {
	listener, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return "", fmt.Errorf("%s is in use by another program: end that, or set %s to another address", addr, variable)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", variable, err)
	}
	if s.failed == nil {
		s.failed = make(chan error, 2)
	}
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
	}
	s.all = append(s.all, server)
	go func() { s.failed <- server.Serve(listener) }()
	return originOf(listener.Addr()), nil
}

// wait returns when ctx ends or a server fails.
func (s *servers) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-s.failed:
		return err
	}
}

// stop lets the requests under way end, for a moment.
func (s *servers) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	for _, server := range s.all {
		if server.Shutdown(ctx) != nil {
			_ = server.Close() // the requests that are left are given up
		}
	}
}

// originOf is the origin of a server that listens on addr: on all interfaces, it
// is also on this machine's own.
func originOf(addr net.Addr) string {
	host, port, err := net.SplitHostPort(addr.String())
	if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsUnspecified() {
		return "http://127.0.0.1:" + port
	}
	return "http://" + addr.String()
}
