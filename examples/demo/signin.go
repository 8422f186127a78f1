package main

import (
	"net/http"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
)

// sessionEmail is where the session keeps who is signed in.
const sessionEmail = "email"

// signedIn returns the person whom the session belongs to.
func (s *shop) signedIn(r *http.Request) (person, bool) {
	return personByEmail(s.sessions.GetString(r.Context(), sessionEmail))
}

// identify tells the chat who is signed in. It asks the session and nothing else:
// whoever can choose the e-mail address can read its owner's chats.
func (s *shop) identify(r *http.Request) (hubspot.Visitor, bool) {
	p, ok := s.signedIn(r)
	return p.visitor(), ok
}

func (p person) visitor() hubspot.Visitor {
	return hubspot.Visitor{Email: p.Email, FirstName: p.FirstName, LastName: p.LastName, EmailVerified: p.EmailVerified}
}

// loginForm is what the login page shows.
type loginForm struct {
	People  []person
	Problem string
}

func (s *shop) login(w http.ResponseWriter, r *http.Request) {
	s.show(w, r, http.StatusOK, "login", loginForm{People: people})
}

// signIn believes everybody, because this is a demo. A real application asks for
// a password, a passkey or an identity provider here.
func (s *shop) signIn(w http.ResponseWriter, r *http.Request) {
	p, ok := personByEmail(r.PostFormValue("email"))
	if !ok {
		s.show(w, r, http.StatusUnprocessableEntity, "login", loginForm{
			People:  people,
			Problem: "Nobody has an account with this e-mail address. Choose one of the two people below.",
		})
		return
	}
	if before, ok := s.signedIn(r); ok && before.Email != p.Email {
		s.chat.SignedOut(w, r) // a change of person is a sign-out, too
	}
	// A new session token: one that somebody planted before is worthless now.
	if err := s.sessions.RenewToken(r.Context()); err != nil {
		s.fail(w, r, err)
		return
	}
	s.sessions.Put(r.Context(), sessionEmail, p.Email)
	s.chat.SignedIn(w, r, p.visitor()) // optional: the chat is there a page earlier
	http.Redirect(w, r, "/account", http.StatusSeeOther)
}

func (s *shop) signOut(w http.ResponseWriter, r *http.Request) {
	s.chat.SignedOut(w, r) // first, while the session knows whose they are
	if err := s.sessions.Destroy(r.Context()); err != nil {
		s.fail(w, r, err)
		return
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}
