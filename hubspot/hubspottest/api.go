package hubspottest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const jsonType = "application/json;charset=utf-8"

// maxBody bounds what the token call reads.
const maxBody = 1 << 20

// Call is a token call as HubSpot saw it. It does not include the credential.
type Call struct {
	Time      time.Time // on the emulator's clock
	Host      string
	Path      string
	UserAgent string
	Body      string // as sent

	// What the body says; zero values for what cannot be read.
	Email, FirstName, LastName string
	AgentContext               map[string]string

	Status int    // of the answer; 0 while there is none, and for good if it was never sent
	Token  string // the identification token in the answer
}

// Calls returns the token calls, oldest first. A call appears when it arrives,
// before it is answered.
func (s *Server) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := slices.Clone(s.calls)
	for i := range calls {
		calls[i].AgentContext = maps.Clone(calls[i].AgentContext)
	}
	return calls
}

// apiVersions are those that HubSpot documents; the oldest spelling has its own
// route. Another one is a misspelt HUBSPOT_API_VERSION, and 404 at HubSpot, too.
var apiVersions = []string{"v3", "2025-09", "2026-03", "2026-09"}

// response is an answer before it is written.
type response struct {
	status int
	header http.Header
	body   []byte
	token  string // in the body, for the record
}

func newResponse(status int, contentType string, body []byte) response {
	r := response{status: status, header: http.Header{}, body: body}
	if contentType != "" {
		r.header.Set("Content-Type", contentType)
	}
	return r
}

// serveTokens is the token call: record, fault, decision, answer.
func (s *Server) serveTokens(w http.ResponseWriter, r *http.Request) {
	if version := r.PathValue("version"); version != "" && !slices.Contains(apiVersions, version) {
		write(w, errorResponse(http.StatusNotFound, errorBody{Message: "Unable to find a resource at " + r.URL.Path}))
		return
	}
	// The body is always read: only then does net/http notice that a client
	// left while it waits for the answer.
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if !errors.As(err, &tooLarge) {
			panic(http.ErrAbortHandler) // the client left
		}
		write(w, errorResponse(http.StatusRequestEntityTooLarge, errorBody{Message: "HTTP 413 Request Entity Too Large"}))
		return
	}

	input, inputErr := parseInput(body)
	call, fault := s.arrive(Call{
		Host: r.Host, Path: r.URL.Path, UserAgent: r.UserAgent(), Body: string(body),
		Email: input.Email, FirstName: input.FirstName, LastName: input.LastName, AgentContext: input.AgentContext,
	})

	if !s.wait(r.Context(), fault.Latency) || fault.Hang && !s.wait(r.Context(), -1) {
		panic(http.ErrAbortHandler) // nobody is there to be answered
	}
	if fault.Reset && !fault.answers() {
		cut(w)
	}
	var answer response
	if fault.answers() {
		answer = fault.response()
	} else {
		answer = s.createToken(r, input, inputErr)
	}
	fault.change(&answer)
	s.answered(call, answer)

	if !fault.Reset && fault.Drip == 0 {
		write(w, answer)
		return
	}
	maps.Copy(w.Header(), answer.header)
	w.Header().Set("Content-Length", strconv.Itoa(len(answer.body)))
	w.WriteHeader(answer.status)
	if fault.Reset {
		answer.body = answer.body[:len(answer.body)/2]
	}
	if fault.Drip > 0 {
		s.drip(r.Context(), w, answer.body, fault.Drip)
	} else {
		_, _ = w.Write(answer.body)
	}
	if fault.Reset {
		_ = http.NewResponseController(w).Flush()
		cut(w)
	}
}

// arrive records a call and returns its number and its fault.
func (s *Server) arrive(c Call) (int, Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.Time = s.now()
	s.calls = append(s.calls, c)
	return len(s.calls) - 1, s.nextFault()
}

func (s *Server) answered(call int, r response) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[call].Status, s.calls[call].Token = r.status, r.token
}

func write(w http.ResponseWriter, r response) {
	maps.Copy(w.Header(), r.header)
	w.WriteHeader(r.status)
	_, _ = w.Write(r.body) // the client may have left
}

// createToken decides a call that no fault took.
func (s *Server) createToken(r *http.Request, in input, inputErr error) response {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	answer := s.decide(r, in, inputErr, now)
	s.limits.header(answer.header, now)
	return answer
}

// decide checks in the order of HubSpot's layers: route, credential, account,
// limits, and only then what the call asks for. The caller holds s.mu.
func (s *Server) decide(r *http.Request, in input, inputErr error, now time.Time) response {
	if r.Method != http.MethodPost {
		answer := errorResponse(http.StatusMethodNotAllowed, errorBody{Message: "HTTP 405 Method Not Allowed"})
		answer.header.Set("Allow", "POST, OPTIONS")
		return answer
	}
	if body, ok := s.authenticate(r.Header.Get("Authorization"), now); !ok {
		return errorResponse(http.StatusUnauthorized, body)
	}
	if policy := s.limits.take(now); policy != "" {
		return errorResponse(http.StatusTooManyRequests, rateLimitBody(policy))
	}
	if !slices.Contains(s.scopes, tokenScope) {
		return errorResponse(http.StatusForbidden, missingScopesBody())
	}
	if s.plan < Professional {
		return errorResponse(http.StatusForbidden, planBody())
	}
	if mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || mediaType != "application/json" {
		return errorResponse(http.StatusUnsupportedMediaType, errorBody{Message: "HTTP 415 Unsupported Media Type"})
	}
	if inputErr != nil {
		return errorResponse(http.StatusBadRequest, validationBody(inputErr))
	}

	token := s.mint(in.Email, now)
	s.learnName(in)
	body, err := json.Marshal(map[string]string{"token": token})
	if err != nil {
		panic(err) // a map of strings always marshals
	}
	answer := newResponse(http.StatusOK, jsonType, body)
	answer.token = token
	return answer
}

var privateAppToken = regexp.MustCompile(`^pat-[a-z]+[0-9]+-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// authenticate checks an Authorization header and says what is wrong with it.
func (s *Server) authenticate(authorization string, now time.Time) (errorBody, bool) {
	scheme, token, _ := strings.Cut(authorization, " ")
	switch {
	case !strings.EqualFold(scheme, "Bearer") || token == "":
		return errorBody{
			Message:  "Authentication credentials not found. This API supports OAuth 2.0 authentication and you can find more details at https://developers.hubspot.com/docs/methods/auth/oauth-overview",
			Category: "INVALID_AUTHENTICATION",
		}, false
	case token == s.accessToken:
		return errorBody{}, true
	case !privateAppToken.MatchString(token):
		// HubSpot reads a malformed token as one that expired in 1970.
		return errorBody{
			Message:  fmt.Sprintf("The OAuth token used to make this call expired %d day(s) ago.", now.Unix()/(24*60*60)),
			Category: "EXPIRED_AUTHENTICATION",
			Context:  map[string]any{"expireTime": []string{"1970-01-01T00:00:00Z"}},
		}, false
	}
	return unknownCredentialBody(), false
}

// input is the body of the token call.
type input struct {
	Email, FirstName, LastName string
	AgentContext               map[string]string
}

// parseInput reads a body as strictly as the documentation allows. It returns
// what it could read even with an error.
func parseInput(body []byte) (input, error) {
	var in input
	var fields map[string]json.RawMessage
	decoder := json.NewDecoder(bytes.NewReader(body))
	if err := decoder.Decode(&fields); err != nil || fields == nil {
		return in, errors.New("invalid input JSON: a JSON object is expected")
	}
	if _, err := decoder.Token(); err != io.EOF {
		return in, errors.New("invalid input JSON: unexpected data after the object")
	}
	if !utf8.Valid(body) {
		return in, errors.New("invalid input JSON: not UTF-8")
	}
	var problems []error
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		var err error
		switch raw := fields[field]; field {
		case "email":
			err = readString(raw, &in.Email)
		case "firstName":
			err = readString(raw, &in.FirstName)
		case "lastName":
			err = readString(raw, &in.LastName)
		case "hsCustomerAgentContext":
			err = readStrings(raw, &in.AgentContext)
		default:
			err = errors.New("unknown field")
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", field, err))
		}
	}
	if _, ok := fields["email"]; !ok {
		problems = append(problems, errors.New("email: required"))
	} else if len(problems) == 0 && !plausible(in.Email) {
		problems = append(problems, fmt.Errorf("email: %q is not an email address", in.Email))
	}
	return in, errors.Join(problems...)
}

func readString(raw json.RawMessage, into *string) error {
	if raw[0] != '"' {
		return errors.New("a string is expected")
	}
	return json.Unmarshal(raw, into)
}

func readStrings(raw json.RawMessage, into *map[string]string) error {
	var values map[string]json.RawMessage
	if err := json.Unmarshal(raw, &values); err != nil || values == nil {
		return errors.New("an object of strings is expected")
	}
	*into = make(map[string]string, len(values))
	for key, value := range values {
		var text string
		if err := readString(value, &text); err != nil {
			return errors.New("an object of strings is expected")
		}
		(*into)[key] = text
	}
	return nil
}

// plausible is a rough check, like HubSpot's: something, an @, a domain with a
// dot, nothing invisible.
func plausible(email string) bool {
	at := strings.LastIndexByte(email, '@')
	if at < 1 || at > 64 || len(email) > 254 {
		return false
	}
	if strings.ContainsFunc(email, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }) {
		return false
	}
	local, domain := email[:at], email[at+1:]
	// Dots may stand anywhere in front of the @: some carriers gave such addresses.
	if strings.ContainsAny(local, `@<>,;:()[]\`) || strings.ContainsAny(domain, `"'<>&,;:()[]\/`) {
		return false
	}
	labels := strings.Split(domain, ".")
	return len(labels) > 1 && !slices.Contains(labels, "")
}
