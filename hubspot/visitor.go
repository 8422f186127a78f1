package hubspot

import (
	"errors"
	"net/mail"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits on what is sent: RFC 5321 allows 254 bytes for an address, and a
// HubSpot contact's name properties hold 255 characters.
const (
	maxEmailBytes     = 254
	maxNameCharacters = 255
)

// Visitor is the signed-in person whom HubSpot shall know, as the application's
// own authentication found them. It must never be filled from what a client
// sent: whoever can choose the e-mail address can read its owner's chats.
type Visitor struct {
	// Email identifies the contact in HubSpot. It is sent, and given to the
	// browser, exactly as it stands here: HubSpot accepts a token only together
	// with the address that it was made for.
	Email string
	// FirstName and LastName are optional. HubSpot writes them to the contact
	// after the chat begins, if the contact is new or its name unknown.
	FirstName, LastName string
	// EmailVerified says that the application has proof that this visitor owns
	// Email. Without it the visitor is not identified (see ErrUnverifiedEmail):
	// a stranger who signed up with somebody's address would read their threads.
	EmailVerified bool
	// AgentContext is sent as hsCustomerAgentContext, which HubSpot documents for
	// its versions v3 and 2026-03. It is optional and only sent when it has
	// entries.
	AgentContext map[string]string
}

// Validate reports whether HubSpot can be asked for this visitor: Email is one
// address as package net/mail understands it, without a display name and at most
// 254 bytes long; names have at most 255 characters; neither contains control
// characters. Every problem is named: the error joins one [*VisitorError] a
// problem, matches [ErrInvalidVisitor] and never contains what was wrong, only
// where. EmailVerified is not looked at.
func (v Visitor) Validate() error {
	var errs []error
	reject := func(field, reason string) {
		errs = append(errs, &VisitorError{Field: field, Reason: reason})
	}
	if reason := emailProblem(v.Email); reason != "" {
		reject("Email", reason)
	}
	names := []struct{ field, value string }{{"FirstName", v.FirstName}, {"LastName", v.LastName}}
	for _, n := range names {
		if utf8.RuneCountInString(n.value) > maxNameCharacters {
			reject(n.field, "is longer than 255 characters")
		}
		if unprintable(n.value) {
			reject(n.field, "has control characters or is not UTF-8")
		}
	}
	return errors.Join(errs...)
}

func emailProblem(email string) string {
	switch {
	case email == "":
		return "is empty"
	case len(email) > maxEmailBytes:
		return "is longer than 254 bytes"
	case unprintable(email):
		return "has control characters or is not UTF-8"
	}
	address, err := mail.ParseAddress(email)
	if err != nil {
		return "is not an e-mail address"
	}
	// ParseAddress also takes display names, angle brackets, comments and spaces
	// around the address. HubSpot would see another string than the contact's.
	plain := &mail.Address{Address: address.Address}
	if plain.String() != "<"+email+">" {
		return "is not a plain e-mail address"
	}
	return ""
}

func unprintable(s string) bool {
	return !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl)
}

// VisitorError says which field of a [Visitor] HubSpot would not take, and why.
// Its text never contains the field's value. It matches [ErrInvalidVisitor].
type VisitorError struct {
	Field  string // the name of the field in Visitor
	Reason string // such as "is empty"
}

func (e *VisitorError) Error() string { return "hubspot: visitor's " + e.Field + " " + e.Reason }

// Is reports whether target is ErrInvalidVisitor.
func (e *VisitorError) Is(target error) bool { return target == ErrInvalidVisitor }
