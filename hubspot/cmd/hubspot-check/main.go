// Command hubspot-check looks for what keeps HubSpot's chat from knowing a
// signed-in visitor: in the environment, at HubSpot, and in a page.
//
//	go run github.com/seed84b9cbbc/hubspot-visitor/hubspot/cmd/hubspot-check@latest -email you@example.com -page https://www.example.com/
//
// It reads the HUBSPOT_* variables that the application reads. Each check is one
// line: ✓ and what was found, or ✗, what is wrong, and how to mend it; what a
// failed check leaves open is named as not checked. It makes ten token calls at
// most, all for the address of -email, which has to be one of your own: HubSpot
// makes a contact of nobody before they write.
//
//	-email address   whom to make a token for; required, except with -emulate
//	-page url        a page of the application: its policy, caching, page part,
//	                 HubSpot's loader, token endpoint
//	-cookie-file file
//	                 opens the page as a signed-in visitor, too, with the Cookie header
//	                 in the file's first line: who is identified, whether a cache would
//	                 keep it, and why not, where the page is anonymous
//	-json            one JSON document instead of lines
//	-emulate         check against HubSpot emulated in this process, and a page of
//	                 its own, to see what a good result looks like
//
// The cookies are those of a browser in which the owner of -email is signed in: in
// its developer tools, Network > the page > Request Headers > Cookie. They are read
// from a file, or from standard input for -, since arguments stay in the shell's
// history and are seen by every user of the machine:
//
//	pbpaste | hubspot-check -email you@example.com -page https://www.example.com/account -cookie-file -
//
// They go to the host of -page and nowhere else, with GET for the page and POST for
// the token endpoint, and are followed by what the answers set. Where the page is on
// another host in the end, name it by -page.
//
// It exits with 0 if all is well, 1 if a check failed, 2 if it was not used
// right. It never prints the access token, an identification token, a cookie or an
// e-mail address.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	os.Exit(run(ctx, os.Args[1:], hubspot.ConfigFromEnv, os.Stdin, os.Stdout, os.Stderr))
}
