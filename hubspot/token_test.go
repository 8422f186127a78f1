package hubspot_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
)

const (
	secretValue = "eyJhbGciOiJIUzI1NiJ9.c2VjcmV0.c2lnbmF0dXJl"
	secretEmail = "ada@example.com"
)

// verbs are the verbs of package fmt that print a value; %T prints the type and
// %p an address.
var verbs = []string{
	"%v", "%+v", "%#v", "% v", "%s", "%q", "%+q", "%#q", "%x", "%X", "% x", "%#x", "%d", "%t", "%b", "%c", "%o", "%O",
	"%U", "%e", "%E", "%f", "%F", "%g", "%G", "%60v", "%-60s", "%.3s", "%060d", "%y",
}

// extra has no verb for its argument, which fmt then prints by itself.
var extra = "no verb"

// leaks reports in which spelling text contains value, if it does.
func leaks(text, value string) string {
	decimal := strings.Trim(fmt.Sprint([]byte(value)), "[]")
	for spelling, s := range map[string]string{
		"as it is":       value,
		"hexadecimal":    hex.EncodeToString([]byte(value)),
		"as bytes":       decimal,
		"as Go bytes":    strings.ReplaceAll(decimal, " ", ", "),
		"base64":         base64.RawStdEncoding.EncodeToString([]byte(value)),
		"its end":        value[len(value)-8:],
		"its end in hex": hex.EncodeToString([]byte(value[len(value)-8:])),
	} {
		if strings.Contains(strings.ToLower(text), strings.ToLower(s)) {
			return spelling
		}
	}
	spaced := strings.ToLower(fmt.Sprintf("% x", value))
	if strings.Contains(strings.ToLower(text), spaced) {
		return "spaced hexadecimal"
	}
	return ""
}

// printed is v in every way in which values end up in logs.
func printed(v any) map[string]string {
	texts := make(map[string]string)
	for _, verb := range verbs {
		texts[verb] = fmt.Sprintf(verb, v)
	}
	texts["Sprint"] = fmt.Sprint(v)
	texts["Sprintln"] = fmt.Sprintln(v)
	texts["extra argument"] = fmt.Sprintf(extra, v)
	texts["error"] = fmt.Errorf("with %v", v).Error()
	texts["joined error"] = errors.Join(errors.New("first"), fmt.Errorf("with %+v and %q", v, v)).Error()
	var b bytes.Buffer
	slog.New(slog.NewTextHandler(&b, nil)).Info("m", "value", v, slog.Group("g", "value", v))
	texts["slog text"] = b.String()
	b.Reset()
	slog.New(slog.NewJSONHandler(&b, nil)).Info("m", "value", v, slog.Group("g", "value", v))
	texts["slog JSON"] = b.String()
	if data, err := json.Marshal(v); err == nil {
		texts["JSON"] = string(data)
	}
	return texts
}

func TestTokenPrintsAsRedacted(t *testing.T) {
	token := hubspot.NewToken(secretValue, secretEmail, time.Now())
	for _, verb := range verbs {
		if got := fmt.Sprintf(verb, token); got != "[redacted]" {
			t.Errorf("%s of a Token: %q", verb, got)
		}
		if got := fmt.Sprintf(verb, &token); got != "[redacted]" {
			t.Errorf("%s of a *Token: %q", verb, got)
		}
	}
	if got := token.String(); got != "[redacted]" {
		t.Errorf("String: %q", got)
	}
	data, err := json.Marshal(map[string]any{"value": token, "pointer": &token})
	if want := `{"pointer":"[redacted]","value":"[redacted]"}`; err != nil || string(data) != want {
		t.Errorf("JSON: %s, %v; want %s", data, err, want)
	}
	if text, err := token.MarshalText(); err != nil || string(text) != "[redacted]" {
		t.Errorf("text: %s, %v", text, err)
	}
	if got := token.LogValue().String(); got != "[redacted]" {
		t.Errorf("LogValue: %q", got)
	}
	if token.Reveal() != secretValue {
		t.Errorf("Reveal: %q", token.Reveal())
	}
}

func TestTokenNeverLeaksFromOtherValues(t *testing.T) {
	token := hubspot.NewToken(secretValue, secretEmail, time.Now())
	type exported struct{ Token hubspot.Token }
	type unexported struct{ token hubspot.Token }
	type pointers struct {
		Token *hubspot.Token
		token *hubspot.Token
	}
	type deep struct {
		Inner exported
		inner unexported
		list  []unexported
		m     map[string]unexported
		i     any
	}
	for name, v := range map[string]any{
		"value":                       token,
		"pointer":                     &token,
		"struct, exported field":      exported{token},
		"struct, unexported field":    unexported{token},
		"pointer to struct, exported": &exported{token},
		"pointer to struct":           &unexported{token},
		"struct of pointers":          pointers{&token, &token},
		"embedded":                    struct{ hubspot.Token }{token},
		"slice":                       []hubspot.Token{token},
		"slice of pointers":           []*hubspot.Token{&token},
		"slice of structs":            []unexported{{token}},
		"array":                       [1]hubspot.Token{token},
		"map":                         map[string]hubspot.Token{"k": token},
		"map key":                     map[hubspot.Token]int{token: 1},
		"map of any":                  map[string]any{"k": &token, "l": unexported{token}},
		"deep":                        deep{exported{token}, unexported{token}, []unexported{{token}}, map[string]unexported{"k": {token}}, unexported{token}},
		"pointer to deep":             &deep{i: &unexported{token}},
		"method values":               []any{token, token.String},
	} {
		for _, secret := range []string{secretValue, secretEmail} {
			noLeak(t, name, v, secret)
		}
	}
}

// noLeak reports where v, printed, contains secret: all ways, one text.
func noLeak(t *testing.T, name string, v any, secret string) {
	t.Helper()
	var ways []string
	example := ""
	for way, text := range printed(v) {
		if text == "" {
			t.Errorf("%s, %s: nothing printed", name, way)
		}
		if spelling := leaks(text, secret); spelling != "" {
			ways = append(ways, way)
			example = text
		}
	}
	if len(ways) > 0 {
		slices.Sort(ways)
		t.Errorf("%s: a secret in %q, such as %s", name, ways, example)
	}
}

func TestTokenExpiry(t *testing.T) {
	issued := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	twelveHours := issued.Add(12 * time.Hour)
	jwt := func(claims string) string {
		return "eyJhbGciOiJIUzI1NiJ9." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2lnbmF0dXJl"
	}
	exp := func(at time.Time) string { return jwt(fmt.Sprintf(`{"exp":%d}`, at.Unix())) }
	for name, tt := range map[string]struct {
		value string
		want  time.Time
	}{
		"opaque":                {"opaque", twelveHours},
		"two parts":             {"a.b", twelveHours},
		"three parts, no JSON":  {"a.b.c", twelveHours},
		"three empty parts":     {"..", twelveHours},
		"four parts":            {exp(issued.Add(time.Hour)) + ".d", twelveHours},
		"no exp":                {jwt(`{"iat":1}`), twelveHours},
		"exp an hour away":      {exp(issued.Add(time.Hour)), issued.Add(time.Hour)},
		"exp as a float":        {jwt(fmt.Sprintf(`{"exp":%d.5}`, issued.Add(time.Hour).Unix())), issued.Add(time.Hour)},
		"exp of twelve hours":   {exp(twelveHours), twelveHours},
		"exp a day away":        {exp(issued.Add(24 * time.Hour)), twelveHours},
		"exp before the issue":  {exp(issued.Add(-time.Hour)), issued.Add(-time.Hour)},
		"exp zero":              {jwt(`{"exp":0}`), twelveHours},
		"exp negative":          {jwt(`{"exp":-1}`), twelveHours},
		"exp of the far future": {jwt(`{"exp":9223372036854775807}`), twelveHours},
		"exp beyond integers":   {jwt(`{"exp":1e300}`), twelveHours},
		"exp beyond floats":     {jwt(`{"exp":1e999}`), twelveHours},
		"exp in milliseconds":   {jwt(fmt.Sprintf(`{"exp":%d}`, issued.Add(time.Hour).UnixMilli())), twelveHours},
		"exp as a string":       {jwt(`{"exp":"1772604367"}`), twelveHours},
		"exp null":              {jwt(`{"exp":null}`), twelveHours},
		"claims an array":       {jwt(`[]`), twelveHours},
		"padded base64":         {"a." + base64.URLEncoding.EncodeToString([]byte(`{"exp":17726043}`)) + ".c", twelveHours},
	} {
		token := hubspot.NewToken(tt.value, secretEmail, issued)
		if !token.ExpiresAt().Equal(tt.want) {
			t.Errorf("%s: expires %v, want %v", name, token.ExpiresAt(), tt.want)
		}
		if token.Reveal() != tt.value || token.Email() != secretEmail || !token.IssuedAt().Equal(issued) {
			t.Errorf("%s: %q, %q, %v", name, token.Reveal(), token.Email(), token.IssuedAt())
		}
	}
}

func TestZeroToken(t *testing.T) {
	var token hubspot.Token
	if token.Reveal() != "" || token.Email() != "" || !token.IssuedAt().IsZero() || !token.ExpiresAt().IsZero() {
		t.Errorf("%q, %q, %v, %v", token.Reveal(), token.Email(), token.IssuedAt(), token.ExpiresAt())
	}
	for how, text := range printed(token) {
		if !strings.Contains(text, "[redacted]") {
			t.Errorf("%s: %q", how, text)
		}
	}
}

const secretCredential = "pat-na1-5ec0e700-0000-4000-8000-0123456789ab"

func TestSecretPrintsAsRedacted(t *testing.T) {
	secret := hubspot.NewSecret(secretCredential)
	for _, verb := range verbs {
		if got := fmt.Sprintf(verb, secret); got != "[redacted]" {
			t.Errorf("%s: %q", verb, got)
		}
		if got := fmt.Sprintf(verb, &secret); got != "[redacted]" {
			t.Errorf("%s of a pointer: %q", verb, got)
		}
		// Empty, it tells that nothing is set.
		if got := fmt.Sprintf(verb, hubspot.NewSecret("")); got != "" {
			t.Errorf("%s of the empty Secret: %q", verb, got)
		}
	}
	if secret.Reveal() != secretCredential {
		t.Errorf("Reveal: %q", secret.Reveal())
	}
	for name, v := range map[string]any{
		"value":   secret,
		"pointer": &secret,
		"struct":  struct{ S hubspot.Secret }{secret},
		"slice":   []hubspot.Secret{secret},
		"map":     map[string]hubspot.Secret{"k": secret},
	} {
		noLeak(t, name, v, secretCredential)
	}
}

func TestConfigPrintsWithoutSecrets(t *testing.T) {
	const storeSecret = "0f1e2d3c4b5a69788796a5b4c3d2e1f0-store"
	cfg := hubspot.Config{AccessToken: hubspot.NewSecret(secretCredential), StoreSecret: hubspot.NewSecret(storeSecret), PortalID: "12345678"}
	for name, v := range map[string]any{"value": cfg, "pointer": &cfg, "slice": []hubspot.Config{cfg}, "field": struct{ Config hubspot.Config }{cfg}} {
		noLeak(t, name, v, secretCredential)
		noLeak(t, name, v, storeSecret)
	}
	data, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var got struct{ AccessToken, StoreSecret, PortalID string }
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	want := got
	want.AccessToken, want.StoreSecret, want.PortalID = "[redacted]", "[redacted]", "12345678"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("JSON (-want +got):\n%s", diff)
	}
}
