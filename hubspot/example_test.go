package hubspot_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
)

// A token for a visitor, made by HubSpot once and kept. In an application the
// client comes from ConfigFromEnv and NewClient(cfg) alone; here HubSpot is
// emulated.
func Example() {
	emulated := hubspottest.New()
	defer emulated.Close()

	cfg := hubspot.Config{AccessToken: hubspottest.AccessToken, PortalID: hubspottest.PortalID}
	client, err := hubspot.NewClient(cfg, hubspot.WithHTTPClient(emulated.Client()))
	if err != nil {
		fmt.Println(err)
		return
	}
	tokens, err := hubspot.NewTokens(client, hubspot.TokensConfig{Account: cfg.PortalID})
	if err != nil {
		fmt.Println(err)
		return
	}
	ada := hubspot.Visitor{Email: "ada@example.com", FirstName: "Ada", EmailVerified: true}
	for range 3 {
		token, err := tokens.Token(context.Background(), ada)
		fmt.Println(token, token.Email(), err)
	}
	fmt.Println(len(emulated.Calls()), "call to HubSpot")
	// Output:
	// [redacted] ada@example.com <nil>
	// [redacted] ada@example.com <nil>
	// [redacted] ada@example.com <nil>
	// 1 call to HubSpot
}

func ExampleVisitor_Validate() {
	err := hubspot.Visitor{Email: "Ada <ada@example.com>", FirstName: "Ada\x00"}.Validate()
	fmt.Println(err)
	fmt.Println(errors.Is(err, hubspot.ErrInvalidVisitor))
	// Output:
	// hubspot: visitor's Email is not a plain e-mail address
	// hubspot: visitor's FirstName has control characters or is not UTF-8
	// true
}

// What HubSpot says, for the operator.
func ExampleAPIError() {
	emulated := hubspottest.New()
	defer emulated.Close()
	emulated.SetScopes("crm.objects.contacts.read")

	client, err := hubspot.NewClient(hubspot.Config{AccessToken: hubspottest.AccessToken}, hubspot.WithHTTPClient(emulated.Client()))
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = client.CreateToken(context.Background(), hubspot.Visitor{Email: "ada@example.com", EmailVerified: true})
	var api *hubspot.APIError
	if errors.As(err, &api) {
		fmt.Println(api.StatusCode, api.Category, api.Details)
	}
	fmt.Println(errors.Is(err, hubspot.ErrMissingScope))
	// Output:
	// 403 MISSING_SCOPES [conversations.visitor_identification.tokens.create]
	// true
}

// OAuth access tokens live for half an hour: the credential is asked for at
// every call.
func ExampleWithCredential() {
	emulated := hubspottest.New()
	defer emulated.Close()

	fromVault := func(context.Context) (string, error) { return hubspottest.AccessToken.Reveal(), nil }
	client, err := hubspot.NewClient(hubspot.Config{}, hubspot.WithCredential(fromVault), hubspot.WithHTTPClient(emulated.Client()))
	if err != nil {
		fmt.Println(err)
		return
	}
	token, err := client.CreateToken(context.Background(), hubspot.Visitor{Email: "ada@example.com", EmailVerified: true})
	fmt.Println(token, err)
	// Output:
	// [redacted] <nil>
}

// Tokens and credentials do not get into logs.
func ExampleSecret() {
	cfg := hubspot.Config{AccessToken: hubspot.NewSecret("pat-na1-0123"), PortalID: "12345678"}
	data, _ := json.Marshal(map[string]any{"token": cfg.AccessToken})
	fmt.Printf("%v %q %s\n", cfg.AccessToken, cfg.AccessToken, data)
	// Output:
	// [redacted] [redacted] {"token":"[redacted]"}
}

func ExampleConfig_LoaderSrc() {
	fmt.Println(hubspot.Config{PortalID: "12345678", Region: "eu1"}.LoaderSrc())
	// Output:
	// //js-eu1.hs-scripts.com/12345678.js
}

// adapter makes a Creator of another way to call HubSpot.
type adapter struct{ http *http.Client }

func (a adapter) CreateToken(ctx context.Context, v hubspot.Visitor) (hubspot.Token, error) {
	return hubspot.Token{}, fmt.Errorf("%w: the other SDK is not built in", hubspot.ErrUnavailable)
}

// Whatever calls HubSpot, Tokens keeps its results; errors that match this
// package's sentinels tell how long HubSpot is to be left alone.
func ExampleCreator() {
	tokens, err := hubspot.NewTokens(adapter{http.DefaultClient}, hubspot.TokensConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = tokens.Token(context.Background(), hubspot.Visitor{Email: "ada@example.com", EmailVerified: true})
	fmt.Println(errors.Is(err, hubspot.ErrUnavailable))
	// Output:
	// true
}
