// Command fiber is an application of fiber v3 with fiber's own sessions.
package main

import (
	"errors"
	"html/template"
	"log"
	"net/http"

	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/middleware/adaptor"
	"github.com/gofiber/fiber/v3/middleware/session"

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
	log.Fatal(app.Listen("127.0.0.1:8080"))
}

func newApp() (*fiber.App, error) {
	chat, err := middleware.FromEnv(func(r *http.Request) (hubspot.Visitor, bool) {
		return middleware.VisitorFrom(r.Context())
	})
	if err != nil {
		return nil, err
	}

	app := fiber.New(fiber.Config{ErrorHandler: showError})
	app.Use(session.New(), authenticate, chatHandler(chat))                            // authentication, chat…
	app.Get("/", func(c fiber.Ctx) error { return show(c, http.StatusOK, "Welcome") }) // …pages
	app.Post("/sign-in", signIn)
	app.Post("/sign-out", signOut(chat))
	return app, nil
}

// authenticate finds the session's user. The chat sees c.Context, but nothing set
// by c.Locals.
func authenticate(c fiber.Ctx) error {
	email, _ := session.FromContext(c).Get("user").(string)
	if user, ok := accounts.Find(email); ok {
		c.Locals("user", user.Name)
		visitor := hubspot.Visitor{Email: user.Email, FirstName: user.Name, EmailVerified: user.Verified}
		c.SetContext(middleware.WithVisitor(c.Context(), visitor))
	}
	return c.Next()
}

var page = template.Must(template.New("page").Parse(`<!doctype html>
<title>Shop</title>
<h1>{{.Title}}</h1>
{{if .User}}<form method="post" action="/sign-out">{{.User}} <button>Sign out</button></form>
{{else}}<form method="post" action="/sign-in"><input name="email" value="ada@example.com"> <button>Sign in</button></form>{{end}}
{{.Chat}}
`))

func show(c fiber.Ctx, status int, title string) error {
	c.Status(status).Type("html", "utf-8")
	return page.Execute(c, map[string]any{
		"Title": title,
		"User":  c.Locals("user"),
		"Chat":  snippet.HTML(c.Context()), // not c
	})
}

func showError(c fiber.Ctx, err error) error {
	status := http.StatusInternalServerError
	if known := (*fiber.Error)(nil); errors.As(err, &known) {
		status = known.Code
	}
	return show(c, status, http.StatusText(status))
}

func signIn(c fiber.Ctx) error {
	if user, ok := accounts.SignIn(c.FormValue("email")); ok {
		s := session.FromContext(c)
		if err := s.Regenerate(); err != nil {
			return err
		}
		s.Set("user", user.Email)
	}
	return c.Redirect().Status(http.StatusSeeOther).To("/")
}

func signOut(chat *middleware.Middleware) fiber.Handler {
	return func(c fiber.Ctx) error {
		err := adaptor.HTTPHandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			chat.SignedOut(w, r.WithContext(c.Context()))
		})(c)
		if err != nil {
			return err
		}
		if err := session.FromContext(c).Reset(); err != nil {
			return err
		}
		return c.Redirect().Status(http.StatusSeeOther).To("/")
	}
}
