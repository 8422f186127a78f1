package hubspot_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
)

// Each of these was seen to go wrong with a hostile or broken world around the
// library.

func TestSecretsInOtherValues(t *testing.T) {
	cfg := hubspot.Config{AccessToken: hubspot.NewSecret(secretCredential), PortalID: "12345678"}
	type holder struct{ cfg hubspot.Config }
	other := cfg
	other.AccessToken = hubspot.NewSecret("pat-na1-another")
	for name, v := range map[string]any{
		"unexported field":     holder{cfg},
		"pointer to it":        &holder{cfg},
		"unexported any":       struct{ v any }{&holder{cfg}},
		"map key":              map[hubspot.Config]int{cfg: 1},
		"map key, unexported":  struct{ m map[hubspot.Secret]int }{map[hubspot.Secret]int{cfg.AccessToken: 1}},
		"difference":           cmp.Diff(cfg, other) + cmp.Diff(other, cfg),
		"difference to none":   cmp.Diff(cfg, hubspot.Config{}),
		"difference of tokens": cmp.Diff(hubspot.NewToken(secretCredential, "a", time.Now()), hubspot.Token{}, cmp.Exporter(everything)),
	} {
		noLeak(t, name, v, secretCredential)
	}
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(cfg); err == nil {
		t.Error("gob encodes a Secret")
	}
	if leaks(b.String(), secretCredential) != "" {
		t.Error("the secret is in gob")
	}
	if diff := cmp.Diff(cfg, hubspot.Config{AccessToken: hubspot.NewSecret(secretCredential), PortalID: "12345678"}); diff != "" {
		t.Errorf("equal Secrets differ:\n%s", diff)
	}
	if !(hubspot.Secret{}).IsZero() || !hubspot.NewSecret("").IsZero() || cfg.AccessToken.IsZero() || cfg == (hubspot.Config{}) {
		t.Error("IsZero")
	}
}

func everything(reflect.Type) bool { return true }

func TestTokensPrintNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := emulated(t, hubspot.Config{})
		tokens := newTokens(t, client, hubspot.TokensConfig{})
		for _, v := range []hubspot.Visitor{ada, {Email: "under.way@example.com", EmailVerified: true}} {
			go tokens.Token(t.Context(), v)
			synctest.Wait()
			server.SetOutage(&hubspottest.Fault{Latency: time.Second})
		}
		for name, v := range map[string]any{"pointer": tokens, "field": struct{ t *hubspot.Tokens }{tokens}} {
			for _, private := range []string{ada.Email, "under.way@example.com", hubspottest.AccessToken.Reveal()} {
				noLeak(t, name, v, private)
			}
		}
		time.Sleep(time.Minute)
	})
}

// between is a transport in front of the emulator's.
type between struct {
	http.RoundTripper
	answer func(body string) *http.Response // nil: the emulator's
}

func (b between) RoundTrip(r *http.Request) (*http.Response, error) {
	body, _ := io.ReadAll(r.Body)
	if res := b.answer(string(body)); res != nil {
		res.Request = r
		return res, nil
	}
	r = r.Clone(r.Context())
	r.Body = io.NopCloser(bytes.NewReader(body))
	return b.RoundTripper.RoundTrip(r)
}

func response(status int, body string, header ...string) *http.Response {
	res := &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
	for i := 0; i < len(header); i += 2 {
		res.Header.Set(header[i], header[i+1])
	}
	return res
}

// hostile is a token source whose calls to the emulator go past answer.
func hostile(t *testing.T, cfg hubspot.TokensConfig, answer func(body string) *http.Response, options ...hubspot.ClientOption) (*hubspot.Tokens, *hubspottest.Server) {
	server := hubspottest.New()
	t.Cleanup(server.Close)
	over := &http.Client{Transport: between{server.Client().Transport, answer}}
	return newTokens(t, newClient(t, hubspot.Config{}, append(options, hubspot.WithHTTPClient(over))...), cfg), server
}

// One whom HubSpot cannot serve looks at a page every second, others come seldom.
func TestOneVisitorSwitchesNothingOff(t *testing.T) {
	for _, status := range []int{400, 403, 409, 413, 422, 500} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var calls atomic.Int64
				down := true
				tokens, _ := hostile(t, hubspot.TokensConfig{}, func(body string) *http.Response {
					if down {
						return response(503, "")
					}
					if strings.Contains(body, "poller@") {
						calls.Add(1)
						return response(status, `{}`)
					}
					return nil
				})
				poll := func() { tokens.Token(t.Context(), hubspot.Visitor{Email: "poller@example.com", EmailVerified: true}) }
				for i := range 20 { // the gate is closed when HubSpot comes back
					tokens.Token(t.Context(), visitorNo(1000+i))
				}
				down = false
				anonymous, others := 0, simulation(t, 240, 60)
				for i := range others {
					for range 15 + i%106 {
						poll()
						time.Sleep(time.Second)
					}
					if _, err := tokens.Token(t.Context(), visitorNo(i)); err != nil {
						anonymous++
					}
				}
				// While the gate is still closed from before, one may come too early.
				if anonymous > 6 {
					t.Errorf("%d of %d others were not identified", anonymous, others)
				}
				hours := float64(others) * 67.5 / 3600
				if most := 6*hours + 3; status < 500 && float64(calls.Load()) > most {
					t.Errorf("%d calls for the one in %.1f hours, want one in ten minutes", calls.Load(), hours)
				}
			})
		})
	}
}

// The same, whose agent context tells which page it is: each page is another call.
func TestOneVisitorWithManyTokensSwitchesNothingOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tokens, _ := hostile(t, hubspot.TokensConfig{}, func(body string) *http.Response {
			if strings.Contains(body, "poller@") {
				return response(400, `{}`)
			}
			return nil
		})
		for i := range 120 {
			poller := hubspot.Visitor{Email: "poller@example.com", EmailVerified: true, AgentContext: map[string]string{"page": fmt.Sprint(i)}}
			tokens.Token(t.Context(), poller)
			time.Sleep(time.Second)
			if _, err := tokens.Token(t.Context(), visitorNo(i/10)); err != nil {
				t.Fatalf("another after %d of its pages: %v", i+1, err)
			}
		}
	})
}

// The version is retired, or HubSpot wants another property: that is nobody's
// fault but the call's.
func TestRefusalOfEverybody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &logLines{}
		tokens, server := hostile(t, hubspot.TokensConfig{Logger: slog.New(log)}, func(string) *http.Response { return nil })
		server.SetOutage(&hubspottest.Fault{Status: 400, Body: `{"status":"error","message":"ada@example.com","category":"VALIDATION_ERROR",
			"errors":[{"message":"firstName is missing","code":"REQUIRED_FIELDS_NOT_SET","context":{"propertyName":["firstname"]}}]}`})
		for i := range 3600 {
			tokens.Token(t.Context(), visitorNo(i))
			time.Sleep(time.Second)
		}
		if calls := len(server.Calls()); calls > 70 {
			t.Errorf("%d calls in an hour, want one a minute", calls)
		}
		lines := log.atLeast(slog.LevelError)
		if len(lines) == 0 || len(lines) > 61 {
			t.Fatalf("%d Error lines in an hour", len(lines))
		}
		for _, part := range []string{"VALIDATION_ERROR", "REQUIRED_FIELDS_NOT_SET", "firstname", "HUBSPOT_API_VERSION"} {
			if !strings.Contains(lines[0].message, part) {
				t.Errorf("%q is not in %s", part, lines[0].message)
			}
		}
	})
}

// What is wrong on this side has words and advice of its own, is counted, and is
// not tried at every page.
func TestOwnTrouble(t *testing.T) {
	cancelled := fmt.Errorf("oauth2: cannot fetch token: %w", context.Canceled)
	for name, tt := range map[string]struct {
		options []hubspot.ClientOption
		cfg     hubspot.Config
		answer  func(string) *http.Response
		log     []string
	}{
		"credential function with a cancelled context": {
			[]hubspot.ClientOption{hubspot.WithCredential(func(context.Context) (string, error) { return "", cancelled })}, hubspot.Config{}, nil,
			[]string{"access token cannot be had", "WithCredential", "context canceled"}},
		"credential function without a token": {
			[]hubspot.ClientOption{hubspot.WithCredential(func(context.Context) (string, error) { return " \n", nil })}, hubspot.Config{}, nil,
			[]string{"access token cannot be had", "is empty"}},
		"no file": {nil, hubspot.Config{AccessTokenFile: filepath.Join(t.TempDir(), "gone")}, nil,
			[]string{"access token cannot be had", "HUBSPOT_ACCESS_TOKEN_FILE", "no such file"}},
		"proxy": {nil, hubspot.Config{}, func(string) *http.Response { return response(407, "") }, []string{"proxy", "HTTPS_PROXY"}},
		"data centre": {nil, hubspot.Config{}, func(string) *http.Response { return response(488, `{"correctHublet":"eu1"}`) },
			[]string{"another of HubSpot's data centres", "HUBSPOT_REGION", "eu1"}},
		"migration": {nil, hubspot.Config{}, func(string) *http.Response { return response(477, `{}`, "Retry-After", "3600") },
			[]string{"being migrated"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := hubspottest.New()
				t.Cleanup(server.Close)
				web := server.Client()
				if tt.answer != nil {
					web.Transport = between{web.Transport, tt.answer}
				}
				log := &logLines{}
				tokens := newTokens(t, newClient(t, tt.cfg, append(tt.options, hubspot.WithHTTPClient(web))...), hubspot.TokensConfig{Logger: slog.New(log)})
				for range 600 {
					tokens.Token(t.Context(), visitorNo(1))
					time.Sleep(100 * time.Millisecond)
				}
				stats := tokens.Stats()
				if failed := stats.FailedOutage + stats.FailedAccount + stats.FailedLimit; failed == 0 || failed > 40 {
					t.Errorf("%d failures in a minute: %+v", failed, stats)
				}
				lines := log.atLeast(slog.LevelWarn)
				if len(lines) == 0 {
					t.Fatal("nothing logged")
				}
				for _, part := range tt.log {
					if !strings.Contains(lines[0].message, part) {
						t.Errorf("%q is not in %s", part, lines[0].message)
					}
				}
			})
		})
	}
}

// These need a real network.
func TestOwnTroubleOnTheWay(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if conn, _, err := w.(http.Hijacker).Hijack(); err == nil {
			io.WriteString(conn, "HTTP/1.1 407 Proxy Authentication Required (so it is said)\r\n\r\n")
			conn.Close()
		}
	}))
	t.Cleanup(proxy.Close)
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}))
	t.Cleanup(slow.Close)
	through := &http.Transport{Proxy: func(*http.Request) (*url.URL, error) { return url.Parse(proxy.URL) }}
	t.Cleanup(through.CloseIdleConnections)
	forbidding := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) }))
	t.Cleanup(forbidding.Close)
	old := http.DefaultTransport
	t.Cleanup(func() { http.DefaultTransport = old })
	http.DefaultTransport = &http.Transport{Proxy: func(*http.Request) (*url.URL, error) { return url.Parse(forbidding.URL) }}
	for name, tt := range map[string]struct {
		client *hubspot.Client
		want   string
	}{
		"407 on CONNECT": {newClient(t, hubspot.Config{}, hubspot.WithHTTPClient(&http.Client{Transport: through})), "the proxy on the way cannot be used"},
		"403 on CONNECT": {newClient(t, hubspot.Config{}), "the proxy on the way cannot be used (403)"},
		"client's own Timeout": {newClient(t, hubspot.Config{APIURL: slow.URL}, hubspot.WithHTTPClient(&http.Client{Transport: slow.Client().Transport, Timeout: 50 * time.Millisecond})),
			"HTTP client's own Timeout"},
	} {
		_, err := tt.client.CreateToken(t.Context(), ada)
		if !errors.Is(err, hubspot.ErrUnavailable) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCredentialIsTrimmed(t *testing.T) {
	client, _ := emulated(t, hubspot.Config{}, hubspot.WithCredential(func(context.Context) (string, error) { return hubspottest.AccessToken.Reveal() + "\n", nil }))
	if _, err := client.CreateToken(t.Context(), ada); err != nil {
		t.Error(err)
	}
	client, _ = emulated(t, hubspot.Config{AccessToken: hubspot.NewSecret(" " + hubspottest.AccessToken.Reveal() + "\r\n")})
	if _, err := client.CreateToken(t.Context(), ada); err != nil {
		t.Error(err)
	}
}

// The orchestrator replaces the secret while HubSpot already refuses the old one.
func TestReplacedCredentialIsUsedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		credential := func(context.Context) (string, error) {
			if asked.Add(1) == 1 {
				return secretCredential, nil
			}
			return hubspottest.AccessToken.Reveal(), nil
		}
		client, server := emulated(t, hubspot.Config{}, hubspot.WithCredential(credential))
		began := time.Now()
		tokens := newTokens(t, client, hubspot.TokensConfig{})
		if _, err := tokens.Token(t.Context(), ada); err != nil || time.Since(began) != 0 {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		if stats := tokens.Stats(); stats.FailedAccount != 0 {
			t.Errorf("it counts against the account: %+v", stats)
		}
		if calls := len(server.Calls()); calls != 2 {
			t.Errorf("%d calls, want 2", calls)
		}
	})
}

// Whether the credential was replaced, a function that fails does not tell.
func TestCredentialThatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		client, server := emulated(t, hubspot.Config{}, hubspot.WithCredential(func(context.Context) (string, error) {
			if asked++; asked > 1 {
				return "", errors.New("gone")
			}
			return secretCredential, nil
		}))
		tokens := newTokens(t, client, hubspot.TokensConfig{})
		if _, err := tokens.Token(t.Context(), ada); !errors.Is(err, hubspot.ErrUnauthorized) {
			t.Errorf("%v", err)
		}
		if stats := tokens.Stats(); stats.FailedAccount != 1 || len(server.Calls()) != 1 {
			t.Errorf("%+v, %d calls", stats, len(server.Calls()))
		}
	})
}

// A credential function that makes another one at each call tells nothing by that:
// the account is left alone, and the operator is told.
func TestNewCredentialForEachCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var made, calls atomic.Int64
		log := &logLines{}
		tokens, _ := hostile(t, hubspot.TokensConfig{Logger: slog.New(log)}, func(string) *http.Response {
			calls.Add(1)
			return response(401, `{"category":"INVALID_AUTHENTICATION"}`)
		}, hubspot.WithCredential(func(context.Context) (string, error) { return fmt.Sprint("credential-", made.Add(1)), nil }))
		for i := range 3600 {
			tokens.Token(t.Context(), visitorNo(i))
			time.Sleep(time.Second)
		}
		if n := calls.Load(); n > 120 {
			t.Errorf("%d calls in an hour, want two a minute", n)
		}
		if lines := log.atLeast(slog.LevelError); len(lines) == 0 || !strings.Contains(lines[0].message, "does not accept the access token") {
			t.Errorf("%v", lines)
		}
	})
}

// What an answer means does not depend on how the visitor is called.
func TestMeaningWhateverTheName(t *testing.T) {
	for _, private := range []string{"In", "Ai", "daily", "Missing"} {
		v := hubspot.Visitor{Email: "x@example.com", AgentContext: map[string]string{"k": private}}
		for body, want := range map[string]error{`{"category":"MISSING_SCOPES"}`: hubspot.ErrMissingScope, `{"policyName":"DAILY"}`: hubspot.ErrDailyLimit} {
			client := answering(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(map[error]int{hubspot.ErrMissingScope: 403, hubspot.ErrDailyLimit: 429}[want])
				io.WriteString(w, body)
			})
			if _, err := client.CreateToken(t.Context(), v); !errors.Is(err, want) {
				t.Errorf("%s, %s: %v", private, body, err)
			}
		}
	}
}

// Whoever prints an event, as JSON perhaps, does not print what a Creator panicked
// with.
func TestPanicsQuoteNobody(t *testing.T) {
	var event hubspot.Event
	tokens := newTokens(t, creatorFunc(func(_ context.Context, v hubspot.Visitor) (hubspot.Token, error) { panic("no " + v.Email) }),
		hubspot.TokensConfig{Observer: func(e hubspot.Event) { event = e }, Logger: slog.New(slog.DiscardHandler)})
	_, err := tokens.Token(t.Context(), ada)
	noLeak(t, "event", event, ada.Email)
	noLeak(t, "its error", event.Err, ada.Email)
	noLeak(t, "error", err, ada.Email)
}

// badError is an error whose methods panic.
type badError struct{}

func (*badError) Error() string   { panic("Error") }
func (*badError) Is(error) bool   { panic("Is") }
func (b *badError) Unwrap() error { panic("Unwrap") }

func TestErrorsThatPanic(t *testing.T) {
	var none *hubspot.APIError
	for name, bad := range map[string]error{"methods": &badError{}, "typed nil": none, "wrapped": fmt.Errorf("an SDK: %w", none)} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				failing := true
				log := &logLines{}
				tokens := newTokens(t, creatorFunc(func(_ context.Context, v hubspot.Visitor) (hubspot.Token, error) {
					if failing {
						return hubspot.Token{}, bad
					}
					return hubspot.NewToken("t", v.Email, time.Now()), nil
				}), hubspot.TokensConfig{Logger: slog.New(log)})
				for i := range 100 { // the gate closes, and each trial fails
					if _, err := tokens.Token(t.Context(), visitorNo(i)); err == nil {
						t.Fatal("no error")
					}
					time.Sleep(time.Second)
				}
				failing = false
				time.Sleep(time.Minute)
				if _, err := tokens.Token(t.Context(), visitorNo(1000)); err != nil {
					t.Errorf("nobody is identified any more: %v", err)
				}
				if len(log.atLeast(slog.LevelWarn)) == 0 {
					t.Error("nothing logged")
				}
			})
		})
	}
}

// hangingError asks for something that never comes when it is printed.
type hangingError struct{ release chan struct{} }

func (e hangingError) Error() string      { <-e.release; return "" }
func (hangingError) Is(target error) bool { return target == hubspot.ErrUnauthorized }

func TestErrorThatHangs(t *testing.T) {
	hanging := hangingError{make(chan struct{})}
	called := make(chan struct{})
	tokens := newTokens(t, creatorFunc(func(_ context.Context, v hubspot.Visitor) (hubspot.Token, error) {
		if v.Email == ada.Email {
			close(called)
			return hubspot.Token{}, hanging
		}
		return hubspot.NewToken("t", v.Email, time.Now()), nil
	}), hubspot.TokensConfig{})
	ended := make(chan struct{})
	go func() {
		tokens.Token(t.Context(), ada)
		close(ended)
	}()
	<-called
	for range 20 { // while the call is concluded
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		_, err := tokens.Token(ctx, visitorNo(1))
		cancel()
		if err != nil {
			t.Errorf("another: %v", err)
			break
		}
		tokens.Invalidate(t.Context(), visitorNo(1))
		runtime.Gosched()
	}
	close(hanging.release)
	<-ended
}

// A repetition takes its own turn.
func TestRetriesKeepThePace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		tokens, server := hostile(t, hubspot.TokensConfig{}, func(string) *http.Response {
			if calls.Add(1)%2 == 0 {
				return response(502, html)
			}
			return nil
		})
		server.SetRateLimit(0, 0)
		began := time.Now()
		var wg sync.WaitGroup
		for i := range 1000 {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * 10 * time.Millisecond)
				tokens.Token(t.Context(), visitorNo(i))
			})
		}
		time.Sleep(time.Second - time.Since(began))
		if n := calls.Load(); n > 60 {
			t.Errorf("%d calls in the first second, want at most 60", n)
		}
		time.Sleep(10*time.Second - time.Since(began))
		if n := calls.Load(); n > 150 {
			t.Errorf("%d calls in ten seconds, want at most 150", n)
		}
		wg.Wait()
	})
}

// Others use up the account's limit: the last fifth is theirs.
func TestLastFifthOfTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		log := &logLines{}
		tokens, _ := hostile(t, hubspot.TokensConfig{Logger: slog.New(log)}, func(body string) *http.Response {
			calls.Add(1)
			return response(200, `{"token":"t"}`, "X-HubSpot-RateLimit-Max", "190", "X-HubSpot-RateLimit-Remaining", "30", "X-HubSpot-RateLimit-Interval-Milliseconds", "10000")
		})
		for i := range 6000 {
			tokens.Token(t.Context(), visitorNo(i))
			time.Sleep(100 * time.Millisecond)
		}
		if n := calls.Load(); n > 61 {
			t.Errorf("%d calls in ten minutes, want one in ten seconds", n)
		}
		if lines := log.atLeast(slog.LevelWarn); len(lines) == 0 || len(lines) > 10 || !strings.Contains(lines[0].message, "other integrations") {
			t.Errorf("%d lines in ten minutes: %v", len(lines), lines)
		}
	})
}

// A 409 says what it was sent in words that nobody foresees.
func TestErrorTextsQuoteNothing(t *testing.T) {
	v := hubspot.Visitor{Email: "ada.lovelace@example.com", FirstName: "Wilhelmina", AgentContext: map[string]string{"k": "hypertension"}}
	for _, status := range []int{400, 401, 403, 404, 409, 422, 429, 477, 500, 503} {
		for _, words := range []string{
			"exists: Wilhelmina", "exists: WILHELMINA", "ada%40example.com", "ada&#64;example.com", "ada&commat;example.com", "is hypertension",
			"\x1b[31mred", `ada\u0040example.com`, "\uff41da", "wil\u200bhelmina",
			"no contact Ada.Lovelace here", "ada.lovelace",
		} {
			client := answering(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(status)
				fmt.Fprintf(w, `{"message":%q,"category":%[1]q,"correlationId":%[1]q,"policyName":%[1]q,"errors":[{"code":%[1]q,"context":{"propertyName":[%[1]q]}}]}`, words)
			})
			_, err := client.CreateToken(t.Context(), v)
			if text := strings.ReplaceAll(err.Error(), "[redacted]", ""); len(text) > len("hubspot: the API answered 400: ") {
				t.Errorf("%d, %q: %q", status, words, text)
			}
		}
	}
}

// What breaks an answer off can quote it.
func TestBrokenAnswersQuoteNothing(t *testing.T) {
	for name, answer := range map[string]string{
		"trailer": "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nada@example.com has none\r\n\r\n",
		"chunk":   "Transfer-Encoding: chunked\r\n\r\nada@example.com\r\n",
		"length":  "Content-Length: 100\r\n\r\n{\"token\":\"complete-or-not\"}",
	} {
		client := answering(t, func(w http.ResponseWriter, _ *http.Request) {
			if conn, _, err := w.(http.Hijacker).Hijack(); err == nil {
				io.WriteString(conn, "HTTP/1.1 200 OK\r\n"+answer)
				conn.Close()
			}
		})
		if _, err := client.CreateToken(t.Context(), ada); !errors.Is(err, hubspot.ErrUnavailable) || leaks(err.Error(), ada.Email) != "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestProblemsNamedAtTheStart(t *testing.T) {
	large := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(large, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	european := strings.Replace(secretCredential, "na1", "eu1", 1)
	for name, tt := range map[string]struct {
		env  map[string]string
		want []string // in the error; none: no error
	}{
		"token of another region": {with(map[string]string{"HUBSPOT_REGION": "eu1"}), []string{"HUBSPOT_REGION", "eu1", "na1"}},
		"region of another token": {with(map[string]string{"HUBSPOT_REGION": "na1", "HUBSPOT_ACCESS_TOKEN": european}), []string{"HUBSPOT_REGION", "eu1", "na1"}},
		"a region to come":        {with(map[string]string{"HUBSPOT_ACCESS_TOKEN": "pat-mars1-x"}), nil},
		"double quotes":           {with(map[string]string{"HUBSPOT_ACCESS_TOKEN": `"` + secretCredential + `"`}), []string{"HUBSPOT_ACCESS_TOKEN", "quotes"}},
		"single quotes":           {with(map[string]string{"HUBSPOT_ACCESS_TOKEN": `'` + secretCredential + `'`}), []string{"HUBSPOT_ACCESS_TOKEN", "quotes"}},
		"an API key":              {with(map[string]string{"HUBSPOT_ACCESS_TOKEN": "5ec0e700-0000-4000-8000-0123456789ab"}), []string{"HUBSPOT_ACCESS_TOKEN", "API key", "private app"}},
		"a secret of spaces":      {with(map[string]string{"HUBSPOT_STORE_SECRET": strings.Repeat(" ", 40)}), []string{"HUBSPOT_STORE_SECRET", "32 characters"}},
		"a timeout of hours":      {with(map[string]string{"HUBSPOT_TIMEOUT": "3h"}), []string{"HUBSPOT_TIMEOUT", "10s"}},
		"a timeout of nothing":    {with(map[string]string{"HUBSPOT_TIMEOUT": "0s"}), []string{"HUBSPOT_TIMEOUT", "more than 0"}},
		"a device as its file":    {with(map[string]string{"HUBSPOT_ACCESS_TOKEN_FILE": os.DevNull}, "HUBSPOT_ACCESS_TOKEN"), []string{"HUBSPOT_ACCESS_TOKEN_FILE", "no regular file"}},
		"a large file":            {with(map[string]string{"HUBSPOT_ACCESS_TOKEN_FILE": large}, "HUBSPOT_ACCESS_TOKEN"), []string{"HUBSPOT_ACCESS_TOKEN_FILE", "large"}},
		"the longest timeout":     {with(map[string]string{"HUBSPOT_TIMEOUT": "10s"}), nil},
		"debug":                   {with(map[string]string{"HUBSPOT_DEBUG": "perhaps"}), []string{"HUBSPOT_DEBUG", "true or false"}},
	} {
		environment(t, tt.env)
		_, err := hubspot.ConfigFromEnv()
		if (err == nil) != (tt.want == nil) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, part := range tt.want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %q is not in %v", name, part, err)
			}
		}
	}
}

func TestRegionOfTheToken(t *testing.T) {
	european := strings.Replace(secretCredential, "na1", "eu1", 1)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(european+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, env := range map[string]map[string]string{
		"variable": with(map[string]string{"HUBSPOT_ACCESS_TOKEN": european}),
		"file":     with(map[string]string{"HUBSPOT_ACCESS_TOKEN_FILE": file}, "HUBSPOT_ACCESS_TOKEN"),
	} {
		environment(t, env)
		cfg, err := hubspot.ConfigFromEnv()
		if err != nil {
			t.Fatal(err)
		}
		if got := cfg.LoaderSrc(); got != "//js-eu1.hs-scripts.com/12345678.js" {
			t.Errorf("%s: %s", name, got)
		}
		env["HUBSPOT_REGION"] = "na1"
		environment(t, env)
		if _, err := hubspot.ConfigFromEnv(); !strings.Contains(fmt.Sprint(err), "HUBSPOT_REGION is na1, but the access token is of eu1") {
			t.Errorf("%s, HUBSPOT_REGION=na1: %v", name, err)
		}
	}
}

// Nothing is not the default: no page waits.
func TestRenderBudgetOfZero(t *testing.T) {
	for value, want := range map[string]time.Duration{"0": time.Nanosecond, "0s": time.Nanosecond, "": 0, "1s": time.Second} {
		environment(t, with(map[string]string{"HUBSPOT_RENDER_BUDGET": value}))
		cfg, err := hubspot.ConfigFromEnv()
		if err != nil || cfg.RenderBudget != want {
			t.Errorf("%q: %v, %v", value, cfg.RenderBudget, err)
		}
	}
}

// The server switches protocols and says no more.
func TestSwitchedProtocol(t *testing.T) {
	held := make(chan net.Conn, 10)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
		held <- conn
	}))
	t.Cleanup(func() {
		s.Close()
		(<-held).Close()
	})
	client := newClient(t, hubspot.Config{APIURL: s.URL, Timeout: 200 * time.Millisecond}, hubspot.WithHTTPClient(s.Client()))
	began := time.Now()
	_, err := client.CreateToken(t.Context(), ada)
	if took := time.Since(began); err == nil || took > 2*time.Second {
		t.Errorf("%v after %v", err, took)
	}
}

// transport is somebody's.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// closeOnce is a body that ends when it is closed, and cannot be closed twice.
type closeOnce struct{ closed chan struct{} }

func (b closeOnce) Read([]byte) (int, error) { <-b.closed; return 0, io.EOF }
func (b closeOnce) Close() error             { close(b.closed); return nil }

// Nobody recovers what panics on a goroutine that is the Client's own.
func TestBodyThatCannotBeClosedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := newClient(t, hubspot.Config{}, hubspot.WithHTTPClient(&http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
			res := response(200, "")
			res.Body = closeOnce{make(chan struct{})}
			return res, nil
		})}))
		began := time.Now()
		if _, err := client.CreateToken(t.Context(), ada); !errors.Is(err, hubspot.ErrUnavailable) || time.Since(began) != 3*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

// A transport of somebody's says what it sent, around an error of the network.
func TestTransportsThatQuoteTheRequest(t *testing.T) {
	for name, cause := range map[string]error{"EOF": io.EOF, "cut": io.ErrUnexpectedEOF, "other": errors.New("other")} {
		client := newClient(t, hubspot.Config{AccessToken: hubspot.NewSecret(secretCredential)}, hubspot.WithHTTPClient(&http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
			body, _ := io.ReadAll(r.Body)
			return nil, fmt.Errorf("sent %v %s: %w", r.Header, body, cause)
		})}))
		_, err := client.CreateToken(t.Context(), ada)
		if !errors.Is(err, hubspot.ErrUnavailable) || leaks(err.Error(), ada.Email) != "" || leaks(err.Error(), secretCredential) != "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// pipes is a network in memory.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	if conn, ok := <-p; ok {
		return conn, nil
	}
	return nil, net.ErrClosed
}
func (pipes) Close() error   { return nil }
func (pipes) Addr() net.Addr { return &net.TCPAddr{} }

// mortal is a connection over which, once it is dead, nothing comes any more, and no
// error either.
type mortal struct {
	net.Conn
	dead *atomic.Bool
}

func (c mortal) Write(p []byte) (int, error) {
	if c.dead.Load() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

// A firewall forgets a connection of HTTP/2, over which all calls go.
func TestDeadConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		only := new(http.Protocols)
		only.SetUnencryptedHTTP2(true)
		network := make(pipes)
		server := &http.Server{Protocols: only, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"token":"t"}`) })}
		go server.Serve(network)
		var dead atomic.Bool
		old := http.DefaultTransport
		http.DefaultTransport = &http.Transport{Protocols: only, DialContext: func(context.Context, string, string) (net.Conn, error) {
			dead.Store(false)
			near, far := net.Pipe()
			network <- far
			return mortal{near, &dead}, nil
		}}
		defer func() { http.DefaultTransport = old }()
		client := newClient(t, hubspot.Config{APIURL: "http://127.0.0.1"})
		if _, err := client.CreateToken(t.Context(), ada); err != nil {
			t.Fatal(err)
		}
		dead.Store(true)
		began := time.Now()
		for _, err := client.CreateToken(t.Context(), ada); err != nil; _, err = client.CreateToken(t.Context(), ada) {
			if time.Since(began) > 20*time.Second {
				t.Errorf("after %v still %v", time.Since(began), err)
				break
			}
		}
		client.CloseIdleConnections()
		close(network)
		server.Close()
	})
}

func TestEndlessHeaders(t *testing.T) {
	var sent atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 200 OK\r\n")
		for line := "X: " + strings.Repeat("x", 1000) + "\r\n"; err == nil && sent.Load() < 100<<20; sent.Add(int64(len(line))) {
			_, err = io.WriteString(conn, line)
		}
	}))
	t.Cleanup(s.Close)
	client := newClient(t, hubspot.Config{APIURL: s.URL})
	if _, err := client.CreateToken(t.Context(), ada); !errors.Is(err, hubspot.ErrUnavailable) {
		t.Errorf("%v", err)
	}
	client.CloseIdleConnections()
	s.CloseClientConnections()
	if n := sent.Load(); n > 20<<20 { // what the kernel's buffers take
		t.Errorf("%d MB of headers were taken", n>>20)
	}
}

// An answer is read up to 64 KiB, and so are its headers.
func TestLongHeaders(t *testing.T) {
	for name, tt := range map[string]struct {
		kilobytes int
		want      error
	}{"of 32 KB": {32, nil}, "of 100 KB": {100, hubspot.ErrUnavailable}} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for range tt.kilobytes {
				w.Header().Add("X", strings.Repeat("x", 1000))
			}
			io.WriteString(w, `{"token":"t"}`)
		}))
		client := newClient(t, hubspot.Config{APIURL: s.URL})
		if _, err := client.CreateToken(t.Context(), ada); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", name, err)
		}
		client.CloseIdleConnections()
		s.Close()
	}
}

func TestCloseIdleConnections(t *testing.T) {
	s := hubspottest.NewServer(t)
	client := newClient(t, hubspot.Config{APIURL: s.URL})
	before := runtime.NumGoroutine()
	if _, err := client.CreateToken(t.Context(), ada); err != nil {
		t.Fatal(err)
	}
	client.CloseIdleConnections()
	for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}

func TestStoreNeedsAnAccount(t *testing.T) {
	_, err := hubspot.NewTokens(creatorFunc(nil), hubspot.TokensConfig{Store: &mapStore{}, StoreSecret: hubspot.NewSecret(strings.Repeat("s", 32))})
	if err == nil || !strings.Contains(err.Error(), "Account") {
		t.Errorf("%v", err)
	}
}

// Two accounts share a Store and a secret.
func TestAccountsDoNotShareTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &mapStore{records: map[string][]byte{}}
		for _, account := range []string{"1", "2"} {
			tokens := newTokens(t, creatorFunc(func(_ context.Context, v hubspot.Visitor) (hubspot.Token, error) {
				return hubspot.NewToken("of-"+account, v.Email, time.Now()), nil
			}), hubspot.TokensConfig{Account: account, Store: store, StoreSecret: hubspot.NewSecret(strings.Repeat("s", 32))})
			token, err := tokens.Token(t.Context(), ada)
			if err != nil || token.Reveal() != "of-"+account {
				t.Errorf("account %s: %q, %v", account, token.Reveal(), err)
			}
			synctest.Wait()
		}
	})
}

// panicking is a slog.Handler and a Store of somebody's.
type panicking struct{}

func (panicking) Enabled(context.Context, slog.Level) bool  { return true }
func (p panicking) WithAttrs([]slog.Attr) slog.Handler      { return p }
func (p panicking) WithGroup(string) slog.Handler           { return p }
func (panicking) Handle(context.Context, slog.Record) error { panic("handler") }
func (panicking) Get(context.Context, string) ([]byte, bool, error) {
	return nil, false, errors.New("dead")
}
func (panicking) Set(context.Context, string, []byte, time.Duration) (err error) { panic("store") }
func (panicking) Delete(context.Context, string) error                           { panic("store") }

func TestPanicsInLoggerAndStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _ := emulated(t, hubspot.Config{})
		tokens := newTokens(t, client, hubspot.TokensConfig{
			Account: "1", Store: panicking{}, StoreSecret: hubspot.NewSecret(strings.Repeat("s", 32)), Logger: slog.New(panicking{}),
		})
		if _, err := tokens.Token(t.Context(), ada); err != nil {
			t.Errorf("the visitor pays for it: %v", err)
		}
		synctest.Wait()
		tokens.Invalidate(t.Context(), ada)
		if stats := tokens.Stats(); stats.StoreErrors != 3 {
			t.Errorf("%d errors of the store, want 3", stats.StoreErrors)
		}
	})
}

// deafStore does not look at its contexts, and hangs.
type deafStore struct{ release chan struct{} }

func (s deafStore) Get(context.Context, string) ([]byte, bool, error) {
	<-s.release
	return nil, false, nil
}
func (s deafStore) Set(context.Context, string, []byte, time.Duration) error {
	<-s.release
	return nil
}
func (s deafStore) Delete(context.Context, string) error { <-s.release; return nil }

func TestDeafStoreHoldsFewGoroutines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		creator := creatorFunc(func(_ context.Context, v hubspot.Visitor) (hubspot.Token, error) {
			return hubspot.NewToken("t", v.Email, time.Now()), nil
		})
		store := deafStore{make(chan struct{})}
		defer close(store.release)
		tokens := newTokens(t, creator, sharing(store))
		before := runtime.NumGoroutine()
		for round := range 10 {
			each(300, func(i int) {
				ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
				defer cancel()
				tokens.Token(ctx, visitorNo(300*round+i))
			})
			time.Sleep(6 * time.Second) // the store's rest is over
		}
		time.Sleep(time.Minute)
		if n := runtime.NumGoroutine() - before; n > 200 {
			t.Errorf("%d goroutines are left of 3,000 pages", n)
		}
	})
}

// A JWT that lives for less than the margin is used for what life it has.
func TestTokenShorterThanTheMargin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		tokens := newTokens(t, creatorFunc(func(_ context.Context, v hubspot.Visitor) (hubspot.Token, error) {
			calls.Add(1)
			exp := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"exp":%d}`, time.Now().Add(20*time.Minute).Unix()))
			return hubspot.NewToken("e30."+exp+".c2ln", v.Email, time.Now()), nil
		}), hubspot.TokensConfig{Margin: 30 * time.Minute})
		for range 120 {
			token, err := tokens.Token(t.Context(), ada)
			if err != nil {
				t.Fatal(err)
			}
			if left := time.Until(token.ExpiresAt()); left < 5*time.Minute {
				t.Errorf("%v of its life are left, want a quarter", left)
			}
			synctest.Wait()
			time.Sleep(time.Minute)
		}
		if n := calls.Load(); n > 10 {
			t.Errorf("%d calls in two hours", n)
		}
	})
}

// Whoever asks with a context that has ended does not wait: from memory, or the
// call begins.
func TestTokenWithoutWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := emulated(t, hubspot.Config{})
		tokens := newTokens(t, client, hubspot.TokensConfig{})
		server.SetOutage(&hubspottest.Fault{Latency: 100 * time.Millisecond})
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		began := time.Now()
		if _, err := tokens.Token(ended, ada); err != context.Canceled || time.Since(began) != 0 {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		time.Sleep(60 * time.Millisecond)
		if _, err := tokens.Token(t.Context(), ada); err != nil || time.Since(began) != 100*time.Millisecond {
			t.Errorf("the call had not begun: %v after %v", err, time.Since(began))
		}
		if token, err := tokens.Token(ended, ada); err != nil || token.Email() != ada.Email {
			t.Errorf("from memory: %v", err)
		}
		if calls := len(server.Calls()); calls != 1 {
			t.Errorf("%d calls", calls)
		}
	})
}

func TestHitAllocatesTheKeyOnly(t *testing.T) {
	client, _ := emulated(t, hubspot.Config{})
	tokens := newTokens(t, client, hubspot.TokensConfig{})
	v := hubspot.Visitor{Email: "ada@example.com", FirstName: "Ada", LastName: "Lovelace", EmailVerified: true, AgentContext: map[string]string{"plan": "gold", "seats": "5"}}
	if _, err := tokens.Token(t.Context(), v); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if n := testing.AllocsPerRun(1000, func() { tokens.Token(ctx, v) }); n > 1 {
		t.Errorf("%v allocations, want 1", n)
	}
}

func TestMemoryOfAVisitor(t *testing.T) {
	const visitors = 10_000
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	value := strings.Repeat("x", 400) // as long as HubSpot's tokens are
	tokens := newTokens(t, creatorFunc(func(_ context.Context, v hubspot.Visitor) (hubspot.Token, error) {
		return hubspot.NewToken(strings.Clone(value), v.Email, time.Now()), nil
	}), hubspot.TokensConfig{CallsPerSecond: 1e9, Burst: 1e9})
	before := heap()
	for i := range visitors {
		if _, err := tokens.Token(t.Context(), visitorNo(i)); err != nil {
			t.Fatal(err)
		}
	}
	each := (heap() - before) / uint64(tokens.Stats().Entries)
	if each > 700 {
		t.Errorf("%d bytes a visitor, want at most 700", each)
	}
	t.Logf("%d bytes a visitor", each)
	runtime.KeepAlive(tokens)
}
