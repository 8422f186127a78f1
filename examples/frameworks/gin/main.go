// Command gin keeps its sessions with gin-contrib/sessions.
package main

import (
	"crypto/rand"
	"html/template"
	"log"
	"net/http"

	"github.com/gin-contrib/sessions"
	"github.com/gin-contrib/sessions/cookie"
	"github.com/gin-gonic/gin"

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
	log.Fatal(app.Run("127.0.0.1:8080"))
}

func newApp() (*gin.Engine, error) {
	chat, err := middleware.FromEnv(func(r *http.Request) (hubspot.Visitor, bool) {
		return middleware.VisitorFrom(r.Context())
	})
	if err != nil {
		return nil, err
	}

	app := gin.New()
	app.SetHTMLTemplate(page)
	app.Use(gin.Recovery(), sessions.Sessions("session", cookie.NewStore([]byte(rand.Text()))))
	app.Use(authenticate, chatHandler(chat))     // authentication, chat…
	app.GET("/", show(http.StatusOK, "Welcome")) // …pages
	app.NoRoute(show(http.StatusNotFound, "There is no such page"))
	app.POST("/sign-in", signIn)
	app.POST("/sign-out", signOut(chat))
	return app, nil
}

// authenticate finds the session's user. The chat sees the request's context, but
// nothing set by c.Set.
func authenticate(c *gin.Context) {
	email, _ := sessions.Default(c).Get("user").(string)
	if user, ok := accounts.Find(email); ok {
		c.Set("user", user.Name)
		visitor := hubspot.Visitor{Email: user.Email, FirstName: user.Name, EmailVerified: user.Verified}
		c.Request = c.Request.WithContext(middleware.WithVisitor(c.Request.Context(), visitor))
	}
}

var page = template.Must(template.New("page").Parse(`<!doctype html>
<title>Shop</title>
<h1>{{.Title}}</h1>
{{if .User}}<form method="post" action="/sign-out">{{.User}} <button>Sign out</button></form>
{{else}}<form method="post" action="/sign-in"><input name="email" value="ada@example.com"> <button>Sign in</button></form>{{end}}
{{.Chat}}
`))

func show(status int, title string) gin.HandlerFunc {
	return func(c *gin.Context) {
		c.HTML(status, "page", gin.H{
			"Title": title,
			"User":  c.GetString("user"),
			"Chat":  snippet.HTML(c.Request.Context()), // not c
		})
	}
}

func signIn(c *gin.Context) {
	if user, ok := accounts.SignIn(c.PostForm("email")); ok {
		session := sessions.Default(c)
		session.Set("user", user.Email)
		_ = session.Save()
	}
	c.Redirect(http.StatusSeeOther, "/")
}

func signOut(chat *middleware.Middleware) gin.HandlerFunc {
	return func(c *gin.Context) {
		chat.SignedOut(c.Writer, c.Request)
		session := sessions.Default(c)
		session.Clear()
		_ = session.Save()
		c.Redirect(http.StatusSeeOther, "/")
	}
}
