package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
)

// What the program exits with.
const (
	exitWell   = 0
	exitFailed = 1 // a check did
	exitUsage  = 2
)

// checker is one run of the program.
type checker struct {
	*report
	cfg      hubspot.Config
	visitor  hubspot.Visitor
	header   string    // the Cookie header of a signed-in visitor; "" for none
	progress io.Writer // for a person at a terminal; io.Discard otherwise
}

// run is the program: args without its name, env gives the configuration.
func run(ctx context.Context, args []string, env func() (hubspot.Config, error), stdin io.Reader, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("hubspot-check", flag.ContinueOnError)
	flags.SetOutput(stderr)
	email := flags.String("email", "", "the `address` to make a token for: one of your own")
	page := flags.String("page", "", "the `url` of a page to look at")
	file := flags.String("cookie-file", "", "look at the page as the signed-in visitor, too, whose Cookie header is in this `file`; - for standard input")
	asJSON := flags.Bool("json", false, "print one JSON document")
	emulated := flags.Bool("emulate", false, "check against an emulated HubSpot and a page of its own")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return exitWell
	case err != nil:
		return exitUsage
	}
	visitor := hubspot.Visitor{Email: *email, EmailVerified: true}
	if *emulated && *email == "" {
		visitor.Email = "ada@example.com"
	}
	err, header := misused(flags, visitor, *page, *emulated), ""
	if *file != "" && err == nil {
		if *page == "" {
			err = errors.New("-cookie-file is for -page: which page shall the visitor open?")
		} else {
			header, err = awaitCookies(ctx, *file, stdin)
		}
	}
	if err != nil {
		fmt.Fprintln(stderr, "hubspot-check:", err)
		flags.Usage()
		return exitUsage
	}

	if *emulated {
		site, err := emulate(visitor)
		if err != nil {
			fmt.Fprintln(stderr, "hubspot-check:", err)
			return exitFailed
		}
		defer site.stop()
		env, *page, header = site.env, site.page, site.cookie
	}
	c := &checker{report: &report{out: stdout, json: *asJSON}, visitor: visitor, header: header, progress: io.Discard}
	if terminal(stderr) && !*asJSON {
		c.progress = stderr
	}
	c.all(ctx, env, *page)
	return c.end()
}

func misused(flags *flag.FlagSet, visitor hubspot.Visitor, page string, emulated bool) error {
	if flags.NArg() > 0 {
		return errors.New("there are only flags, no other arguments")
	}
	if visitor.Email == "" {
		return errors.New("-email is missing: whom shall HubSpot make a token for?")
	}
	if visitor.Validate() != nil {
		return errors.New("-email is not an e-mail address")
	}
	if page == "" {
		return nil
	}
	if emulated {
		return errors.New("-emulate has a page of its own: leave -page away, or run hubspot-emulator, export its four lines and check without -emulate")
	}
	u, err := url.Parse(page)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return errors.New("-page has to be the https or http URL of a page")
	}
	return nil
}

// all makes the checks, from the inside out. Each part of them leaves away what
// cannot be known without the part before.
func (c *checker) all(ctx context.Context, env func() (hubspot.Config, error), page string) {
	if !c.configuration(env) {
		c.leave("configuration", append(append([]string{"dns", "connection", "tls"}, answerChecks...), "loader", "page")...)
		return
	}
	token := c.account(ctx)
	if c.cfg.Chat == hubspot.ChatOff {
		c.leave("HUBSPOT_CHAT is off", "loader", "page")
		return
	}
	loader := c.loader(ctx)
	if page == "" {
		c.leave("-page names none", "page", "chat")
		return
	}
	where, v := c.look(ctx, page)
	c.chat(ctx, "chat", "the visitor of -email", token.Email(), token.Reveal(), loader, where)
	if v != nil && v.token != "" {
		c.chat(ctx, "chat as visitor", "the page's visitor, with the page's token,", v.email, v.token, loader, v.first.url)
	}
}

// terminal reports whether somebody looks at w.
func terminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
