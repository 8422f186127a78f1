package hubspottest_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
)

// What does the application do when HubSpot has had too many calls? With the
// client in memory the default API host is the emulator.
func Example() {
	emulator := hubspottest.New()
	defer emulator.Close()
	cfg := hubspot.Config{AccessToken: hubspottest.AccessToken, PortalID: hubspottest.PortalID}
	client, err := hubspot.NewClient(cfg, hubspot.WithHTTPClient(emulator.Client()))
	if err != nil {
		fmt.Println(err)
		return
	}
	ada := hubspot.Visitor{Email: "ada@example.com", EmailVerified: true}

	emulator.Queue(hubspottest.FaultBurstLimit())
	_, err = client.CreateToken(context.Background(), ada)
	fmt.Println("limited:", errors.Is(err, hubspot.ErrRateLimited))
	token, err := client.CreateToken(context.Background(), ada)
	fmt.Println("and then:", err, emulator.Verify(token.Email(), token.Reveal()))
	for _, call := range emulator.Calls() {
		fmt.Println(call.Path, call.Email, call.Status)
	}
	// Output:
	// limited: true
	// and then: <nil> <nil>
	// /visitor-identification/2026-03/tokens/create ada@example.com 429
	// /visitor-identification/2026-03/tokens/create ada@example.com 200
}
