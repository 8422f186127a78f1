package hubspottest_test

import (
	"strings"
	"testing"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
)

// An application that is configured by the environment is connected by Env, and
// its HubSpot identifies a visitor.
func TestEnv(t *testing.T) {
	emulator := hubspottest.NewServer(t)
	for _, line := range hubspottest.Env(emulator.URL) {
		name, value, _ := strings.Cut(line, "=")
		t.Setenv(name, value)
	}
	cfg, err := hubspot.ConfigFromEnv()
	if err != nil {
		t.Fatal(err)
	}
	client, err := hubspot.NewClient(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer client.CloseIdleConnections()
	token, err := client.CreateToken(t.Context(), hubspot.Visitor{Email: "ann@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	if err := emulator.Verify("ann@example.com", token.Reveal()); err != nil {
		t.Error(err)
	}
	if got, want := cfg.LoaderSrc(), emulator.URL+"/12345678.js"; got != want {
		t.Errorf("the loader is %s, want %s", got, want)
	}
}
