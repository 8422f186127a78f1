package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/cmd/internal/faults"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
)

// What the program exits with.
const (
	exitWell   = 0
	exitFailed = 1
	exitUsage  = 2
)

type options struct {
	addr, env string
	settings
}

// run is the program; args are without its name. It serves until ctx ends.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stdout, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitWell
	case err != nil:
		fmt.Fprintln(stderr, "hubspot-emulator:", err)
		return exitUsage
	}
	if err := serve(ctx, o, stdout); err != nil {
		fmt.Fprintln(stderr, "hubspot-emulator:", err)
		return exitFailed
	}
	return exitWell
}

func parse(args []string, stdout, stderr io.Writer) (options, error) {
	o := options{settings: usual()}
	flags := flag.NewFlagSet("hubspot-emulator", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.addr, "addr", "127.0.0.1:8081", "the `address` to listen on, of this machine")
	flags.StringVar(&o.env, "env", "", "a `file` to write the four lines to")
	flags.StringVar(&o.Plan, "plan", o.Plan, "the account's plan: free, starter, professional or enterprise")
	flags.StringVar(&o.Fault, "fault", "", "a fault for every token call; help lists them")
	flags.DurationVar(&o.Latency, "latency", 0, "how long each answer to a token call takes")
	flags.DurationVar(&o.Ahead, "time-travel", 0, "how far HubSpot's clock is ahead")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.Fault == "help" {
		for _, f := range faults.All() {
			fmt.Fprintf(stdout, "%-10s %s\n", f.Name, f.Text)
		}
		return o, flag.ErrHelp
	}
	if flags.NArg() > 0 {
		return o, errors.New("there are only flags, no other arguments")
	}
	host, _, err := net.SplitHostPort(o.addr)
	if ip := net.ParseIP(host); err != nil || host != "localhost" && !ip.IsLoopback() {
		return o, errors.New("-addr has to be a host and port of this machine alone, such as 127.0.0.1:8081: everybody who reaches it can read the chats, and HUBSPOT_API_URL takes http to nowhere else")
	}
	return o, o.check()
}

// serve is the emulator, until ctx ends.
func serve(ctx context.Context, o options, out io.Writer) error {
	listener, err := net.Listen("tcp", o.addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%s is in use by another program: end that, or choose another with -addr", o.addr)
	}
	if err != nil {
		return fmt.Errorf("-addr: %w", err)
	}
	origin := "http://" + listener.Addr().String()
	lines := hubspottest.Env(origin)
	if o.env != "" {
		if err := writeEnv(o.env, lines); err != nil {
			_ = listener.Close()
			return fmt.Errorf("-env: %w", err)
		}
	}

	emulator := hubspottest.New()
	defer emulator.Close()
	server := &http.Server{
		Handler:           newControl(emulator, o.settings).handler(),
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       2 * time.Minute,
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	explain(out, origin, o, lines)
	select {
	case <-ctx.Done():
	case err := <-failed:
		return err
	}
	emulator.Close() // ends the calls that hang
	ending, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if server.Shutdown(ending) != nil {
		_ = server.Close() // the requests that are left are given up
	}
	<-failed
	return nil
}

func explain(out io.Writer, origin string, o options, lines []string) {
	fmt.Fprintln(out, "HubSpot is emulated on this machine. For your application, in its shell:")
	fmt.Fprintln(out)
	for _, line := range lines {
		fmt.Fprintln(out, "export", line)
	}
	if o.env != "" {
		fmt.Fprintln(out, "\nThe same lines, without export, are in", o.env)
	}
	fmt.Fprintf(out, "\nInbox     %s/inbox\nControl   %s/control   play faults while you look at your application\n", origin, origin)
	if told := o.settings.told(); len(told) > 0 {
		fmt.Fprintf(out, "Now       %s\n", strings.Join(told, "; "))
	}
	fmt.Fprintln(out, "\nCtrl-C ends it.")
}

// writeEnv writes the lines to a file. One that holds anything else is left as it
// is: it may be the application's own.
func writeEnv(file string, lines []string) error {
	if info, err := os.Stat(file); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", file) // a pipe waits for a reader, whatever signals say
	}
	before, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for line := range bytes.Lines(before) {
		name, _, _ := strings.Cut(strings.TrimSpace(string(line)), "=")
		if name != "" && !slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, name+"=") }) {
			return fmt.Errorf("%s holds other things, which would be lost: choose another file", file)
		}
	}
	return os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600)
}
