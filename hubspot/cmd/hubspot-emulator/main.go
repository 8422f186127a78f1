// Command hubspot-emulator is HubSpot on your machine, for an application in any
// language: the token call of the Visitor Identification API, the chat widget
// with its loader, and the inbox where the chats arrive.
//
//	go run github.com/seed84b9cbbc/hubspot-visitor/hubspot/cmd/hubspot-emulator@latest
//
// It prints four lines for the shell in which the application runs, and serves
// until Ctrl-C. The inbox is at /inbox. At /control faults are played by hand,
// while one looks at one's own application: HubSpot down, slow, out of calls, on
// the wrong plan, without a chat for the page, hours later.
//
//	-addr address       where to listen, on this machine only; 127.0.0.1:8081
//	-env file           write the four lines to a file, too (for docker run
//	                    --env-file and the like)
//	-plan name          free, starter, professional (default) or enterprise
//	-fault name         a fault for every token call, such as 429; -fault help lists
//	                    them
//	-latency duration   before each answer to a token call
//	-time-travel duration
//	                    how far HubSpot's clock is ahead, such as 13h
//
// It exits with 0 when it is ended, 1 if it cannot serve, 2 if it was not used
// right. How faithful it is, package hubspottest says.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}
