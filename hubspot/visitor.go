package hubspot

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits on what is sent: RFC 5321 allows 254 bytes for an address, and a
// HubSpot contact's name properties hold 255 characters. HubSpot names no limit
// for the agent context; it is part of what tokens are kept under.
const (
	maxEmailBytes     = 254
	maxNameCharacters = 255
	maxContextBytes   = 4096
)

// Visitor is the signed-in person whom HubSpot is to identify, as found by the
// application's own authentication. Never fill it from client input: whoever can
// choose the e-mail address can read its owner's chats.
type Visitor struct {
	// Email identifies the contact in HubSpot. It is sent to HubSpot and given
	// to the browser exactly as it is here: HubSpot accepts a token only
	// together with the address that it was made for.
	Email string
	// FirstName and LastName are optional. HubSpot writes them to the contact
	// after the chat begins, if the contact is new or its name is unknown.
	FirstName, LastName string
	// EmailVerified says that the application has proof that this visitor owns
	// Email. If it is false, the visitor is not identified (see
	// ErrUnverifiedEmail): otherwise a stranger who signed up with somebody's
	// address could read that person's chats.
	EmailVerified bool
	// AgentContext is sent as hsCustomerAgentContext, which HubSpot documents
	// for versions v3 and 2026-03. It is optional, and sent only if it has
	// entries. Each change of its content requires a new token, and one address
	// gets few of them per minute (see TokensConfig.CallsPerSecond): use it for
	// facts that hold for a whole visit.
	AgentContext map[string]string
}

// Validate reports whether HubSpot can be asked for a token for this visitor. It
// rejects an Email only if it cannot be sent: if it is empty or longer than 254
// bytes, lacks an @ with something on both sides, or has a display name, angle
// brackets or surrounding spaces. Whether the address exists is for HubSpot to
// say. Names may have at most 255 characters and AgentContext at most 4 KiB in
// all, and no field may contain control characters.
//
// The error joins one [*VisitorError] per problem and matches
// [ErrInvalidVisitor]. It names the fields and never contains their values.
// Validate does not look at EmailVerified.
func (v Visitor) Validate() error {
	var errs []error
	check := func(ok bool, field, reason string) {
		if !ok {
			errs = append(errs, &VisitorError{Field: field, Reason: reason})
		}
	}
	reason := emailProblem(v.Email)
	check(reason == "", "Email", reason)
	for _, name := range [...]struct{ field, value string }{{"FirstName", v.FirstName}, {"LastName", v.LastName}} {
		check(utf8.RuneCountInString(name.value) <= maxNameCharacters, name.field, "is longer than 255 characters")
		check(printable(name.value), name.field, unprintable)
	}
	size, readable := 0, true
	for name, value := range v.AgentContext {
		if size += len(name) + len(value); size > maxContextBytes {
			check(false, "AgentContext", "is longer than 4 KiB")
			break
		}
		readable = readable && printable(name) && printable(value)
	}
	check(readable, "AgentContext", unprintable)
	return errors.Join(errs...)
}

const unprintable = "has control characters or is not UTF-8"

func emailProblem(email string) string {
	switch {
	case email == "":
		return "is empty"
	case len(email) > maxEmailBytes:
		return "is longer than 254 bytes"
	case !printable(email):
		return unprintable
	case !strings.Contains(email, "@"), strings.Trim(email, "@") != email:
		return "is not an e-mail address"
	// HubSpot would see another string than the contact's.
	case strings.TrimSpace(email) != email, email[0] == '<', email[len(email)-1] == '>':
		return "is not a plain e-mail address"
	}
	return ""
}

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// key is what a visitor's token is kept under: everything that is sent to
// HubSpot, since whoever changes the name or the address needs a new token. It is
// the address alone where there is no more, which costs nothing; otherwise NUL,
// and each part preceded by its length. So no two visitors share a key. It
// contains the e-mail and stays in this process; what leaves carries an HMAC.
func (v *Visitor) key() string {
	if v.FirstName == "" && v.LastName == "" && len(v.AgentContext) == 0 && !strings.HasPrefix(v.Email, "\x00") {
		return v.Email
	}
	var bytes [256]byte // on the stack, as are the names: the string is the only allocation
	key := appendPart(appendPart(appendPart(append(bytes[:0], 0), v.Email), v.FirstName), v.LastName)
	if len(v.AgentContext) > 0 {
		var some [8]string
		names := slices.AppendSeq(some[:0], maps.Keys(v.AgentContext))
		slices.Sort(names)
		for _, name := range names {
			key = appendPart(appendPart(key, name), v.AgentContext[name])
		}
	}
	return string(key)
}

func appendPart(key []byte, part string) []byte {
	return append(binary.AppendUvarint(key, uint64(len(part))), part...)
}

// clone is v for work that outlives the request, whose strings a server such as
// fasthttp uses again, and whose map goes on changing, together with its key. The
// two share the address, since both are kept for as long as the token.
func (v Visitor) clone(key string) (Visitor, string) {
	key = strings.Clone(key)
	at := strings.Index(key, v.Email)
	v.Email, v.FirstName, v.LastName = key[at:at+len(v.Email)], strings.Clone(v.FirstName), strings.Clone(v.LastName)
	agentContext := make(map[string]string, len(v.AgentContext))
	for name, value := range v.AgentContext {
		agentContext[strings.Clone(name)] = strings.Clone(value)
	}
	v.AgentContext = agentContext
	return v, key
}

// VisitorError says which field of a [Visitor] HubSpot would not accept, and why.
// Its text never contains the field's value. It matches [ErrInvalidVisitor].
type VisitorError struct {
	Field  string // the name of the field in Visitor
	Reason string // such as "is empty"
}

func (e *VisitorError) Error() string { return "hubspot: visitor's " + e.Field + " " + e.Reason }

// Is reports whether target is ErrInvalidVisitor.
func (e *VisitorError) Is(target error) bool { return target == ErrInvalidVisitor }
