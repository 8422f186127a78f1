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
//	-json            one JSON document instead of lines
//	-emulate         check against HubSpot emulated in this process, and a page of
//	                 its own, to see what a good result looks like
//
// It exits with 0 if all is well, 1 if a check failed, 2 if it was not used
// right. It never prints the access token, an identification token or an e-mail
// address.
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
