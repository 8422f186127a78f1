// Command echo is an application of echo v5, with sessions from gorilla/sessions.
package main

import (
	"crypto/rand"
	"errors"
	"html/template"
	"log"
	"net/http"

	"github.com/gorilla/sessions"
	"github.com/labstack/echo/v5"

	"github.com/seed84b9cbbc/hubspot-visitor/examples/frameworks/internal/accounts"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/middleware"
	"github.com/seed84b9cbbc/hubspot-visitor/snippet"
)

func main() {
	app, err := newApp()
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(app.Start("127.0.0.1:8080"))
}

var store = newStore()

func newStore() *sessions.CookieStore {
	store := sessions.NewCookieStore([]byte(rand.Text()))
	store.Options.Secure = false // http://127.0.0.1
	store.Options.SameSite = http.SameSiteLaxMode
	return store
}

func newApp() (*echo.Echo, error) {
	chat, err := middleware.FromEnv(func(r *http.Request) (hubspot.Visitor, bool) {
		return middleware.VisitorFrom(r.Context())
	})
	if err != nil {
		return nil, err
	}

	app := echo.New()
	app.Renderer = &echo.TemplateRenderer{Template: page}
	app.HTTPErrorHandler = showError
	app.Use(authenticate, echo.WrapMiddleware(chat.Handler))                               // authentication, chat…
	app.GET("/", func(c *echo.Context) error { return show(c, http.StatusOK, "Welcome") }) // …pages
	app.POST("/sign-in", signIn)
	app.POST("/sign-out", signOut(chat))
	return app, nil
}

// authenticate finds the session's user. The chat sees the request's context, but
// nothing set by c.Set.
func authenticate(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c *echo.Context) error {
		session, _ := store.Get(c.Request(), "session") // a new one if the cookie is none of ours
		email, _ := session.Values["user"].(string)
		if user, ok := accounts.Find(email); ok {
			c.Set("user", user.Name)
			visitor := hubspot.Visitor{Email: user.Email, FirstName: user.Name, EmailVerified: user.Verified}
			c.SetRequest(c.Request().WithContext(middleware.WithVisitor(c.Request().Context(), visitor)))
		}
		return next(c)
	}
}

var page = template.Must(template.New("page").Parse(`<!doctype html>
<title>Shop</title>
<h1>{{.Title}}</h1>
{{if .User}}<form method="post" action="/sign-out">{{.User}} <button>Sign out</button></form>
{{else}}<form method="post" action="/sign-in"><input name="email" value="ada@example.com"> <button>Sign in</button></form>{{end}}
{{.Chat}}
`))

func show(c *echo.Context, status int, title string) error {
	return c.Render(status, "page", map[string]any{
		"Title": title,
		"User":  c.Get("user"),
		"Chat":  snippet.HTML(c.Request().Context()),
	})
}

// showError runs after the middlewares have returned.
func showError(c *echo.Context, err error) {
	status := http.StatusInternalServerError
	if coded := echo.HTTPStatusCoder(nil); errors.As(err, &coded) {
		status = coded.StatusCode()
	}
	if response, _ := echo.UnwrapResponse(c.Response()); response != nil && response.Committed {
		return
	}
	_ = show(c, status, http.StatusText(status)) // the client has left if this fails
}

func signIn(c *echo.Context) error {
	if user, ok := accounts.SignIn(c.FormValue("email")); ok {
		session, _ := store.Get(c.Request(), "session")
		session.Values["user"] = user.Email
		_ = session.Save(c.Request(), c.Response())
	}
	return c.Redirect(http.StatusSeeOther, "/")
}

func signOut(chat *middleware.Middleware) echo.HandlerFunc {
	return func(c *echo.Context) error {
		chat.SignedOut(c.Response(), c.Request())
		session, _ := store.Get(c.Request(), "session")
		session.Options.MaxAge = -1
		_ = session.Save(c.Request(), c.Response())
		return c.Redirect(http.StatusSeeOther, "/")
	}
}
