package hubspot_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
	"github.com/seed84b9cbbc/hubspot-visitor/middleware"
)

// dump prints v as debuggers' libraries do: unexported fields too, and along
// pointers. Bytes are printed as text.
func dump(v any) string {
	var text strings.Builder
	seen := map[any]bool{}
	var walk func(reflect.Value)
	walk = func(v reflect.Value) {
		switch v.Kind() {
		case reflect.Pointer, reflect.Interface:
			if v.Kind() == reflect.Pointer && (v.IsNil() || seen[v.Pointer()]) {
				return
			}
			if v.Kind() == reflect.Pointer {
				seen[v.Pointer()] = true
			}
			walk(v.Elem())
		case reflect.Struct:
			for i := range v.NumField() {
				fmt.Fprint(&text, " ", v.Type().Field(i).Name, ":")
				walk(v.Field(i))
			}
		case reflect.Map:
			for _, key := range v.MapKeys() {
				walk(key)
				walk(v.MapIndex(key))
			}
		case reflect.Slice, reflect.Array:
			if v.Type().Elem().Kind() == reflect.Uint8 && v.Kind() == reflect.Slice {
				text.Write(v.Bytes())
				return
			}
			for i := range v.Len() {
				walk(v.Index(i))
			}
		case reflect.String:
			text.WriteString(v.String() + " ")
		}
	}
	walk(reflect.ValueOf(v))
	return text.String()
}

// keyedStore has something of its own to hide: how to get at a Redis, say.
type keyedStore struct {
	mapStore
	password string
}

// Whoever dumps what has been in use finds neither visitors nor credentials: not in
// the keys of maps, and not in what the connections to HubSpot keep of a call.
func TestDumpsTellNothing(t *testing.T) {
	const storePassword = "redis-password-1234"
	storeSecret := strings.Repeat("0123456789abcdef", 2)
	s := hubspottest.NewServer(t)
	client := newClient(t, hubspot.Config{APIURL: s.URL})
	tokens := newTokens(t, client, hubspot.TokensConfig{Account: "12345678", Store: &keyedStore{mapStore{records: map[string][]byte{}}, storePassword}, StoreSecret: hubspot.NewSecret(storeSecret)})
	if _, err := tokens.Token(t.Context(), ada); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"HUBSPOT_API_URL": s.URL, "HUBSPOT_PORTAL_ID": hubspottest.PortalID,
		"HUBSPOT_ACCESS_TOKEN": hubspottest.AccessToken.Reveal(), "HUBSPOT_STORE_SECRET": storeSecret,
	} {
		t.Setenv(name, value)
	}
	chat, err := middleware.FromEnv(func(*http.Request) (hubspot.Visitor, bool) { return ada, true },
		middleware.WithStore(&keyedStore{mapStore{records: map[string][]byte{}}, storePassword}))
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	chat.TokenHandler().ServeHTTP(w, httptest.NewRequest("POST", "/", nil))
	if w.Code != 200 {
		t.Fatal(w.Code)
	}
	for name, v := range map[string]any{"Client": client, "Tokens": tokens, "Middleware": chat} {
		text := dump(v)
		for _, secret := range []string{ada.Email, hubspottest.AccessToken.Reveal(), storeSecret, storePassword} {
			if leaks(text, secret) != "" {
				t.Errorf("%s has %q", name, secret)
			}
		}
	}
}
