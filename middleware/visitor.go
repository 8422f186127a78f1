package middleware

import (
	"context"
	"log/slog"
	"maps"
	"net/http"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
)

// who is the answer to "who is it?", for one request.
type who struct {
	visitor     hubspot.Visitor
	fingerprint string // tells visitors apart; "" for who is not identified
	ok          bool   // may be identified
	never       bool   // shall not be, whoever it is: the request is skipped
	reason      string // why not; never who
}

// find asks the application. Whatever goes wrong there leaves the visitor
// anonymous: that is the state in which nobody sees another's chat.
func (m *Middleware) find(r *http.Request) who {
	switch {
	case !m.identifies():
		return who{reason: "HUBSPOT_CHAT says that nobody is identified"}
	case m.skip != nil && m.ask(r, m.skip, true, "middleware: skip panicked; the visitor stays anonymous"):
		return who{never: true, reason: "WithSkip excludes this request"}
	}
	v, reason := m.visitor(r)
	if reason != "" {
		return who{reason: reason}
	}
	return m.admit(r.Context(), v)
}

// visitor gives the application's answer, or why there is no visitor.
func (m *Middleware) visitor(r *http.Request) (v hubspot.Visitor, reason string) {
	defer m.log.Recover(r.Context(), "middleware: identify panicked; the visitor stays anonymous (is the chat's handler inside the authentication?)")
	reason = "identify panicked, see the log"
	v, ok := m.identify(r)
	if !ok {
		return v, notSignedIn
	}
	return v, ""
}

const notSignedIn = "identify says that nobody is signed in"

// chats asks whether the page of r may carry the chat at all. Fail closed: without
// an answer there is no consent.
func (m *Middleware) chats(r *http.Request) bool {
	return m.cfg.Chat != hubspot.ChatOff &&
		(m.consent == nil || m.ask(r, m.consent, false, "middleware: consent panicked; the page carries no chat"))
}

// ask is what question answers; where it panics, the log has message and the answer
// is otherwise.
func (m *Middleware) ask(r *http.Request, question func(*http.Request) bool, otherwise bool, message string) (answer bool) {
	defer m.log.Recover(r.Context(), message)
	answer = otherwise
	return question(r)
}

// admit decides whether v may be identified. What HubSpot would not take is left
// out where it is optional, and heard of in the log: neither is an error of the
// visitor's that a page could show.
func (m *Middleware) admit(ctx context.Context, v hubspot.Visitor) who {
	// The application may go on writing the map, for as long as the session lives.
	v.AgentContext = maps.Clone(v.AgentContext)
	if m.trustUnverified {
		v.EmailVerified = true
	}
	if !v.EmailVerified {
		m.log.Once(ctx, slog.LevelWarn, "middleware: visitors without EmailVerified stay anonymous: identified, they could read the chats of the address's owner")
		return who{reason: "the visitor's EmailVerified is false"}
	}
	for _, problem := range problems(v) {
		m.log.Seldom(ctx, slog.LevelWarn, problem.Error(), "middleware: a visitor's field cannot be sent to HubSpot",
			slog.String("field", problem.Field), slog.String("reason", problem.Reason))
		switch problem.Field {
		case "FirstName":
			v.FirstName = ""
		case "LastName":
			v.LastName = ""
		case "AgentContext":
			v.AgentContext = nil
		default:
			return who{reason: "the visitor's " + problem.Field + " " + problem.Reason}
		}
	}
	return who{visitor: v, fingerprint: m.fingerprint(v.Email), ok: true}
}

// problems are the parts of v.Validate's error: a VisitorError each, as it promises.
func problems(v hubspot.Visitor) (list []*hubspot.VisitorError) {
	if joined, ok := v.Validate().(interface{ Unwrap() []error }); ok {
		for _, part := range joined.Unwrap() {
			list = append(list, part.(*hubspot.VisitorError))
		}
	}
	return list
}
