// Package accounts stands for the users of your application: the examples are
// about the chat and not about passwords.
package accounts

// User is somebody with an account.
type User struct {
	Email    string
	Name     string
	Verified bool // followed the link in a message to Email
}

var users = map[string]User{
	"ada@example.com":    {"ada@example.com", "Ada", true},
	"grace@example.com":  {"grace@example.com", "Grace", true},
	"edsger@example.com": {"edsger@example.com", "Edsger", true},
	"donald@example.com": {"donald@example.com", "Donald", true},
}

// SignIn returns the user of a sign-in form. It believes everybody: a real
// application asks for a password, a passkey or an identity provider here.
func SignIn(email string) (User, bool) { return Find(email) }

// Find returns the user whose address a session has.
func Find(email string) (User, bool) {
	user, ok := users[email]
	return user, ok
}
